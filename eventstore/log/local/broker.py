"""The broker inside the process: records, offsets, units and fencing, under one lock.

Every append, commit and change of a group happens under `lock`, also those of its parts, `Topics` and `Coordinator`;
whoever waits for records or assignments waits on `wake`. Waiting takes real time; sessions and timestamps follow the
given clock, which a test may move by hand.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta

from eventstore.clock import Clock, SystemClock
from eventstore.log.errors import Fenced, InvalidRecord, LogClosed, MessageTooLarge, TopicMissing
from eventstore.log.local import compaction
from eventstore.log.local.coordinator import Coordinator, check_positions
from eventstore.log.local.groups import Membership
from eventstore.log.local.store import Entry, Partition, Store
from eventstore.log.local.topics import Topics
from eventstore.log.local.waking import Wake
from eventstore.log.port import Member
from eventstore.log.records import Headers, Position, Topic, TopicDescription, TopicPartition

MESSAGE_MAX_BYTES = 1_000_000
DEFAULT_PARTITIONS = 4


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
        self.message_max_bytes = message_max_bytes
        self.lock = threading.Lock()
        self.wake = Wake(self.lock)
        self.closed = False
        self.topics = Topics(store, default_partitions)
        self.partitions = self.topics.partitions
        self.coordinator = Coordinator(self.partitions, store.positions(), self.clock, self.wake)
        self._epochs: dict[str, int] = {}

    # Topics

    def create(self, topics: Iterable[Topic]) -> None:
        """Make what is missing, check what is there."""
        with self.lock:
            self.check_open()
            self.topics.create(topics)
            self.coordinator.rebalance()

    def describe(self, names: Iterable[str] | None) -> dict[str, TopicDescription]:
        """The topics of these names that exist."""
        with self.lock:
            self.check_open()
            return self.topics.describe(names)

    def configuration(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """The settings in force of the topics of these names that exist."""
        with self.lock:
            self.check_open()
            return self.topics.configuration(names)

    def configure(self, topic: str, settings: Mapping[str, str]) -> None:
        """Change settings of a topic."""
        with self.lock:
            self.check_open()
            self.topics.configure(topic, settings)

    def delete(self, names: Iterable[str]) -> None:
        """Delete topics with all that belongs to them."""
        with self.lock:
            self.check_open()
            for row in self.topics.remove(names):
                self.store.drop_topic(row, self.coordinator.forget(row.name))
            self.coordinator.rebalance()

    def add_partitions(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions behind the manifest's back, as an administrator of a Kafka cluster could."""
        with self.lock:
            self.topics.grow(topic, partitions)
            self.coordinator.rebalance()

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
        return self.topics.missing(topic, partition)

    def append(
        self, partition: Partition, key: bytes | None, value: bytes | None, headers: Headers, timestamp_ms: int | None
    ) -> int:
        """Append one record; returns its offset."""
        if timestamp_ms is None:
            timestamp_ms = self.clock.now_ms()
        with self.lock:
            if self.closed:
                raise LogClosed("the log was closed")
            offset, entries = partition.end, ((timestamp_ms, key, value, headers),)
            self.store.append(((partition, entries),))
            self._appended(partition, entries)
            self.wake.notify({partition.id})
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
        writes: Mapping[Partition, Sequence[Entry]],
        positions: Mapping[TopicPartition, Position],
        member: Member | None,
    ) -> dict[TopicPartition, int]:
        """Apply a unit; returns the last offset per partition."""
        with self.lock:
            self.check_open()
            self.check_epoch(transactional_id, epoch)
            if member is not None:
                self.coordinator.group(member.group).check_unit(member, positions)
            for partition in writes:
                if self.partitions.get((partition.name, partition.number)) is not partition:
                    raise TopicMissing(partition.name)
            self.store.append(writes.items(), "" if member is None else member.group, positions)
            last: dict[TopicPartition, int] = {}
            for partition, entries in writes.items():
                self._appended(partition, entries)
                last[partition.id] = partition.end - 1
            if member is not None:
                self.coordinator.remember(member.group, positions)
            self.wake.notify(last.keys())
        self.store.sync()
        return last

    def _appended(self, partition: Partition, entries: Sequence[Entry]) -> None:
        """The store has them."""
        partition.end += len(entries)
        partition.dirty += len(entries)
        for entry in entries:
            if entry[2] is None:
                partition.tombstones += 1
        if partition.dirty >= partition.tidy_at:
            compaction.tidy(partition, self.clock.now_ms())

    def bounds(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Where partitions begin and end. Compaction moves neither: what it removed was replaced, not lost."""
        with self.lock:
            self.check_open()
            found = {partition: self._existing(partition) for partition in partitions}
            return {
                partition: (there.low if there.compacted else there.first(), there.end)
                for partition, there in found.items()
            }

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

    def erase(self, topic: str) -> None:
        """Compact a topic now, on the disk too."""
        self.compact(topic)
        with self.lock:
            self.check_open()
            rows = [found.row for found in self.partitions.values() if found.name == topic]
        for row in rows[:1]:
            self.store.squeeze(row)

    # Groups

    def join(self, group: str, topics: Sequence[str], session_s: float) -> Membership:
        """A new member of a group."""
        with self.lock:
            self.check_open()
            return self.coordinator.join(group, topics, session_s)

    def leave(self, group: str, stay: Membership) -> None:
        """The member leaves, or is evicted."""
        with self.lock:
            self.coordinator.evict(self.coordinator.group(group), stay)

    def commit_positions(self, member: Member, positions: Mapping[TopicPartition, Position]) -> None:
        """Commit positions without a unit."""
        check_positions(positions)
        with self.lock:
            self.check_open()
            self.coordinator.group(member.group).check_commit(member, positions)
            self.store.append((), member.group, positions)
            self.coordinator.remember(member.group, positions)
        self.store.sync()

    def committed(self, group: str, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Position | None]:
        """The group's positions."""
        with self.lock:
            self.check_open()
            return self.coordinator.committed(group, partitions)

    def group_names(self, *, live: bool = False) -> list[str]:
        """Groups with members or positions; `live`: with members."""
        with self.lock:
            self.check_open()
            return self.coordinator.live() if live else self.coordinator.names()

    # Waiting, closing

    def wait(self, seconds: float, partitions: Collection[TopicPartition]) -> None:
        """Wait for records of these partitions, or for anything else that changes; under the lock."""
        self.wake.wait(seconds, partitions)

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
                self.partitions.clear()
                self.store.close()
                self.wake.notify_all()
