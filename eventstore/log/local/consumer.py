"""What reads from the local broker: readers and group consumers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from eventstore.log.errors import LogClosed, LogError, PositionMissing, TopicMissing
from eventstore.log.local.broker import Broker
from eventstore.log.local.groups import Group, LocalMember
from eventstore.log.port import Batch, Listener, Member
from eventstore.log.records import Position, Record, TopicPartition

_NAP_S = 0.1
"""Longest wait before looking at sessions again."""


class LocalReader:
    """Reads explicit partitions."""

    def __init__(self, broker: Broker, positions: Mapping[TopicPartition, int]) -> None:
        self._broker = broker
        self._positions = dict(positions)
        self._order = list(positions)
        self._closed = False
        with broker.lock:
            for partition in positions:
                if partition not in broker.partitions:
                    raise broker.missing(partition.topic, partition.partition)

    def read(self, max_records: int, timeout: float) -> list[Record]:
        deadline = time.monotonic() + timeout
        with self._broker.lock:
            while True:
                records = self._fetch(max_records)
                left = deadline - time.monotonic()
                if records or left <= 0:
                    return records
                self._broker.wait(left, self._positions)

    def position(self, partition: TopicPartition) -> int:
        return self._positions[partition]

    def close(self) -> None:
        self._closed = True

    def _fetch(self, limit: int) -> list[Record]:
        if self._closed:
            raise LogClosed("the reader was closed")
        found: list[Record] = []
        for partition in self._order:
            there = self._broker.partitions.get(partition)
            if there is None:
                raise self._broker.missing(partition.topic, partition.partition)
            position = self._positions[partition]
            if position > there.end:
                raise _beyond(partition, position, there.end)
            if position < there.end:
                records = there.read(position, limit - len(found))
                self._positions[partition] = _next(records, limit - len(found), there.end)
                found += records
            if len(found) >= limit:
                break
        self._order.append(self._order.pop(0)) if len(self._order) > 1 else None
        return found


class LocalConsumer:
    """A group member. Callbacks run without the broker's lock, on the thread that polls."""

    def __init__(self, broker: Broker, group: str, topics: Sequence[str], listener: Listener, session_s: float) -> None:
        self.group = group
        self._broker, self._topics, self._listener, self._session_s = broker, tuple(topics), listener, session_s
        self._stay = broker.join(group, topics, session_s)
        self._owned: frozenset[TopicPartition] = frozenset()
        self._started: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._order: list[TopicPartition] = []
        self._closed = False

    def poll(self, max_records: int, timeout: float) -> Batch:
        deadline = time.monotonic() + timeout
        broker = self._broker
        while True:
            changed = self._settle()
            with broker.lock:
                records = self._fetch(max_records)
                left = deadline - time.monotonic()
                if records or changed or left <= 0:
                    return Batch(records, self._member() if self._stay.owned else None)
                broker.wait(min(left, _NAP_S), self._order)

    def assignment(self) -> frozenset[TopicPartition]:
        return self._owned

    def start(self, partition: TopicPartition, position: int) -> None:
        self._check_open()
        if partition not in self._owned:
            raise LogError(f"{partition.topic}[{partition.partition}] is not assigned to this member of {self.group!r}")
        if position < 0:
            raise ValueError(f"{partition.topic}[{partition.partition}]: {position} is no position")
        self._started[partition] = position
        self._paused.discard(partition)
        self._reorder()

    def position(self, partition: TopicPartition) -> int:
        return self._started[partition]

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.update(self._owned.intersection(partitions))
        self._reorder()

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.difference_update(partitions)
        self._reorder()

    def committed(self, partitions: Iterable[TopicPartition], timeout: float) -> dict[TopicPartition, Position | None]:
        return self._broker.committed(self.group, partitions)

    def commit(self, positions: Mapping[TopicPartition, Position], member: Member | None = None) -> None:
        self._check_open()
        if positions:
            self._broker.commit_positions(member or self._member(), positions)

    def close(self) -> None:
        if self._closed:
            return
        try:
            if not self._broker.closed and self._owned and not self._stay.gone:
                self._listener.revoked(sorted(self._owned))
            elif self._owned:
                self._listener.lost(sorted(self._owned))
        finally:
            self._closed = True
            self._drop(self._owned)
            self._broker.leave(self.group, self._stay)

    def expire(self) -> None:
        """End this member's session now, as if it had been silent: what a test calls instead of waiting."""
        self._broker.leave(self.group, self._stay)

    # Assignment

    def _settle(self) -> bool:
        """Serve what the group decided; whether any callback was called."""
        with self._broker.lock:
            self._check_open()
            group = self._broker.coordinator.groups.get(self.group)
            gone = self._stay.gone
            if not gone and group is not None:
                self._broker.coordinator.touch(group, self._stay)
        if gone or group is None:
            return self._rejoin()
        return self._give_up(group) | self._take(group)

    def _rejoin(self) -> bool:
        lost = sorted(self._owned)
        self._drop(lost)
        if lost:
            self._listener.lost(lost)
        self._stay = self._broker.join(self.group, self._topics, self._session_s)
        return self._take(self._broker.coordinator.groups[self.group]) or bool(lost)

    def _give_up(self, group: Group) -> bool:
        with self._broker.lock:
            unwanted = group.unwanted(self._stay)
            vanished = [partition for partition in unwanted if partition not in self._broker.partitions]
        if not unwanted:
            return False
        revoked = [partition for partition in unwanted if partition not in vanished]
        try:
            if revoked:
                self._listener.revoked(revoked)
        finally:
            with self._broker.lock:
                group.release(self._stay, unwanted)
                self._broker.wake.notify_all()
            self._drop(unwanted)
        if vanished:
            self._listener.lost(vanished)
        return True

    def _take(self, group: Group) -> bool:
        with self._broker.lock:
            new = group.grant(self._stay)
        if not new:
            return False
        self._owned |= frozenset(new)
        self._listener.assigned(new)
        return True

    def _drop(self, partitions: Iterable[TopicPartition]) -> None:
        gone = frozenset(partitions)
        self._owned -= gone
        self._paused -= gone
        for partition in gone:
            self._started.pop(partition, None)
        self._reorder()

    def _reorder(self) -> None:
        self._order = [partition for partition in self._started if partition not in self._paused]

    def _member(self) -> LocalMember:
        return LocalMember(self.group, self._stay, self._stay.changes)

    # Records

    def _fetch(self, limit: int) -> list[Record]:
        self._check_open()
        broker = self._broker
        self._check_topics()
        if self._stay.gone:
            return []
        found: list[Record] = []
        for partition in self._order:
            there = broker.partitions[partition]
            position = self._started[partition]
            if position == there.end:
                continue
            if position > there.end or position < there.low:
                raise PositionMissing(
                    self.group,
                    *partition,
                    f"{position} is outside {there.low} to {there.end}; start it at one of these",
                )
            records = there.read(position, limit - len(found))
            self._started[partition] = _next(records, limit - len(found), there.end)
            found = found + records if found else records
            if len(found) >= limit:
                break
        if len(self._order) > 1:
            self._order.append(self._order.pop(0))
        return found

    def _check_topics(self) -> None:
        topics = self._broker.topics.rows
        for topic in self._topics:
            if topic not in topics:
                self._broker.check_open()
                raise TopicMissing(topic)

    def _check_open(self) -> None:
        if self._closed or self._broker.closed:
            raise LogClosed(f"the consumer of {self.group!r} was closed")


def _next(records: Sequence[Record], limit: int, end: int) -> int:
    """Where to go on: after the last record, and beyond what compaction left at the end."""
    return records[-1].offset + 1 if len(records) == limit else end


def _beyond(partition: TopicPartition, position: int, end: int) -> LogError:
    return LogError(
        f"{partition.topic}[{partition.partition}] ends at {end}, before the position {position}: the topic was made "
        "again, or the position is of another topic; read from its start"
    )
