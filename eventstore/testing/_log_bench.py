"""What the contract suite of the log port works with: a log, names of its own, members that remember what happened."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Protocol, TypeVar

from eventstore.log.errors import LogError
from eventstore.log.port import Batch, GroupConsumer, Log, Member, Producer, Reader, Transactor
from eventstore.log.records import Isolation, Position, Record, Topic, TopicPartition

T = TypeVar("T")

_numbers = itertools.count(1)
_run = os.urandom(3).hex()


class Closable(Protocol):
    """Whatever has to be closed."""

    def close(self) -> None:
        """Release what it holds."""
        ...


class RecordingMember:
    """A group member that remembers what it heard, and starts what it is given at the committed position, or at 0."""

    def __init__(self, log: Log, group: str, topics: Sequence[str], *, autostart: bool = True) -> None:
        self.heard: list[tuple[str, tuple[TopicPartition, ...]]] = []
        self.records: list[Record] = []
        self.batch = Batch((), None)
        self.while_revoked: Callable[[Sequence[TopicPartition]], None] = lambda partitions: None
        self._autostart = autostart
        self.consumer: GroupConsumer = log.group(group, topics, self)

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self.heard.append(("assigned", tuple(sorted(partitions))))
        if self._autostart:
            for partition, position in self.consumer.committed(partitions, 10).items():
                self.consumer.start(partition, position.offset if position else 0)

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.heard.append(("revoked", tuple(sorted(partitions))))
        self.while_revoked(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.heard.append(("lost", tuple(sorted(partitions))))

    def poll(self, max_records: int = 500, timeout: float = 0.05) -> Sequence[Record]:
        """Poll once; what came is added to `records`, the batch kept as `batch`."""
        self.batch = self.consumer.poll(max_records, timeout)
        self.records.extend(self.batch.records)
        return self.batch.records

    def told(self, what: str) -> frozenset[TopicPartition]:
        """All partitions that were ever named in callbacks of this kind."""
        return frozenset(partition for kind, partitions in self.heard for partition in partitions if kind == what)

    @property
    def owned(self) -> frozenset[TopicPartition]:
        """The assignment as of the last poll."""
        return self.consumer.assignment()

    @property
    def member(self) -> Member:
        """Who it was at the last poll."""
        assert self.batch.member is not None, "not a member"
        return self.batch.member

    def values(self) -> list[bytes | None]:
        """The values received so far."""
        return [record.value for record in self.records]

    def close(self) -> None:
        """Leave the group."""
        self.consumer.close()


class LogBench:
    """A log under test; closes what was opened through it."""

    def __init__(self, log: Log, reopen: Callable[[Log], Log], timeout_s: float, visibility_s: float = 0.0) -> None:
        self.log, self._reopen, self._timeout_s, self._visibility_s = log, reopen, timeout_s, visibility_s
        self._open: list[Closable] = []

    def name(self, stem: str) -> str:
        """A name that nothing else has."""
        return f"{stem}-{_run}-{next(_numbers)}"

    def topic(self, stem: str = "topic", *, partitions: int = 1, **options: object) -> str:
        """Create a topic of a fresh name."""
        topic = Topic(name=self.name(stem), partitions=partitions, **options)  # type: ignore[arg-type] # options of Topic
        self.log.create([topic])
        return topic.name

    def eventually(self, predicate: Callable[[], T]) -> T:
        """Wait for a true answer, with the suite's deadline."""
        nobody, deadline = threading.Event(), time.monotonic() + self._timeout_s
        while True:
            answer = predicate()
            if answer:
                return answer
            assert time.monotonic() < deadline, f"not true within {self._timeout_s:g} s, last answer {answer!r}"
            nobody.wait(0.01)

    def producer(self) -> Producer:
        """A producer."""
        return self.keep(self.log.producer())

    def transactor(self, transactional_id: str | None = None) -> Transactor:
        """A transactor, by default of a fresh id."""
        return self.keep(self.log.transactor(transactional_id or self.name("unit")))

    def reader(self, positions: Mapping[TopicPartition, int], *, isolation: Isolation = "committed") -> Reader:
        """A reader."""
        return self.keep(self.log.reader(positions, isolation=isolation))

    def join(self, group: str, *topics: str, autostart: bool = True) -> RecordingMember:
        """A member of a group."""
        return self.keep(RecordingMember(self.log, group, topics, autostart=autostart))

    def produce(self, topic: str, *values: bytes | None, partition: int = 0, key: bytes | None = b"key") -> list[int]:
        """Produce and wait for the acknowledgements; the offsets."""
        producer, offsets = self.log.producer(), list[int]()

        def acknowledged(error: LogError | None, offset: int) -> None:
            assert error is None, error
            offsets.append(offset)

        for value in values:
            producer.produce(topic, partition, key, value, on_delivery=acknowledged)
        producer.flush(self._timeout_s)
        producer.close()
        return offsets

    def read(
        self, topic: str, partition: int = 0, *, start: int = 0, isolation: Isolation = "committed"
    ) -> list[Record]:
        """All records up to the end."""
        place = TopicPartition(topic, partition)
        end = self._end(place, isolation)
        reader, found, deadline = self.log.reader({place: start}, isolation=isolation), list[Record](), time.monotonic()
        while reader.position(place) < end:
            found += reader.read(500, 0.05)
            assert time.monotonic() < deadline + self._timeout_s, (
                f"{place} ends at {end}, read to {reader.position(place)}"
            )
        reader.close()
        return found

    def _end(self, place: TopicPartition, isolation: Isolation) -> int:
        """The end; where a commit shows a moment after it is acknowledged, as on Kafka, that moment is waited for.

        With a unit that stays open the wait is in vain, and short.
        """
        nobody, deadline = threading.Event(), time.monotonic() + self._visibility_s
        while True:
            whole = self.log.end_positions([place], isolation="uncommitted")[place]
            end = self.log.end_positions([place], isolation=isolation)[place]
            if end >= whole or time.monotonic() >= deadline:
                return end
            nobody.wait(0.01)

    def values(self, topic: str, partition: int = 0, *, isolation: Isolation = "committed") -> list[bytes | None]:
        """The values of all records."""
        return [record.value for record in self.read(topic, partition, isolation=isolation)]

    def poll_until(self, done: Callable[[], object], *members: RecordingMember) -> None:
        """Poll these members in turn until something is true."""

        def turn() -> bool:
            for member in members:
                member.poll()
            return bool(done())

        self.eventually(turn)

    def settle(self, partitions: Iterable[TopicPartition], *members: RecordingMember) -> None:
        """Poll these members until they own the partitions between them, each one at least one if there are enough."""
        wanted = frozenset(partitions)
        least = 1 if len(members) <= len(wanted) else 0

        def is_shared() -> bool:
            owned = [member.owned for member in members]
            return (
                frozenset[TopicPartition]().union(*owned) == wanted
                and sum(map(len, owned)) == len(wanted)
                and min(map(len, owned)) >= least
                and all(member.batch.member is not None for member in members if member.owned)
            )

        self.poll_until(is_shared, *members)

    def restart(self) -> None:
        """Close everything and open the log again."""
        self.close_all()
        self.log = self._reopen(self.log)

    def keep(self, opened: C) -> C:
        """Close it at the end."""
        self._open.append(opened)
        return opened

    def close_all(self) -> None:
        """Close what was opened, the last first."""
        with ExitStack() as stack:
            for opened in self._open:
                stack.callback(opened.close)
            self._open.clear()


C = TypeVar("C", bound=Closable)


def places(topic: str, partitions: int) -> list[TopicPartition]:
    """The first so many partitions of a topic."""
    return [TopicPartition(topic, number) for number in range(partitions)]


def at(offset: int, metadata: str = "") -> Position:
    """A position."""
    return Position(offset, metadata)
