"""Move messages that cannot be processed to a dead-letter topic.

A record goes there with key, value and headers unchanged. Its origin and the error travel in more headers, all
beginning with `__dlq.errors.`, as UTF-8 text: `topic`, `partition`, `offset`, `group`, `type` (the error's class),
`message`, `attempts` and `time` (ISO 8601). What was no record, as a call of the owner's process or a timer, has the
offset −1, and `input` says its id.

A record that does not fit beside these headers leaves its value at its origin, and says so in the header `__dlq.value`;
what was no record leaves it with its caller, who is told that it failed.
"""

from __future__ import annotations

from datetime import UTC, datetime

from eventstore.log.records import Headers
from eventstore.processor.context import OVERHEAD_BYTES
from schemas.error_text import error_text

PREFIX = "__dlq.errors."
ELIDED = "__dlq.value"
"""The header, with the value `at origin`, of a record so large that it leaves its value there."""
MESSAGE_LIMIT = 2_000
"""Characters of the error's text that are kept."""
READABLE_BYTES = 10_000


def dead_letter_headers(
    *,
    headers: Headers,
    topic: str,
    partition: int,
    offset: int,
    group: str,
    error: BaseException,
    attempts: int,
    now_ms: int,
    input: str = "",
) -> Headers:
    """The record's headers and those that say why it is in the dead letters. `input`: of what was no record."""
    why = {
        "topic": topic,
        "partition": str(partition),
        "offset": str(offset),
        "group": group,
        "type": type(error).__name__,
        "message": error_text(error)[:MESSAGE_LIMIT],
        "attempts": str(attempts),
        "time": datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(),
    } | ({"input": input} if input else {})
    return (*headers, *((PREFIX + name, value.encode()) for name, value in why.items()))


def fitting(key: bytes | None, value: bytes | None, headers: Headers, limit_bytes: int) -> tuple[bytes | None, Headers]:
    """Value and headers of a dead letter, without what does not fit into a record of this size."""
    if _size(key, value, headers) > limit_bytes:
        value, headers = None, (*headers, (ELIDED, b"at origin"))
    if _size(key, value, headers) > limit_bytes:  # of the headers themselves, those go that no person would read
        headers = tuple((name, content) for name, content in headers if len(content) <= READABLE_BYTES)
    return value, headers


def _size(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    content = len(key or b"") + len(value or b"") + sum(len(name) + len(content) for name, content in headers)
    return content + OVERHEAD_BYTES
