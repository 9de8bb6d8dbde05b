"""The store of `memory://`: a list of records per partition. It ends with the process."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

from eventstore.log.local.store import Entry, Partition, Store, TopicRow
from eventstore.log.records import Position, Record, TopicPartition

_offset = attrgetter("offset")


class ListPartition(Partition):
    """A partition as a list, ordered by offset."""

    __slots__ = ("records",)

    def __init__(self, row: TopicRow, number: int) -> None:
        super().__init__(row, number)
        self.records: list[Record] = []

    def read(self, position: int, limit: int) -> list[Record]:
        records = self.records
        if not records or position > records[-1].offset:
            return []
        first = records[0].offset
        if position <= first:
            at = 0
        elif records[-1].offset - first + 1 == len(records):
            at = position - first
        else:
            at = bisect_left(records, position, key=_offset)
        return records[at : at + limit]

    def remove(self, offsets: Sequence[int], low: int) -> None:
        gone = frozenset(offsets)
        self.records = [record for record in self.records if record.offset >= low and record.offset not in gone]

    def save_bounds(self) -> None:
        """They go with the list."""


class ListStore(Store):
    """Everything in lists. The broker keeps topics and positions in memory anyway."""

    def topics(self) -> list[TopicRow]:
        return []

    def positions(self) -> Iterable[tuple[str, TopicPartition, Position]]:
        return ()

    def save_topic(self, row: TopicRow) -> None:
        """Nothing outlives the broker."""

    def drop_topic(self, row: TopicRow, groups: Iterable[str]) -> None:
        """The broker drops the partitions, and the records with them."""

    def open_partition(self, row: TopicRow, number: int) -> ListPartition:
        return ListPartition(row, number)

    def append(
        self,
        writes: Iterable[tuple[Partition, Sequence[Entry]]],
        group: str = "",
        positions: Mapping[TopicPartition, Position] | None = None,
    ) -> None:
        for partition, entries in writes:
            assert isinstance(partition, ListPartition)
            name, number = partition.name, partition.number
            partition.records += [
                Record(name, number, offset, *entry) for offset, entry in enumerate(entries, partition.end)
            ]

    def sync(self) -> None:
        """Memory is as durable as it gets."""

    def squeeze(self, row: TopicRow) -> None:
        """There is no disk."""

    def close(self) -> None:
        """The lists go with the broker."""
