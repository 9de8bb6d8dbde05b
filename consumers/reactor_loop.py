"""The loop of a reactor: poll events, write what they lead to and the positions in one transaction.

It follows the rules of units (K2, K3, K6, K12), without their state: positions of all partitions that were read are in
each transaction, with the membership of the poll; what is ambiguous replaces the producer and begins again from the
committed positions. Of a batch that the log does not take, the one record is found by halving, and the rest goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from consumers.dead_letters import state_of
from consumers.first_start import FirstStart
from consumers.reactions import Output
from eventstore.component import Host
from eventstore.log.errors import (
    DataRefused,
    Fenced,
    InvalidRecord,
    LogError,
    MessageTooLarge,
    OutcomeUnknown,
    StaleMember,
    TopicMissing,
    TransactionAborted,
)
from eventstore.log.port import Batch, GroupConsumer, Producer, Transactor
from eventstore.log.records import Position, Record, Topic, TopicPartition
from eventstore.processor.inputs import Outgoing
from eventstore.processor.predecessor import commit_metadata
from eventstore.processor.served import EMPTY_SECONDS
from eventstore.processor.topics import DAY_MS, dead_letters_of

log = structlog.get_logger()

BATCH_RECORDS = 500
COMMITTED_SECONDS = 0.05
POSITION_MS = 1_000


class ReactorLoop:
    """Runs one reactor in one process."""

    def __init__(self, host: Host, group: str, topics: Sequence[str], output: Output) -> None:
        self._host, self._topics, self._output = host, list(topics), output
        self.group = group
        self._dead_letters = {dead_letters_of(topic, group) for topic in topics}
        self.name = f"reactor {self.group}"
        self._id = f"{self.group}.{host.slot}"
        self._metadata = commit_metadata(self._id, host.address)
        self._taking: set[TopicPartition] = set()
        self._positions: dict[TopicPartition, int] = {}
        self._sent: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        """Where partitions ended when they were taken that were not handled and committed so far yet."""
        self._sent_ms = self._recommitted_ms = host.clock.now_ms()
        self._joined, self._joined_at = False, float("inf")
        self._limit = BATCH_RECORDS
        self._counts = dict.fromkeys(("events", "commands", "aborted"), 0.0)
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
        batch = consumer.poll(self._limit, 0.0 if self._taking else timeout)
        self._joined = batch.member is not None
        if self._joined:
            self._joined_at = min(self._joined_at, self._host.clock.monotonic())
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
        # a member is known to be one before it hears what it is assigned
        is_told = bool(self._positions) or self._host.clock.monotonic() - self._joined_at > EMPTY_SECONDS
        return is_told and self._joined and not self._taking

    def is_settled(self) -> bool:
        if not self.is_ready():
            return False
        positions = dict(self._positions)
        ends = self._host.log.end_positions(positions, isolation="uncommitted")
        return all(positions[at] >= end for at, end in ends.items()) and self._sent == positions

    def metrics(self) -> Mapping[str, float]:
        counts = self._counts | {"failed": self._output.failed, "skipped": self._output.skipped}
        samples: dict[str, float] = {f"reactor_{name}_total": value for name, value in counts.items()}
        sent = dict(self._sent)
        samples["partitions_assigned"] = len(self._positions)
        try:
            ends = self._host.log.end_positions(sent)
            samples["queue_length"] = sum(max(0, end - sent[at]) for at, end in ends.items())
        except LogError:
            samples["log_unreachable"] = 1
        return samples

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
        self._ends = {at: end for at, end in self._ends.items() if at not in partitions}

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
        ends = self._host.log.end_positions(found)
        for at, position in found.items():
            offset = (position or first[at]).offset
            consumer.start(at, offset)
            self._positions[at] = self._sent[at] = offset
        self._ends = self._ends | ends
        self._forget_reached()
        self._taking.clear()

    def _forget_reached(self) -> None:
        self._ends = {at: end for at, end in self._ends.items() if self._sent.get(at, 0) < end}

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
        has_arrived = any(self._positions.get(at, 0) >= end for at, end in self._ends.items())
        return has_arrived or (self._sent != self._positions and now_ms - self._sent_ms > POSITION_MS)

    def _run(self, batch: Batch) -> None:
        if not self._positions:
            return
        ours = [record for record in batch.records if TopicPartition(record.topic, record.partition) in self._positions]
        out = [each for record in ours for each in self._output.of(record)]
        try:
            self._commit(batch, out)
        except DataRefused as error:
            self._isolate(error, batch, ours)
        except (OutcomeUnknown, Fenced) as error:
            self._begin_again(error, replace=True)
        except TransactionAborted as error:
            self._begin_again(error, replace=False)

    def _isolate(self, error: DataRefused, batch: Batch, ours: Sequence[Record]) -> None:
        """K6: a smaller batch next time; of a single record, something else is written in its place."""
        assert self._transactor is not None, "a batch was open"
        self._transactor.abort()
        if len(ours) > 1:
            self._limit = len(ours) // 2
            self._begin_again(error, replace=False)
            return
        try:
            self._commit(batch, [each for record in ours for each in self._output.of_refused(record, error)])
        except DataRefused:
            raise  # not because of the record: this machine's clock is wrong, or the topic takes nothing
        except (OutcomeUnknown, Fenced) as unknown:
            self._begin_again(unknown, replace=True)
        except TransactionAborted as aborted:
            self._begin_again(aborted, replace=False)

    def _commit(self, batch: Batch, out: Sequence[Outgoing]) -> None:
        """One transaction: what is written and all positions (K2). Raises what `Transactor.commit` raises."""
        transactor = self._transactor
        assert transactor is not None, "open() comes first"
        positions = {at: Position(offset, self._metadata) for at, offset in self._positions.items()}
        transactor.begin()
        try:
            transactor.produce_all(out)
        except (MessageTooLarge, InvalidRecord) as error:
            raise DataRefused(str(error)) from error
        transactor.commit(positions, batch.member)
        self._sent = dict(self._positions)
        self._forget_reached()
        self._sent_ms = self._host.clock.now_ms()
        self._counts["events"] += len(batch.records)
        self._counts["commands"] += sum(topic not in self._dead_letters for topic, *_ in out)
        if batch.records:
            self._limit = min(self._limit * 2, BATCH_RECORDS)

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


def _beside(topic: str, group: str, partitions: int) -> list[Topic]:
    return [
        Topic(name=dead_letters_of(topic, group), partitions=partitions),
        Topic(name=state_of(topic, group), partitions=partitions, compacted=True),
    ]
