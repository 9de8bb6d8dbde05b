"""The broker inside the process: topics, offsets, positions and fencing, under one lock.

Every append, commit and change of a group happens under `lock`; whoever waits for records or assignments waits on
`wake`. Waiting takes real time; sessions and timestamps follow the given clock, which a test may move by hand.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from eventstore.clock import Clock, SystemClock
from eventstore.errors import Fenced, InvalidRecord, LogClosed, MessageTooLarge, PartitionCountChanged, TopicMissing
from eventstore.log.local import compaction
from eventstore.log.local.groups import Group, Membership
from eventstore.log.local.store import Partition, Store, TopicRow
from eventstore.log.port import Headers, Member, Position, Record, Topic, TopicDescription, TopicPartition

METADATA_MAX = 4_095
"""Characters that a position may carry, as in Kafka."""

MESSAGE_MAX_BYTES = 1_000_000
DEFAULT_PARTITIONS = 4


class Entry(NamedTuple):
    """A record of a unit that is not committed yet."""

    partition: Partition
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int | None


class Broker:
    """What the handles of one local log share."""

    def __init__(
        self,
        store: Store,
        clock: Clock | None = None,
        *,
        default_partitions: int = DEFAULT_PARTITIONS,
        message_max_bytes: int = MESSAGE_MAX_BYTES,
    ) -> None:
        self.store, self.clock = store, clock or SystemClock()
        self.default_partitions, self.message_max_bytes = default_partitions, message_max_bytes
        self.lock = threading.Lock()
        self.wake = threading.Condition(self.lock)
        self.closed = False
        self.topics: dict[str, TopicRow] = {}
        self.partitions: dict[tuple[str, int], Partition] = {}
        self.groups: dict[str, Group] = {}
        self.positions: dict[str, dict[TopicPartition, Position]] = {}
        self._epochs: dict[str, int] = {}
        self._waiting = 0
        self._next_number = 0
        for row in store.topics():
            self._install(row)
        for group, partition, position in store.positions():
            self.positions.setdefault(group, {})[partition] = position

    # Topics

    def create(self, topics: Iterable[Topic]) -> None:
        """Make what is missing, check what is there."""
        wanted = list(topics)
        with self.lock:
            self.check_open()
            for topic in wanted:
                if topic.name in self.topics:
                    self._check_count(topic)
            for topic in wanted:
                if topic.name not in self.topics:
                    self._create(topic)
            self._rebalance_all()

    def describe(self, names: Iterable[str] | None) -> dict[str, TopicDescription]:
        """The topics of these names that exist."""
        with self.lock:
            self.check_open()
            rows = list(self.topics.values()) if names is None else [self.topics[n] for n in names if n in self.topics]
        return {
            row.name: TopicDescription(
                name=row.name, id=row.id, partitions=row.partitions, manifest_partitions=row.manifest
            )
            for row in rows
        }

    def delete(self, names: Iterable[str]) -> None:
        """Delete topics with all that belongs to them."""
        with self.lock:
            self.check_open()
            for row in [self.topics.pop(name) for name in set(names) if name in self.topics]:
                for number in range(row.partitions):
                    del self.partitions[row.name, number]
                self.store.drop_topic(row, self._forget_positions(row.name))
            self._rebalance_all()

    def add_partitions(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions behind the manifest's back, as an administrator of a Kafka cluster could."""
        with self.lock:
            row = self.topics[topic]
            changed = TopicRow(row.name, row.id, row.number, partitions, row.manifest, row.compacted, row.retention_ms)
            self.store.save_topic(changed)
            self._install(changed)
            self._rebalance_all()

    def _check_count(self, topic: Topic) -> None:
        row = self.topics[topic.name]
        for expected in (row.manifest, topic.partitions):
            if expected is not None and expected != row.partitions:
                raise PartitionCountChanged(topic.name, manifest=expected, actual=row.partitions)

    def _create(self, topic: Topic) -> None:
        partitions = topic.partitions or self.default_partitions
        row = TopicRow(
            topic.name, uuid.uuid4().hex, self._next_number, partitions, partitions, topic.compacted, topic.retention_ms
        )
        self.store.save_topic(row)
        self._install(row)

    def _install(self, row: TopicRow) -> None:
        self.topics[row.name] = row
        self._next_number = max(self._next_number, row.number + 1)
        for number in range(row.partitions):
            if (row.name, number) not in self.partitions:
                self.partitions[row.name, number] = self.store.open_partition(row, number)

    def _forget_positions(self, topic: str) -> list[str]:
        groups: list[str] = []
        for group, positions in self.positions.items():
            mine = [partition for partition in positions if partition.topic == topic]
            groups.extend([group] if mine else [])
            for partition in mine:
                del positions[partition]
        self.positions = {group: positions for group, positions in self.positions.items() if positions}
        return groups

    # Records

    def target(self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers) -> Partition:
        """The partition of a record, if it can take the record.

        Raises:
            TopicMissing: there is no such topic.
            InvalidRecord: the topic has no such partition, or is compacted and the record has no key.
            MessageTooLarge: it is larger than the log takes.
        """
        found = self.partitions.get((topic, partition))
        if found is None:
            raise self.missing(topic, partition)
        size = (len(key) if key else 0) + (len(value) if value else 0)
        if headers:
            size += sum(len(name) + len(content) for name, content in headers)
        if size > self.message_max_bytes:
            raise MessageTooLarge(topic, size_bytes=size, limit_bytes=self.message_max_bytes)
        if key is None and found.compacted:
            raise InvalidRecord(topic, "it is compacted, and the record has no key")
        return found

    def missing(self, topic: str, partition: int) -> TopicMissing | InvalidRecord | LogClosed:
        """The error for a partition that is not there."""
        if self.closed:
            return LogClosed("the log was closed")
        row = self.topics.get(topic)
        if row is None:
            return TopicMissing(topic)
        return InvalidRecord(
            topic, f"it has {row.partitions} partitions, counted from 0, and so no partition {partition}"
        )

    def append(
        self, partition: Partition, key: bytes | None, value: bytes | None, headers: Headers, timestamp_ms: int | None
    ) -> int:
        """Append one record; returns its offset."""
        if timestamp_ms is None:
            timestamp_ms = self.clock.now_ms()
        with self.lock:
            if self.closed:
                raise LogClosed("the log was closed")
            offset = partition.end
            record = Record(partition.name, partition.number, offset, timestamp_ms, key, value, headers)
            self.store.append(((partition, (record,)),))
            partition.end = offset + 1
            partition.dirty += 1
            if partition.dirty >= partition.tidy_at:
                compaction.tidy(partition, self.clock.now_ms())
            if self._waiting:
                self.wake.notify_all()
            return offset

    def open_transactor(self, transactional_id: str) -> int:
        """A new epoch of the id; earlier ones are fenced."""
        with self.lock:
            self.check_open()
            epoch = self._epochs[transactional_id] = self._epochs.get(transactional_id, 0) + 1
            return epoch

    def check_epoch(self, transactional_id: str, epoch: int) -> None:
        """Raises:
        Fenced: the id has a newer transactor.
        """
        if self._epochs.get(transactional_id) != epoch:
            raise Fenced(transactional_id)

    def commit_unit(
        self,
        transactional_id: str,
        epoch: int,
        entries: Sequence[Entry],
        positions: Mapping[TopicPartition, Position],
        member: Member | None,
    ) -> dict[TopicPartition, int]:
        """Apply a unit; returns the last offset per partition."""
        now_ms = self.clock.now_ms()
        with self.lock:
            self.check_open()
            self.check_epoch(transactional_id, epoch)
            if member is not None:
                self._group(member.group).check_unit(member, positions)
            writes = self._number(entries, now_ms)
            self.store.append(writes.items(), "" if member is None else member.group, positions)
            last: dict[TopicPartition, int] = {}
            for partition, records in writes.items():
                partition.end += len(records)
                partition.dirty += len(records)
                last[partition.id] = partition.end - 1
                if partition.dirty >= partition.tidy_at:
                    compaction.tidy(partition, now_ms)
            if member is not None:
                self.positions.setdefault(member.group, {}).update(positions)
            self.wake.notify_all()
        self.store.sync()
        return last

    def _number(self, entries: Sequence[Entry], now_ms: int) -> dict[Partition, list[Record]]:
        writes: dict[Partition, list[Record]] = {}
        for partition, key, value, headers, at in entries:
            records = writes.get(partition)
            if records is None:
                if self.partitions.get((partition.name, partition.number)) is not partition:
                    raise TopicMissing(partition.name)
                records = writes[partition] = []
            offset = partition.end + len(records)
            records.append(
                Record(partition.name, partition.number, offset, now_ms if at is None else at, key, value, headers)
            )
        return writes

    def bounds(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """The first record's position and the end."""
        with self.lock:
            self.check_open()
            found = {partition: self._existing(partition) for partition in partitions}
            return {partition: (there.first(), there.end) for partition, there in found.items()}

    def _existing(self, partition: TopicPartition) -> Partition:
        found = self.partitions.get(partition)
        if found is None:
            raise self.missing(partition.topic, partition.partition)
        return found

    def compact(self, topic: str | None = None, *, tombstone_age: timedelta = timedelta(hours=24)) -> None:
        """Compact and apply retention now; tombstones go if they are that old and an earlier compaction saw them."""
        with self.lock:
            now_ms = self.clock.now_ms()
            for partition in [p for p in self.partitions.values() if topic in (None, p.name)]:
                compaction.tidy(partition, now_ms, tombstone_ms=int(tombstone_age.total_seconds() * 1000))

    # Groups

    def join(self, group: str, topics: Sequence[str], session_s: float) -> Membership:
        """A new member of a group."""
        with self.lock:
            self.check_open()
            there = self.groups.setdefault(group, Group(group))
            stay = there.join(topics, session_s, self.clock.monotonic())
            self.rebalance(there)
            return stay

    def leave(self, group: str, stay: Membership) -> None:
        """The member leaves, or is evicted."""
        with self.lock:
            self.evict(self._group(group), stay)

    def evict(self, group: Group, stay: Membership) -> None:
        """Remove a member; under the lock."""
        if stay.gone:
            return
        group.remove(stay)
        if not group.members:
            self.groups.pop(group.name, None)
        self.rebalance(group)

    def touch(self, group: Group, stay: Membership) -> None:
        """The member polls: it lives, and members that do not are evicted; under the lock."""
        now = self.clock.monotonic()
        stay.polled_at, stay.suspected_at = now, None
        for late in group.late(now):
            self.evict(group, late)

    def rebalance(self, group: Group) -> None:
        """Share the group's partitions anew; under the lock."""
        group.rebalance(partition.id for partition in self.partitions.values())
        self.wake.notify_all()

    def commit_positions(self, member: Member, positions: Mapping[TopicPartition, Position]) -> None:
        """Commit positions without a unit."""
        check_positions(positions)
        with self.lock:
            self.check_open()
            self._group(member.group).check_commit(member, positions)
            self.store.append((), member.group, positions)
            self.positions.setdefault(member.group, {}).update(positions)
        self.store.sync()

    def committed(self, group: str, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Position | None]:
        """The group's positions."""
        with self.lock:
            self.check_open()
            there = self.positions.get(group, {})
            return {partition: there.get(partition) for partition in partitions}

    def group_names(self) -> list[str]:
        """Groups with members or positions."""
        with self.lock:
            self.check_open()
            return sorted({*self.groups, *self.positions})

    def _group(self, name: str) -> Group:
        return self.groups.get(name) or Group(name)

    def _rebalance_all(self) -> None:
        for group in self.groups.values():
            self.rebalance(group)

    # Waiting, closing

    def wait(self, seconds: float) -> None:
        """Wait for anything to change; under the lock."""
        self._waiting += 1
        try:
            self.wake.wait(seconds)
        finally:
            self._waiting -= 1

    def wait_for(self, there: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is there; under the lock."""
        self._waiting += 1
        try:
            return self.wake.wait_for(there, seconds)
        finally:
            self._waiting -= 1

    def check_open(self) -> None:
        """Raises:
        LogClosed: the log was closed.
        """
        if self.closed:
            raise LogClosed("the log was closed")

    def close(self) -> None:
        """Close the store; whoever waits is woken and told."""
        with self.lock:
            if not self.closed:
                self.closed = True
                self.partitions = {}
                self.store.close()
                self.wake.notify_all()


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
