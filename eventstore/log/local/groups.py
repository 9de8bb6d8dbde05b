"""Consumer groups of the local broker: who is a member, who owns what, who may commit.

Cooperative: when members come or go a *target* is computed, owners give up what is not theirs any more at their next
poll, and only then does the new owner get it; everything else keeps flowing. All of this runs under the broker's lock.

A member that is silent for a whole session is evicted. It must have been found late twice, half a session apart, so
that a clock that jumps (a test that moves it by an hour, a laptop that slept) evicts nobody who polls again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from eventstore.log.errors import StaleMember
from eventstore.log.local.assignor import share
from eventstore.log.port import Member
from eventstore.log.records import Position, TopicPartition


class Membership:
    """One stay of one consumer in its group."""

    __slots__ = ("changes", "gone", "owned", "polled_at", "session_s", "suspected_at", "topics")

    def __init__(self, topics: frozenset[str], session_s: float, now: float) -> None:
        self.topics, self.session_s = topics, session_s
        self.polled_at = now
        self.suspected_at: float | None = None
        self.gone = False
        self.changes = 0
        """How often the assignment changed."""
        self.owned: dict[TopicPartition, int] = {}
        """What it owns, with the value of `changes` since when."""


@dataclass(frozen=True, slots=True)
class LocalMember:
    """Who a consumer was at a poll: its stay, and how often its assignment had changed by then (K3)."""

    group: str
    stay: Membership
    changes: int


class Group:
    """The members of a group and what they own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: list[Membership] = []
        self.owners: dict[TopicPartition, Membership] = {}
        self.target: dict[TopicPartition, Membership] = {}

    def join(self, topics: Iterable[str], session_s: float, now: float) -> Membership:
        """A new member. Call `rebalance` next."""
        stay = Membership(frozenset(topics), session_s, now)
        self.members.append(stay)
        return stay

    def remove(self, stay: Membership) -> None:
        """The member leaves, or is evicted: it can commit nothing from now on. Call `rebalance` next."""
        stay.gone = True
        for partition in stay.owned:
            del self.owners[partition]
        stay.owned.clear()
        self.members = [other for other in self.members if other is not stay]

    def late(self, now: float) -> list[Membership]:
        """Members whose session ended; marks those that may follow."""
        late: list[Membership] = []
        for stay in self.members:
            if now - stay.polled_at <= stay.session_s / 2:
                continue
            if stay.suspected_at is None:
                stay.suspected_at = now
            elif now - stay.polled_at > stay.session_s and now - stay.suspected_at >= stay.session_s / 2:
                late.append(stay)
        return late

    def rebalance(self, partitions: Iterable[TopicPartition]) -> None:
        """Compute anew who shall own these, which are all partitions of all topics."""
        self.target = share(partitions, [(stay, stay.topics) for stay in self.members], self.owners)

    def unwanted(self, stay: Membership) -> list[TopicPartition]:
        """What the member owns and shall give up."""
        return sorted(partition for partition in stay.owned if self.target.get(partition) is not stay)

    def release(self, stay: Membership, partitions: Iterable[TopicPartition]) -> None:
        """The member gave these up."""
        given = [partition for partition in partitions if stay.owned.pop(partition, None) is not None]
        for partition in given:
            del self.owners[partition]
        stay.changes += 1 if given else 0

    def grant(self, stay: Membership) -> list[TopicPartition]:
        """Give the member what it shall own and nobody holds; returns what is new."""
        new = sorted(p for p, target in self.target.items() if target is stay and p not in self.owners)
        if new:
            stay.changes += 1
            stay.owned.update((partition, stay.changes) for partition in new)
            self.owners.update((partition, stay) for partition in new)
        return new

    def check_unit(self, member: Member, positions: Mapping[TopicPartition, Position]) -> None:
        """Whether a unit of this member may be committed.

        Raises:
            StaleMember: its assignment changed since the poll, it is not in the group, or it never owned a partition.
        """
        stay = self._stay(member)
        assert isinstance(member, LocalMember)
        if stay.changes != member.changes:
            raise StaleMember(f"the assignment of this member of {self.name!r} changed since the batch was polled")
        for partition in positions:
            if partition not in stay.owned:
                raise StaleMember(f"this member of {self.name!r} does not own {partition.topic}[{partition.partition}]")

    def check_commit(self, member: Member, positions: Mapping[TopicPartition, Position]) -> None:
        """Whether this member may commit positions without a unit.

        Raises:
            StaleMember: it does not own a partition, or did not all the time since the poll.
        """
        stay = self._stay(member)
        assert isinstance(member, LocalMember)
        for partition in positions:
            if stay.owned.get(partition, member.changes + 1) > member.changes:
                raise StaleMember(
                    f"this member of {self.name!r} does not own {partition.topic}[{partition.partition}] any more"
                )

    def _stay(self, member: Member) -> Membership:
        if not isinstance(member, LocalMember) or member.group != self.name:
            raise ValueError(f"not a member of the group {self.name!r}: {member!r}")
        if member.stay.gone:
            raise StaleMember(f"this member is not in the group {self.name!r} any more: its session ended, or it left")
        return member.stay
