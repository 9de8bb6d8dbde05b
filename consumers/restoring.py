"""Bring partitions of a view up to where the log was when they were taken.

A reader of its own fetches them in large batches, so the group's consumer keeps polling and serving the other
partitions meanwhile
(rule K4). A partition is done when the reader's position has reached the end that was seen, markers after
the last record included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Final

from consumers.view_partition import ViewPartition
from eventstore.clock import Clock
from eventstore.log.port import Log, Reader
from eventstore.log.records import Record, TopicPartition

BATCH_RECORDS: Final = 2_000


class Restoring:
    """Some partitions that were taken together."""

    def __init__(
        self, log: Log, clock: Clock, partitions: Mapping[int, ViewPartition], ends: Mapping[TopicPartition, int]
    ) -> None:
        self._clock, self._partitions, self._ends = clock, dict(partitions), dict(ends)
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
        while self._reader is not None and self._left():
            records = self._reader.read(BATCH_RECORDS, min(0.01, seconds))
            handle(self._partitions, records)
            self._note_positions(self._reader)
            if not records or self._clock.monotonic() >= deadline:
                break
        return self._take_done()

    def close(self) -> None:
        """Release the reader."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

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


def handle(partitions: Mapping[int, ViewPartition], records: Iterable[Record]) -> None:
    """Give records to their partitions; those of others are passed over."""
    for (topic, number), run in groupby(records, _place):
        partition = partitions.get(number)
        if partition is not None:
            partition.apply(topic, list(run))


def _place(record: Record) -> tuple[str, int]:
    return record.topic, record.partition
