"""The seam between the local broker and where it keeps things: lists, or RocksDB.

The broker calls a store under its lock, one call at a time. A store decides nothing: offsets, order and checks are the
broker's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from eventstore.log.records import Headers, Position, Record, TopicPartition

Entry: TypeAlias = tuple[int, bytes | None, bytes | None, Headers]
"""A record on its way into a partition: timestamp in ms, key, value, headers. Its offset follows from its place."""

FIRST_TIDY = 10_000
"""Records appended to a partition before it is tidied for the first time."""


class TopicRow(msgspec.Struct, frozen=True, array_like=True):
    """What is kept about a topic."""

    name: str
    id: str
    number: int
    """Stands for the topic in keys; no two topics have the same."""
    partitions: int
    manifest: int
    compacted: bool
    retention_ms: int | None
    wanted: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    """The settings that its last creator wanted."""
    settings: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    """Those that are in force."""
    has_unique_keys: bool = False
    """No key comes twice, but for tombstones."""


class Partition(ABC):
    """The records of one partition, and the counters that the broker keeps about them."""

    __slots__ = ("clean", "compacted", "dirty", "end", "low", "name", "number", "row", "tidy_at", "tombstones")

    def __init__(self, row: TopicRow, number: int, *, low: int = 0, end: int = 0) -> None:
        self.row, self.number = row, number
        self.name, self.compacted = row.name, row.compacted
        self.low, self.end = low, end
        self.clean = low
        """Compaction went up to here."""
        self.dirty = 0
        """Records appended since the partition was tidied last."""
        self.tombstones = 0
        """Those that may be there."""
        self.tidy_at = FIRST_TIDY

    @property
    def id(self) -> TopicPartition:
        """Topic and number."""
        return TopicPartition(self.name, self.number)

    def first(self) -> int:
        """The offset of the first record that is still there; the end if there is none."""
        found = self.read(self.low, 1)
        return found[0].offset if found else self.end

    @abstractmethod
    def read(self, position: int, limit: int) -> list[Record]:
        """Up to `limit` records from this position on, in order."""

    @abstractmethod
    def remove(self, offsets: Sequence[int], low: int) -> None:
        """Remove these records, and all before `low`."""

    @abstractmethod
    def save_bounds(self) -> None:
        """Keep `low`, `end` and `clean`, where the store outlives the process."""


class Store(ABC):
    """Topics, records and group positions."""

    @abstractmethod
    def topics(self) -> list[TopicRow]:
        """All topics."""

    @abstractmethod
    def positions(self) -> Iterable[tuple[str, TopicPartition, Position]]:
        """All group positions."""

    @abstractmethod
    def save_topic(self, row: TopicRow) -> None:
        """Make a topic, or replace what is known about it."""

    @abstractmethod
    def drop_topic(self, row: TopicRow, groups: Iterable[str]) -> None:
        """Remove a topic with its records and the positions of these groups."""

    @abstractmethod
    def open_partition(self, row: TopicRow, number: int) -> Partition:
        """The partition, as it was left."""

    @abstractmethod
    def append(
        self,
        writes: Iterable[tuple[Partition, Sequence[Entry]]],
        group: str = "",
        positions: Mapping[TopicPartition, Position] | None = None,
    ) -> None:
        """Keep records from their partitions' ends on, and group positions, all or nothing."""

    @abstractmethod
    def sync(self) -> None:
        """Make everything appended so far as durable as the store promises."""

    @abstractmethod
    def squeeze(self, row: TopicRow) -> None:
        """Leave nothing on the disk of records of a topic that were removed."""

    @abstractmethod
    def close(self) -> None:
        """Release what is held."""
