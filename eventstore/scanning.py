"""Read partitions of a topic to an end, or for ever.

The end is where the log's *uncommitted* end stood at the start: an acknowledged unit may still be waiting for its
marker in this partition (rule K4), so the committed end can lie before what was acknowledged. Only committed records
are returned.
"""

from __future__ import annotations

from collections.abc import Mapping

from eventstore.clock import Clock, SystemClock
from eventstore.errors import ReadStalled
from eventstore.log.port import Log
from eventstore.log.records import Record, TopicPartition

PAGE_RECORDS = 1_000
WAIT_SECONDS = 0.1
STALL_SECONDS = 30.0


class Scan:
    """A reader that knows its end. One thread at a time."""

    def __init__(
        self,
        log: Log,
        topic: str,
        start: Mapping[int, int],
        *,
        tail: bool = False,
        end: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Read from `start` (partition -> offset) to the log's end, or to the offset `end`; `tail` goes on for ever."""
        at = {TopicPartition(topic, partition): offset for partition, offset in start.items()}
        self._ends: dict[TopicPartition, int] = {}
        if not tail:
            ends = log.end_positions(at, isolation="uncommitted") if end is None else dict.fromkeys(at, end)
            self._ends = {one: last for one, last in ends.items() if last > at[one]}
        self._topic = topic
        self._tail, self._end, self._clock = tail, end, clock or SystemClock()
        self._reader = None if not (tail or self._ends) else log.reader(at, isolation="committed")
        self._progress = self._clock.monotonic()
        self._stood = dict(at)

    @property
    def is_done(self) -> bool:
        """Whether everything up to the end was returned."""
        return not (self._tail or self._ends)

    def page(self) -> list[Record]:
        """The next records; empty if none came within a tenth of a second.

        Raises:
            ReadStalled: nothing moved for 30 seconds before the end.
        """
        if self._reader is None or self.is_done:
            return []
        records = self._reader.read(PAGE_RECORDS, WAIT_SECONDS)
        if not self._tail:
            self._note_progress()
        return records if self._end is None else [record for record in records if record.offset < self._end]

    def _note_progress(self) -> None:
        reader, now = self._reader, self._clock.monotonic()
        assert reader is not None
        for at, end in list(self._ends.items()):
            position = reader.position(at)
            if position != self._stood[at]:
                self._stood[at], self._progress = position, now
            if position >= end:
                del self._ends[at]
            elif now - self._progress > STALL_SECONDS:
                raise ReadStalled(at.topic, at.partition, position=position, end=end, seconds=STALL_SECONDS)

    def position(self, partition: int) -> int:
        """How far a partition was read, markers and aborted records included."""
        return self._stood[TopicPartition(self._topic, partition)]

    def close(self) -> None:
        """Release the reader."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
