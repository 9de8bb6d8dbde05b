"""What a log holds: records in the partitions of topics, and the positions that groups commit.

Positions are *next offsets to read*. Offsets of a partition grow but need not be dense: transaction markers take some,
so compare positions, never count by them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

import msgspec

Headers: TypeAlias = Sequence[tuple[str, bytes]]
Isolation: TypeAlias = Literal["committed", "uncommitted"]
"""Which records a reader sees: those of committed units, or all."""


DIRTY_RATIO = "0.9"
"""Rewriting stays near once the ingest; Kafka's default of 0.5 makes it many times that on large logs."""


Outgoing: TypeAlias = tuple[str, int, bytes | None, bytes | None, Headers, int]
"""A record to produce: topic, partition, key, value, headers, timestamp in ms."""


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as read. `value` None is a tombstone."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Position(NamedTuple):
    """A committed position: the next offset to read, and up to 4,095 ASCII characters that travel with it."""

    offset: int
    metadata: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic as it shall be."""

    name: str
    partitions: int | None = None
    """None: as many as it has; when it is created, the log's default."""
    compacted: bool = False
    """The last record of a key is kept for ever, the earlier ones go some time. Records need a key."""
    retention_ms: int | None = None
    """How long records are kept; None: for ever. Not for compacted topics."""
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """More Kafka topic settings. The local engines keep them, and do nothing else with them."""
    has_unique_keys: bool = False
    """No key comes twice, but for tombstones: before there is one, a local engine looks for nothing to compact."""

    def __post_init__(self) -> None:
        """Raises ValueError: it would have no partitions."""
        if self.partitions is not None and self.partitions < 1:
            raise ValueError(
                f"{self.name}: partitions={self.partitions}: give 1 or more, or None for what the log gives by default"
            )

    @property
    def configuration(self) -> dict[str, str]:
        """All settings that are wanted, by Kafka's names.

        Raises:
            ValueError: it is compacted and has a retention.
        """
        if not self.compacted:
            retention_ms = -1 if self.retention_ms is None else self.retention_ms
            return {"cleanup.policy": "delete", "retention.ms": str(retention_ms), **self.settings}
        if self.retention_ms is not None:
            raise ValueError(
                f"{self.name}: a compacted topic keeps the last record of each key, it has no retention_ms"
            )
        return {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": DIRTY_RATIO, **self.settings}


def is_same_setting(wanted: str, actual: str | None) -> bool:
    """Whether both say the same: Kafka writes numbers its own way, such as 0.0 for 0."""
    if actual is None or wanted == actual:
        return actual is not None
    try:
        return float(wanted) == float(actual)
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicDescription:
    """A topic as it is."""

    name: str
    id: str
    """Differs when a topic was deleted and made again under the same name."""
    partitions: int
    manifest_partitions: int | None
    """The count frozen when the topic was created by this port; None if it was made by other means."""
    wanted: Mapping[str, str] = field(default_factory=dict[str, str])
    """The settings that `create` was given last; empty if it was made by other means. What is in force may differ."""
