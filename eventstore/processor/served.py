"""The partitions that a unit serves: taken in slices, served, given up (K4, K5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from eventstore.component import Host
from eventstore.log.port import GroupConsumer
from eventstore.log.records import Record, TopicPartition
from eventstore.processor.commits import Commits
from eventstore.processor.counts import EntityCounts
from eventstore.processor.index import StreamIndex
from eventstore.processor.partition import Partition
from eventstore.processor.port import AnyProcessor, Stateless
from eventstore.processor.predecessor import commit_metadata
from eventstore.processor.routes import Routes
from eventstore.processor.standby import Standby
from eventstore.processor.takeover import Taken, Takeover

log = structlog.get_logger()

EMPTY_SECONDS = 3.0
"""A member of a group that was given no partition for this long is not about to get one."""


class Served:
    """The partitions of a unit; the listener of its group.

    `has`, `is_taking`, `is_complete`, `are_done` and `metrics` may come from any thread, the rest from the loop's.
    """

    def __init__(
        self,
        host: Host,
        group: str,
        processors: Mapping[str, AnyProcessor],
        commits: Commits,
        dropped: Callable[[TopicPartition], None],
        standby: Standby | None = None,
    ) -> None:
        """`processors`: by the names of their inboxes. `dropped` is told of each partition that is no longer here.
        `standby`: what follows the others."""
        self._host, self._group, self._processors, self._commits = host, group, processors, commits
        self._dropped, self._routes, self._standby = dropped, Routes(host.log), standby
        self._metadata = commit_metadata(commits.transactional_id, host.address)
        self._takeovers: list[Takeover] = []
        self.consumer: GroupConsumer | None = None
        self.partitions: dict[TopicPartition, Partition[Any]] = {}
        self.committing: frozenset[TopicPartition] = frozenset()
        """Partitions that a commit under way changes, and whose answers are part of it."""
        self.is_joined = False
        self._joined_at = 0.0
        self._counts = EntityCounts()
        self._restored = 0
        self._inbox_ends: dict[TopicPartition, int] = {}
        """Up to where the inboxes of partitions that were just taken are to be read before local calls."""
        self.stashed: list[Record] = []
        """Stashed records of partitions that were just taken, whose types this code knows: for the next batch."""

    def is_taking(self) -> bool:
        """Whether partitions are assigned that are not served yet."""
        return bool(self._takeovers)

    def is_complete(self) -> bool:
        """Whether the group has given this member what it will, and all of it is served."""
        if not self.is_joined or self._takeovers:
            return False
        return bool(self.partitions) or self._host.clock.monotonic() - self._joined_at > EMPTY_SECONDS

    def are_done(self, positions: Mapping[TopicPartition, int]) -> bool:
        """Whether the inboxes were read to their ends, given where each is read next, no timer is due, and what was
        erased is tombstoned."""
        served = list(self.partitions.items())
        ends = self._host.log.end_positions([at for at, _ in served], isolation="uncommitted")
        now_ms = self._host.clock.now_ms()
        are_busy = any(one.timers.has_due(now_ms) or one.is_erasing(now_ms) for _, one in served)
        return not are_busy and all(positions.get(at, -1) >= ends[at] for at, _ in served)

    def metrics(self) -> dict[str, float]:
        """How many partitions are served, how many timers they have, how many records were read to take them, and what
        they count of their entities."""
        served = list(self.partitions.values())
        timers = sum(len(one.timers) for one in served)
        now = {
            "processor_partitions": float(len(served)),
            "processor_timers": float(timers),
            "processor_restored_records_total": float(self._restored),
        }
        return now | self._counts.metrics()

    def note_membership(self, *, joined: bool) -> None:
        """Whether the last poll was a member's."""
        if joined and not self.is_joined:
            self._joined_at = self._host.clock.monotonic()
        self.is_joined = joined

    def has(self, at: TopicPartition) -> bool:
        """Whether the partition is served here, or about to be."""
        if at in self.partitions:
            return True
        return any(at in takeover.targets for takeover in tuple(self._takeovers))

    def takes_calls(self, at: TopicPartition) -> bool:
        """Whether the partition is served, and what waited in its inbox when it was taken was read.

        A call may repeat one of those inputs: decided on first, it could be refused, and the earlier one happen later.
        """
        end = self._inbox_ends.get(at)
        if end is not None:
            if self._commits.positions.get(at, -1) < end:
                return False
            del self._inbox_ends[at]
        return at in self.partitions

    def folds(self, at: TopicPartition) -> bool:
        """Whether the events of a partition that is served here are decoded, as an aggregate's are."""
        partition = self.partitions.get(at)
        return partition is not None and not isinstance(partition.processor, Stateless)

    def index(self, at: TopicPartition, key: str | None = None) -> StreamIndex | None:
        """The local index of a partition that is served here. Any thread.

        None while a commit that changes the entity of `key` is under way: its answers are part of it, so who asked from
        another process may know of it before the index does.
        """
        served = self.partitions.get(at)
        if served is None or (key is not None and at in self.committing and served.touches(key)):
            return None
        return served.index

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Listener: take partitions, in slices."""
        if partitions:
            assert self.consumer is not None, "callbacks come inside poll"
            if self._standby is not None:
                self._standby.claim(partitions)
            targets = [(at, self._processors[at.topic]) for at in partitions]
            self._takeovers.append(
                Takeover(
                    self._host, self._group, self.consumer, self._routes, targets, self._metadata, self._counts,
                    self._standby,
                )
            )  # fmt: skip

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Listener: nothing is under way between batches, so there is nothing to finish."""
        for at in partitions:
            self._drop(at)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Listener: as `revoked`; a commit would be refused."""
        self.revoked(partitions)

    def take_over(self) -> None:
        """One slice of each takeover; partitions that are ready are served from now on."""
        for takeover in list(self._takeovers):
            for taken, partition in takeover.step():
                self._inbox_ends[taken.inbox] = taken.inbox_end
                self._serve(taken, partition)
            if not takeover.targets:
                self._takeovers.remove(takeover)

    def settle(self) -> None:
        """Nothing is to be done: write rows that were kept back; find out whether readers met rows that are damaged."""
        for partition in self.partitions.values():
            partition.state.check()
            partition.state.settle()

    def release(self) -> None:
        """Give up everything."""
        for at in [*self.partitions, *(at for takeover in self._takeovers for at in takeover.targets)]:
            self._drop(at)

    def put_down(self) -> list[TopicPartition]:
        """Forget what is known of the assigned partitions, and deliver nothing of them; returns them."""
        assert self.consumer is not None, "a batch was polled"
        assigned = sorted(self.consumer.assignment())
        self.stashed = []
        self.release()
        self.consumer.pause(assigned)
        return assigned

    def _serve(self, taken: Taken, partition: Partition[Any]) -> None:
        assert self.consumer is not None, "callbacks come inside poll"
        at = taken.inbox
        self.partitions[at] = partition
        self._restored += taken.restored
        self._commits.take(at, taken.position)
        self.consumer.start(at, taken.position)
        self.stashed.extend(partition.undecided.stashed())
        log.info(
            "partition_taken", group=self._group, topic=at.topic, partition=at.partition, restored=taken.restored,
            followed=taken.was_followed,
        )  # fmt: skip

    def _drop(self, at: TopicPartition) -> None:
        served = self.partitions.pop(at, None)
        if served is not None:
            served.state.close()
        for takeover in self._takeovers:
            takeover.drop(at)
        self._takeovers = [takeover for takeover in self._takeovers if takeover.targets]
        self._inbox_ends.pop(at, None)
        self._commits.forget(at)
        self._dropped(at)
        if self._standby is not None:
            self._standby.release(at)
