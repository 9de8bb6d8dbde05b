"""What the records of events topics say beside the event itself: the stream and version in the key, the header `meta`.

Nobody but owners writes there, so a record that says neither was written by something else.
"""

from __future__ import annotations

from eventstore.errors import EventStoreError
from eventstore.log.records import Record

VERSION_DIGITS = 19
"""Of the largest version, 2⁶³ − 1."""


class RecordUnreadable(EventStoreError):
    """A record in a topic that only owners write is none of theirs: find out who writes there."""

    def __init__(self, topic: str, partition: int, offset: int, why: str) -> None:
        super().__init__(
            f"{topic}[{partition}] holds a record at offset {offset} that no sagalog wrote ({why}): find out who "
            f"writes there and take away the permission; then delete the record, or copy the others to a new topic"
        )
        self.topic, self.partition, self.offset, self.why = topic, partition, offset, why


def stream_and_version(record: Record, key: bytes | None = None) -> tuple[bytes, int]:
    """The stream's id in UTF-8, and the event's version. `key`: in place of the record's own.

    Raises:
        RecordUnreadable: its key is not `stream/version`.
    """
    found = record.key if key is None else key
    stream, _, number = (found or b"").rpartition(b"/")
    if not number.isdigit() or len(number) > VERSION_DIGITS:
        raise RecordUnreadable(record.topic, record.partition, record.offset, f"its key is {(found or b'')[:80]!r}")
    return stream, int(number)


def stream_text(record: Record, stream: bytes) -> str:
    """The stream's id.

    Raises:
        RecordUnreadable: it is no UTF-8.
    """
    try:
        return stream.decode()
    except UnicodeDecodeError as error:
        raise RecordUnreadable(
            record.topic, record.partition, record.offset, f"its key is {stream[:80]!r}, no UTF-8"
        ) from error


def place_of(record: Record, key: bytes | None = None) -> tuple[str, int]:
    """The stream's id, and the event's version. `key`: in place of the record's own.

    Raises:
        RecordUnreadable: its key is not `stream/version`.
    """
    stream, version = stream_and_version(record, key)
    return stream_text(record, stream), version


def meta_of(record: Record) -> bytes:
    """The header `meta`.

    Raises:
        RecordUnreadable: there is none.
    """
    for name, value in record.headers:
        if name == "meta":
            return value
    raise RecordUnreadable(record.topic, record.partition, record.offset, "it has no header `meta`")
