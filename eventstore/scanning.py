"""Read partitions of a topic to an end, or for ever.

The end is where the log's *uncommitted* end stood at the start: an acknowledged unit may still be waiting for its
marker in this partition (rule K4), so the committed end can lie before what was acknowledged. Only committed records
are returned.

That end may lie within a unit that was being written. So a scan that has reached it goes on to where the log is
committed then, which is no place within a unit, and returns nothing beyond: units are returned whole (K15).
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
        self._log, self._topic = log, topic
        self._bounds: dict[TopicPartition, int] = {}
        """Of partitions that were read to their end: where the unit in which it lies had ended."""
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
        if self._end is not None or self._bounds:
            records = [record for record in records if self._is_within(record)]
        if not self._tail:
            self._note_progress()
        return records

    def _is_within(self, record: Record) -> bool:
        end = self._bounds.get(TopicPartition(record.topic, record.partition), self._end)
        return end is None or record.offset < end

    def _note_progress(self) -> None:
        reader, now = self._reader, self._clock.monotonic()
        assert reader is not None
        for at, end in list(self._ends.items()):
            position = reader.position(at)
            if position != self._stood[at]:
                self._stood[at], self._progress = position, now
            if position >= end:
                self._reached(at, position)
            elif now - self._progress > STALL_SECONDS:
                raise ReadStalled(at.topic, at.partition, position=position, end=end, seconds=STALL_SECONDS)

    def _reached(self, at: TopicPartition, position: int) -> None:
        """The partition was read to its end: is anything of a unit still to come?"""
        if self._end is None and at not in self._bounds:
            self._bounds[at] = self._ends[at] = self._log.end_positions([at], isolation="committed")[at]
        if position >= self._ends[at]:
            self._stood[at] = min(position, self._bounds.get(at, position))
            del self._ends[at]

    def position(self, partition: int) -> int:
        """How far a partition was read, markers and aborted records included."""
        return self._stood[TopicPartition(self._topic, partition)]

    def close(self) -> None:
        """Release the reader."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
