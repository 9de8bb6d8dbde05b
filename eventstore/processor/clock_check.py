"""Compare this machine's clock with the log's.

Time decides what is kept: outcomes by which a repeat is known, inputs in their inbox, tombstones. A clock that is days
wrong makes all of that wrong, silently. So each process sends itself a record now and then, to a topic in which the
broker notes its own time. That lies between the sending and the reading of it, or one of the two clocks is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog

from eventstore.clock import Clock
from eventstore.ids import unique_id
from eventstore.log.records import Record

KEY: Final = b"sagalog.clock"
EVERY_SECONDS: Final = 600.0
TOLERATED_SECONDS: Final = 60.0
_DIGITS: Final = 15
SETTINGS: Final[Mapping[str, str]] = {"message.timestamp.type": "LogAppendTime"}
"""Of the topic that the records go to."""

log = structlog.get_logger()


class ClockCheck:
    """What one process knows of its clock. One thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._id, self._due = clock, unique_id().encode(), clock.monotonic()
        self.ahead_seconds = 0.0
        """By how much the clock was ahead of the log's when it was compared last; negative: behind."""

    def question(self) -> bytes | None:
        """The value of a record to send now; None if it is not time yet."""
        if self._clock.monotonic() < self._due:
            return None
        self._due = self._clock.monotonic() + EVERY_SECONDS
        return b"%b %d" % (self._id, self._clock.now_ms())

    def take(self, record: Record) -> None:
        """Look at a record that came back; those of other processes say nothing of this one's clock."""
        whose, _, sent_ms = (record.value or b"").partition(b" ")
        if whose != self._id or not sent_ms.isdigit() or len(sent_ms) > _DIGITS:
            return
        earliest, latest = int(sent_ms), self._clock.now_ms()
        ahead_ms = max(0, earliest - record.timestamp_ms) - max(0, record.timestamp_ms - latest)
        self.ahead_seconds = ahead_ms / 1000
        if abs(self.ahead_seconds) > TOLERATED_SECONDS:
            log.warning("clock_differs", ahead_seconds=self.ahead_seconds, topic=record.topic)
