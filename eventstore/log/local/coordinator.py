"""The coordinator of all groups of a local log: who is in which group, and what was committed.

It decides and remembers; what it remembers of positions the broker has stored before. Everything here runs under the
broker's lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from eventstore.clock import Clock
from eventstore.log.local.groups import Group, Membership
from eventstore.log.local.store import Partition
from eventstore.log.local.waking import Wake
from eventstore.log.records import Position, TopicPartition

METADATA_MAX = 4_095
"""Characters that a position may carry, as in Kafka."""


class Coordinator:
    """Groups, by name, and their positions."""

    def __init__(
        self,
        partitions: Mapping[tuple[str, int], Partition],
        positions: Iterable[tuple[str, TopicPartition, Position]],
        clock: Clock,
        wake: Wake,
    ) -> None:
        """`partitions`: those of all topics, now and later. `wake`: notified of every change of an assignment."""
        self._partitions, self._clock, self._wake = partitions, clock, wake
        self.groups: dict[str, Group] = {}
        self._positions: dict[str, dict[TopicPartition, Position]] = {}
        for group, partition, position in positions:
            self._positions.setdefault(group, {})[partition] = position

    def names(self) -> list[str]:
        """Groups with members or positions."""
        return sorted({*self.groups, *self._positions})

    def live(self) -> list[str]:
        """Groups with members, without those whose session ended."""
        now = self._clock.monotonic()
        for group in list(self.groups.values()):
            for late in group.late(now):
                self.evict(group, late)
        return sorted(self.groups)

    def group(self, name: str) -> Group:
        """The group of this name; an empty one if nobody is in it."""
        return self.groups.get(name) or Group(name)

    # Members

    def join(self, name: str, topics: Sequence[str], session_s: float) -> Membership:
        """A new member of a group."""
        group = self.groups.setdefault(name, Group(name))
        stay = group.join(topics, session_s, self._clock.monotonic())
        self._rebalance(group)
        return stay

    def evict(self, group: Group, stay: Membership) -> None:
        """The member leaves, or is silent for too long."""
        if stay.gone:
            return
        group.remove(stay)
        if not group.members:
            self.groups.pop(group.name, None)
        self._rebalance(group)

    def touch(self, group: Group, stay: Membership) -> None:
        """The member polls: it lives, and members that do not are evicted."""
        now = self._clock.monotonic()
        stay.polled_at, stay.suspected_at = now, None
        for late in group.late(now):
            self.evict(group, late)

    def rebalance(self) -> None:
        """The topics changed: share the partitions of all groups anew."""
        for group in self.groups.values():
            self._rebalance(group)

    def _rebalance(self, group: Group) -> None:
        group.rebalance(partition.id for partition in self._partitions.values())
        self._wake.notify_all()

    # Positions

    def committed(self, group: str, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Position | None]:
        """The group's positions."""
        there = self._positions.get(group, {})
        return {partition: there.get(partition) for partition in partitions}

    def remember(self, group: str, positions: Mapping[TopicPartition, Position]) -> None:
        """These were stored as the group's."""
        self._positions.setdefault(group, {}).update(positions)

    def forget(self, topic: str) -> list[str]:
        """Forget all positions in a topic; returns the groups that had some."""
        groups: list[str] = []
        for group, positions in self._positions.items():
            mine = [partition for partition in positions if partition.topic == topic]
            groups.extend([group] if mine else [])
            for partition in mine:
                del positions[partition]
        self._positions = {group: positions for group, positions in self._positions.items() if positions}
        return groups


def check_positions(positions: Mapping[TopicPartition, Position]) -> None:
    """Raises:
    ValueError: there are none (K2), one is negative, or carries more than the log takes.
    """
    if not positions:
        raise ValueError("no positions: a commit of a group names at least one partition (K2)")
    for partition, position in positions.items():
        if position.offset < 0:
            raise ValueError(f"{partition.topic}[{partition.partition}]: {position.offset} is no position (K2)")
        if len(position.metadata) > METADATA_MAX or not position.metadata.isascii():
            raise ValueError(
                f"{partition.topic}[{partition.partition}]: metadata is at most {METADATA_MAX:,} ASCII characters, "
                f"got {len(position.metadata):,}"
            )
