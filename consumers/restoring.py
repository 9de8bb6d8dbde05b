"""Bring partitions of a view up to where the log was when they were taken.

A reader of its own fetches them in large batches, so the group's consumer keeps polling and serving the other
partitions meanwhile (rule K4). A partition is done when the reader's position has reached the end that was seen,
markers after the last record included. Of a view that is re-keyed that is the end which the copy has when all that it
waits for was copied (`consumers.copying`); what is there before is read meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import attrgetter
from typing import Final

from consumers.copying import Copying
from consumers.view_partition import ViewPartition
from eventstore.clock import Clock
from eventstore.log.port import Log, Reader
from eventstore.log.records import Record, TopicPartition

BATCH_RECORDS: Final = 500
"""With 2,000 a view of 200,000 events took a few hundredths more of the processor, one of 1,000,000 the same."""
_PLACE: Final = attrgetter("topic", "partition")


class Restoring:
    """Some partitions that were taken together."""

    def __init__(
        self,
        log: Log,
        clock: Clock,
        partitions: Mapping[int, ViewPartition],
        ends: Mapping[TopicPartition, int],
        copying: Copying | None = None,
    ) -> None:
        """`copying`: what has to be copied before the ends are known; None: nothing."""
        self._log, self._clock, self._partitions, self._ends = log, clock, dict(partitions), dict(ends)
        self._copying = copying
        self._look_for_ends()
        positions = {at: self._partitions[at.partition].positions[at.topic] for at in ends}
        self._reader: Reader | None = log.reader(positions) if self._left() else None

    @property
    def numbers(self) -> list[int]:
        """The partitions that are under way."""
        return list(self._partitions)

    def forget(self, number: int) -> None:
        """The partition went to another process."""
        self._partitions.pop(number, None)

    def work(self, seconds: float) -> list[ViewPartition]:
        """Read and handle for about so long; returns the partitions that are done."""
        deadline = self._clock.monotonic() + seconds
        self._look_for_ends()
        while self._reader is not None and self._left():
            records = self._reader.read(BATCH_RECORDS, min(0.01, seconds))
            handle(self._partitions, records)
            self._note_positions(self._reader)
            if not records or self._clock.monotonic() >= deadline:
                break
        return self._take_done()

    @property
    def left(self) -> int:
        """How many records are left to handle, as far as that is known. Any thread."""
        partitions, ends = dict(self._partitions), self._ends
        places = [(partitions[at.partition], at) for at in ends if at.partition in partitions]
        return sum(max(0, ends[at] - one.positions[at.topic]) for one, at in places)

    @property
    def uncopied(self) -> int:
        """How many records of its sources the view's copy lacks of those that are waited for. Any thread."""
        copying = self._copying
        return 0 if copying is None else copying.left

    def close(self) -> None:
        """Release the reader."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _look_for_ends(self) -> None:
        if self._copying is not None and self._copying.is_done():
            self._copying = None
            self._ends = self._log.end_positions(self._ends, isolation="uncommitted")

    def _note_positions(self, reader: Reader) -> None:
        for at in self._ends:
            partition = self._partitions.get(at.partition)
            if partition is not None:
                partition.advance(at.topic, reader.position(at))

    def _left(self) -> bool:
        return any(not self._is_done(partition) for partition in self._partitions.values())

    def _is_done(self, partition: ViewPartition) -> bool:
        if partition.error is not None:
            return True
        if self._copying is not None:
            return False
        mine = (at for at in self._ends if at.partition == partition.number)
        return all(partition.positions[at.topic] >= self._ends[at] for at in mine)

    def _take_done(self) -> list[ViewPartition]:
        done = [partition for partition in self._partitions.values() if self._is_done(partition)]
        for partition in done:
            partition.flush()
            self.forget(partition.number)
        if not self._partitions:
            self.close()
        return done


def fits(partition: ViewPartition, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> bool:
    """Whether the rows can be carried on: what they hold is in the log, and what follows them too (K13)."""
    places = [TopicPartition(topic, partition.number) for topic in partition.positions]
    positions = [(partition.positions[at.topic], starts[at], ends[at]) for at in places]
    return all(position == 0 or start <= position <= end for position, start, end in positions)


def handle(partitions: Mapping[int, ViewPartition], records: Iterable[Record]) -> None:
    """Give records to their partitions; those of others are passed over."""
    for (topic, number), run in groupby(records, _PLACE):
        partition = partitions.get(number)
        if partition is not None:
            partition.apply(topic, list(run))
