"""What a user's code raised, told on the log: with its traceback the first time, quietly from then on.

First is judged per place, such as a handler or a step, and class of exception. Where an exception of a handler would
else only be seen as an outcome ("failed"), its line in the user's code stands here.

A traceback that UTF-8 cannot hold, such as one with half of a surrogate pair, is told as text: who writes a line of the
log is not to fail by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from traceback import format_exception
from typing import Any

import structlog

from schemas.error_text import error_text

log = structlog.get_logger(__name__)

DETAIL_CHARACTERS = 500

FROM_OUTSIDE = (KeyboardInterrupt, GeneratorExit)
"""What ends a user's code from outside. All else that comes out of it is its own, also what is no `Exception`: the
`SystemExit` of `sys.exit()`, a cancellation that it did not catch, the panic of an extension."""


class Raised:
    """Tells exceptions apart by place and class. Any thread."""

    def __init__(self) -> None:
        self._known = set[tuple[str, ...]]()

    def is_first(self, error: BaseException, *place: str) -> bool:
        """Whether nothing of this class was raised there before."""
        known = (*place, type(error).__qualname__)
        is_new = known not in self._known
        self._known.add(known)
        return is_new

    def tell(self, event: str, error: BaseException, **place: str) -> None:
        """A warning with the traceback for the first of its class at this place, then debug."""
        say: Any = log.warning if self.is_first(error, event, *place.values()) else log.debug
        detail = error_text(error)[:DETAIL_CHARACTERS]
        say(event, **place, error=type(error).__name__, detail=detail, **traceback_of(error))


def traceback_of(error: BaseException) -> Mapping[str, Any]:
    """For a line of the log: the exception, or its traceback as text if not all of it could be written."""
    text = "".join(format_exception(error))
    if text.isascii():
        return {"exc_info": error}
    written = text.encode(errors="backslashreplace").decode()
    return {"exc_info": error} if written == text else {"exception": written}
