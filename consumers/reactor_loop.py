"""The loop of a reactor: poll events, send the commands they lead to and the positions in one transaction.

It follows the rules of units (K2, K3, K6, K12), without their state: positions of all partitions that were read are in
each transaction, with the membership of the poll; what is ambiguous replaces the producer and begins again from the
committed positions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from consumers.dead_letters import state_of
from consumers.delivery import metadata_of, timestamp_of
from consumers.first_start import FirstStart
from eventstore.component import Host
from eventstore.dead_letters import dead_letter_headers
from eventstore.event_records import place_of
from eventstore.log.errors import (
    DataRefused,
    Fenced,
    LogError,
    MessageTooLarge,
    OutcomeUnknown,
    StaleMember,
    TopicMissing,
    TransactionAborted,
)
from eventstore.log.port import Batch, GroupConsumer, Producer, Transactor
from eventstore.log.records import Position, Record, Topic, TopicPartition
from eventstore.processor.context import OVERHEAD_BYTES, derived_id
from eventstore.processor.inputs import Outgoing
from eventstore.processor.predecessor import commit_metadata
from eventstore.processor.routes import Routes
from eventstore.processor.topics import DAY_MS, dead_letters_of, inbox_of
from eventstore.streams import Position as StorePosition
from eventstore.streams import Recorded
from schemas import Command, Event, Message, Metadata, key_of

log = structlog.get_logger()

BATCH_RECORDS = 500
COMMITTED_SECONDS = 0.05
POSITION_MS = 1_000


@dataclass(frozen=True, slots=True)
class Reaction:
    """A handler of events."""

    function: Callable[..., Any]
    wants_recorded: bool


class ReactorLoop:
    """Runs one reactor in one process."""

    def __init__(
        self, host: Host, name: str, topics: Sequence[str], reactions: Mapping[type[Message], Reaction]
    ) -> None:
        self._host, self._topics = host, list(topics)
        self.group = f"{host.service}.{name}"
        self.name = f"reactor {self.group}"
        self._reactor = name
        self._reactions = reactions
        self._names = {event.__type_name__ for event in reactions}
        self._id = f"{self.group}.{host.slot}"
        self._metadata = commit_metadata(self._id, host.address)
        self._routes = Routes(host.log)
        self._taking: set[TopicPartition] = set()
        self._positions: dict[TopicPartition, int] = {}
        self._sent: dict[TopicPartition, int] = {}
        self._sent_ms = self._recommitted_ms = host.clock.now_ms()
        self._joined = False
        self._counts = dict.fromkeys(("events", "commands", "failed", "skipped", "aborted"), 0.0)
        self._consumer: GroupConsumer | None = None
        self._transactor: Transactor | None = None
        self._producer: Producer | None = None

    def open(self) -> None:
        log_ = self._host.log
        described = log_.describe(self._topics)
        for topic in self._topics:
            if topic not in described:
                raise TopicMissing(topic)
        counts = {topic: described[topic].partitions for topic in self._topics}
        log_.create(beside for topic, count in counts.items() for beside in _beside(topic, self.group, count))
        self._transactor = log_.transactor(self._id)
        self._producer = log_.producer()
        self._consumer = log_.group(self.group, self._topics, self)

    def step(self, timeout: float) -> bool:
        consumer = self._consumer
        assert consumer is not None, "open() comes first"
        batch = consumer.poll(BATCH_RECORDS, 0.0 if self._taking else timeout)
        self._joined = batch.member is not None
        self._take(consumer)
        for at in self._positions:
            self._positions[at] = consumer.position(at)
        if batch.member is None:
            if batch.records:
                self._read_again()
            return False
        if batch.records or self._is_position_due():
            self._run(batch)
        return bool(batch.records)

    def is_ready(self) -> bool:
        return self._joined and not self._taking

    def is_settled(self) -> bool:
        if not self.is_ready():
            return False
        positions = dict(self._positions)
        ends = self._host.log.end_positions(positions, isolation="uncommitted")
        return all(positions[at] >= end for at, end in ends.items()) and self._sent == positions

    def metrics(self) -> Mapping[str, float]:
        return {f"reactor_{name}_total": value for name, value in self._counts.items()}

    def stop(self, deadline: float) -> None:
        """Leave the group; no transaction is open between steps."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()
        if self._transactor is not None:
            self._transactor.close()
            self._transactor = None
        if self._producer is not None:
            self._producer.close()
            self._producer = None

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self._taking.update(partitions)

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        for at in partitions:
            self._taking.discard(at)
            self._positions.pop(at, None)
            self._sent.pop(at, None)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.revoked(partitions)

    def _take(self, consumer: GroupConsumer) -> None:
        """Start assigned partitions at their committed positions, for the first time at the log's start (K2, K12)."""
        if not self._taking:
            return
        try:
            found = consumer.committed(self._taking, COMMITTED_SECONDS)
        except TimeoutError:
            return
        missing = [at for at, position in found.items() if position is None]
        try:
            first = self._first_positions(consumer, missing) if missing else {}
        except StaleMember:
            return  # the group is moving: what is still ours is taken in the next step
        for at, position in found.items():
            offset = (position or first[at]).offset
            consumer.start(at, offset)
            self._positions[at] = self._sent[at] = offset
        self._taking.clear()

    def _first_positions(
        self, consumer: GroupConsumer, missing: Sequence[TopicPartition]
    ) -> dict[TopicPartition, Position]:
        assert self._producer is not None, "open() comes first"
        log_ = self._host.log
        first = FirstStart(consumer, log_, self._producer)
        starts, ends = log_.start_positions(missing), log_.end_positions(missing, isolation="uncommitted")
        return {at: first.begin(at, at.topic, starts[at], ends[at], self._metadata) for at in missing}

    def _is_position_due(self) -> bool:
        now_ms = self._host.clock.now_ms()
        if now_ms - self._recommitted_ms > DAY_MS:
            self._recommitted_ms, self._sent = now_ms, {}
        return self._sent != self._positions and now_ms - self._sent_ms > POSITION_MS

    def _run(self, batch: Batch) -> None:
        out: list[Outgoing] = []
        for record in batch.records:
            if TopicPartition(record.topic, record.partition) in self._positions:
                out.extend(self._react(record))
        transactor = self._transactor
        assert transactor is not None, "open() comes first"
        positions = {at: Position(offset, self._metadata) for at, offset in self._positions.items()}
        if not positions:
            return
        try:
            transactor.begin()
            for topic, partition, key, value, headers, time_ms in out:
                transactor.produce(topic, partition, key, value, headers, timestamp_ms=time_ms)
            transactor.commit(positions, batch.member)
        except (OutcomeUnknown, Fenced) as error:
            self._begin_again(error, replace=True)
        except DataRefused:
            raise
        except TransactionAborted as error:
            self._begin_again(error, replace=False)
        else:
            self._sent = dict(self._positions)
            self._sent_ms = self._host.clock.now_ms()
            self._counts["events"] += len(batch.records)
            self._counts["commands"] += len(out)

    def _begin_again(self, error: LogError, *, replace: bool) -> None:
        """K6: what is not known to have happened is read again from the committed positions."""
        log.warning("batch_aborted", group=self.group, error=type(error).__name__, detail=str(error))
        self._counts["aborted"] += 1
        assert self._transactor is not None, "a batch was open"
        if replace:
            self._transactor.close()
            self._transactor = self._host.log.transactor(self._id)
        self._read_again()

    def _read_again(self) -> None:
        """Begin anew from the committed positions, before anything else is handled."""
        assert self._consumer is not None, "a batch was polled"
        assigned = self._consumer.assignment()
        self._consumer.pause(assigned)
        self._taking.update(assigned)
        self._positions.clear()
        self._sent.clear()

    def _react(self, record: Record) -> list[Outgoing]:
        """The commands that one event leads to; a dead letter if it cannot be handled."""
        serde = self._host.serde
        if record.value is None:
            return []
        try:
            name = serde.type_of(record.value)
            if name.name not in self._names:
                self._counts["skipped"] += 1
                return []
            event = serde.decode(record.value)
            reaction = self._reactions.get(type(event))
            if reaction is None or not isinstance(event, Event):
                self._counts["skipped"] += 1
                return []
            metadata = metadata_of(record)
            commands = self._call(reaction, event, metadata, record)
            return [self._outgoing(command, metadata, number) for number, command in enumerate(commands)]
        except (LogError, MemoryError, OSError) as error:
            if not isinstance(error, MessageTooLarge):
                raise
            return [self._dead_letter(record, error)]
        except Exception as error:  # noqa: BLE001 - whatever a user's handler raises makes the record poison
            return [self._dead_letter(record, error)]

    def _call(self, reaction: Reaction, event: Event, metadata: Metadata, record: Record) -> list[Command[Any, Any]]:
        if not reaction.wants_recorded:
            return list(reaction.function(event))
        stream, version = place_of(record)
        position = StorePosition.at(record.partition, record.offset + 1)
        recorded = Recorded(event, version, stream, metadata, timestamp_of(record), position)
        return list(reaction.function(event, recorded))

    def _outgoing(self, command: Command[Any, Any], cause: Metadata, number: int) -> Outgoing:
        topic, key = inbox_of(command.__to__), key_of(command)
        value = self._host.serde.encode(command)
        size = len(value) + OVERHEAD_BYTES
        if size > self._routes.message_max_bytes:
            raise MessageTooLarge(topic, size_bytes=size, limit_bytes=self._routes.message_max_bytes)
        metadata = Metadata(
            id=derived_id(f"{self._reactor}/{cause.id}", number), type=command.__type_name__,
            correlation=cause.correlation, causation=cause.id,
        )  # fmt: skip
        headers = (("meta", metadata.encode()),)
        return topic, self._routes.partition(topic, key), key.encode(), value, headers, self._host.clock.now_ms()

    def _dead_letter(self, record: Record, error: Exception) -> Outgoing:
        log.warning(
            "record_dead_lettered", group=self.group, topic=record.topic, partition=record.partition,
            offset=record.offset, error=type(error).__name__, detail=str(error)[:500],
        )  # fmt: skip
        self._counts["failed"] += 1
        now_ms = self._host.clock.now_ms()
        headers = dead_letter_headers(
            headers=tuple(record.headers), topic=record.topic, partition=record.partition, offset=record.offset,
            group=self.group, error=error, attempts=1, now_ms=now_ms,
        )  # fmt: skip
        return dead_letters_of(record.topic, self.group), record.partition, record.key, record.value, headers, now_ms


def _beside(topic: str, group: str, partitions: int) -> list[Topic]:
    return [
        Topic(name=dead_letters_of(topic, group), partitions=partitions),
        Topic(name=state_of(topic, group), partitions=partitions, compacted=True),
    ]
