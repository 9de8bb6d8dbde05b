"""One process's part in running processors: a group member, a transactional producer and a loop.

One batch: poll → decide into a buffer → one transaction of events, replies, commands, outcomes and positions → one
write of rows per partition → answer local callers. The rules are K1–K4 and K6–K10.

Exactly once means: what a batch reads and writes is in the log once, however often the batch is tried. What is *not*
promised: that `decide` runs once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from eventstore.component import Host
from eventstore.errors import (
    Fenced,
    InvalidRecord,
    MessageTooLarge,
    OutcomeUnknown,
    TransactionAborted,
)
from eventstore.log.port import Batch, GroupConsumer, Position, Record, TopicPartition, Transactor
from eventstore.processor.calls import Calls
from eventstore.processor.due import Barrier
from eventstore.processor.index import StreamIndex
from eventstore.processor.inputs import Answered, Call, Input, Outgoing
from eventstore.processor.intake import Fault, Intake, Unread
from eventstore.processor.partition import Partition
from eventstore.processor.port import Processor
from eventstore.processor.routes import Routes
from eventstore.processor.takeover import Takeover, commit_metadata
from eventstore.processor.topics import DAY_MS, events_of, inbox_of, state_of

log = structlog.get_logger()

BATCH_INPUTS = 500
"""Inputs per transaction at most: about 2,000 rows, which hold the interpreter for a millisecond."""
POSITION_MS = 1_000
"""How long positions that moved without output may stay uncommitted."""
GATHER_SECONDS = 0.0015
"""How long a batch waits for callers that were just answered to call again: one commit then serves them all."""
IDLE_SECONDS = 0.02
BUSY_SECONDS = 0.0005
EMPTY_SECONDS = 3.0
"""A member of a group that was given no partition for this long is not about to get one."""


class Unit:
    """Runs processors, whose topics exist. `call`, `index`, `owns` and the questions may come from any thread, the rest from the loop's."""

    def __init__(
        self,
        host: Host,
        processors: Sequence[Processor[Any]],
        *,
        moved: Callable[[Call], None],
        group: str | None = None,
    ) -> None:
        """`moved` takes over the local calls for partitions that are not here (any more)."""
        self._host, self.group, self._moved = host, group or host.service, moved
        self.name = f"unit {self.group}"
        self._processors = {inbox_of(processor.name): processor for processor in processors}
        self._id = f"{self.group}.{host.slot}"
        self._metadata = commit_metadata(self._id, host.address)
        self._routes, self._intake, self._barrier = Routes(host.log), Intake(host.serde), Barrier(host.log)
        self._calls = Calls()
        self._waiting: list[Call] = []
        """Calls for partitions that are being taken."""
        self._partitions: dict[TopicPartition, Partition[Any]] = {}
        self._positions: dict[TopicPartition, int] = {}
        self._sent: dict[TopicPartition, int] = {}
        self._takeovers: list[Takeover] = []
        self._stashed: list[Record] = []
        self._joined = False
        self._joined_at = 0.0
        self._returning = 0
        self._limit = BATCH_INPUTS
        self._positions_sent_ms = self._recommitted_ms = host.clock.now_ms()
        self._idle = BUSY_SECONDS
        self._counts = dict.fromkeys(("inputs", "batches", "aborted", "unknown", "failed", "fenced"), 0.0)
        self._consumer: GroupConsumer | None = None
        self._transactor: Transactor | None = None

    def call(self, call: Call) -> None:
        """Let a local call join the next batch, or pass it on if its partition is not here."""
        if not self._calls.put(call):
            self._moved(call)

    def owns(self, processor: str, partition: int) -> bool:
        """Whether the partition is served here, or about to be."""
        at = TopicPartition(inbox_of(processor), partition)
        return at in self._partitions or any(at in takeover.targets for takeover in tuple(self._takeovers))

    def index(self, processor: str, partition: int) -> StreamIndex | None:
        """The local index of a partition that is served here."""
        served = self._partitions.get(TopicPartition(inbox_of(processor), partition))
        return None if served is None else served.index

    def is_ready(self) -> bool:
        if not self._joined or self._takeovers:
            return False
        return bool(self._partitions) or self._host.clock.monotonic() - self._joined_at > EMPTY_SECONDS

    def is_settled(self) -> bool:
        if self._calls or self._waiting or not self.is_ready():
            return False
        served = list(self._partitions.items())
        ends = self._host.log.end_positions([at for at, _ in served], isolation="uncommitted")
        now_ms = self._host.clock.now_ms()
        return not self._calls and all(
            self._positions.get(at, -1) >= ends[at] and not one.timers.has_due(now_ms) for at, one in served
        )

    def metrics(self) -> Mapping[str, float]:
        served = list(self._partitions.values())
        return {
            **{f"processor_{name}_total": value for name, value in self._counts.items()},
            "processor_partitions": float(len(served)),
            "processor_timers": float(sum(len(one.timers) for one in served)),
        }

    def open(self) -> None:
        self._transactor = self._host.log.transactor(self._id)
        self._consumer = self._host.log.group(self.group, sorted(self._processors), self)

    def step(self, timeout: float) -> bool:
        consumer = self._consumer
        assert consumer is not None, "open() comes first"
        batch = consumer.poll(self._limit, 0.0 if self._joined else min(timeout, IDLE_SECONDS))
        self._note_membership(joined=batch.member is not None)
        for at in self._partitions:
            self._positions[at] = consumer.position(at)
        self._take_over(consumer)
        worked = batch.member is not None and self._run(batch)
        if worked or self._takeovers:
            self._idle = BUSY_SECONDS
        else:
            self._calls.wait(min(self._idle, timeout))
            self._idle = min(self._idle * 1.5, IDLE_SECONDS)
        return worked

    def stop(self, deadline: float) -> None:
        """Finish waiting calls while there is time, then leave the group. No batch is open between steps."""
        while self._calls and self._host.clock.monotonic() < deadline:
            self.step(0.01)
        consumer = self._consumer
        if consumer is not None:
            batch = consumer.poll(1, 0.0)  # may still assign something
            if batch.member is not None and not batch.records and self._sent != self._positions:
                self._transact(batch, {}, [])
            consumer.close()
            self._consumer = None
        self._release()
        if self._transactor is not None:
            self._transactor.close()
        for call in [*self._waiting, *self._calls.close()]:
            self._moved(call)

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Listener: take partitions, in slices."""
        if partitions:
            assert self._consumer is not None, "callbacks come inside poll"
            targets = [(at, self._processors[at.topic]) for at in partitions]
            self._takeovers.append(
                Takeover(self._host, self.group, self._consumer, self._routes, targets, self._metadata)
            )

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Listener: nothing is under way between batches, so there is nothing to finish."""
        for at in partitions:
            self._drop(at)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Listener: as `revoked`; a commit would be refused."""
        self.revoked(partitions)

    def _note_membership(self, *, joined: bool) -> None:
        if joined and not self._joined:
            self._joined_at = self._host.clock.monotonic()
        self._joined = joined

    def _drop(self, at: TopicPartition) -> None:
        served = self._partitions.pop(at, None)
        if served is not None:
            served.state.close()
        for takeover in self._takeovers:
            takeover.drop(at)
        self._takeovers = [takeover for takeover in self._takeovers if takeover.targets]
        self._positions.pop(at, None)
        self._sent.pop(at, None)
        self._barrier.forget(at)

    def _release(self) -> None:
        for at in [*self._partitions, *(at for takeover in self._takeovers for at in takeover.targets)]:
            self._drop(at)

    def _take_over(self, consumer: GroupConsumer) -> None:
        """One slice of each takeover; partitions that are ready are served from now on."""
        for takeover in list(self._takeovers):
            for taken, partition in takeover.step():
                self._partitions[taken.inbox] = partition
                self._positions[taken.inbox] = self._sent[taken.inbox] = taken.position
                consumer.start(taken.inbox, taken.position)
                self._stashed.extend(partition.unstash())
                log.info("partition_taken", group=self.group, topic=taken.inbox.topic, partition=taken.inbox.partition)
            if not takeover.targets:
                self._takeovers.remove(takeover)

    def _run(self, batch: Batch) -> bool:
        """Decide on everything there is, commit, apply, answer."""
        if self._returning > 1:
            self._calls.wait(GATHER_SECONDS, count=self._returning)
        waiting, self._waiting = self._waiting, []
        calls = self._here([*waiting, *self._calls.take(self._limit)])
        self._returning = 0
        stashed, self._stashed = self._stashed, []
        instants = self._due_instants()
        if not (calls or stashed or batch.records or instants):
            return self._send_positions(batch)
        changed: dict[TopicPartition, Partition[Any]] = {}
        out: list[Outgoing] = []
        answered: list[Answered] = []
        try:
            self._decide(batch.records, stashed, calls, instants, changed, out, answered)
            ends = self._transact(batch, changed, out)
        except (OutcomeUnknown, Fenced) as error:
            self._take_again(error, calls)
            return False
        except TransactionAborted as error:
            self._undo(batch.records, changed, calls, stashed)
            self._halve(error, batch, calls)
            return False
        except BaseException:
            self._undo(batch.records, changed, calls, stashed)
            raise
        self._apply(changed, ends)
        self._limit = min(self._limit * 2, BATCH_INPUTS)
        self._counts["batches"] += 1
        self._answer(answered, ends)
        return True

    def _here(self, calls: list[Call]) -> list[Call]:
        """The calls for served partitions; those for partitions being taken wait, the others are passed on."""
        here: list[Call] = []
        for call in calls:
            if TopicPartition(inbox_of(call.processor), call.partition) in self._partitions:
                here.append(call)
            elif self.owns(call.processor, call.partition):
                self._waiting.append(call)
            else:
                self._moved(call)
        return here

    def _decide(
        self,
        records: Sequence[Record],
        stashed: Sequence[Record],
        calls: list[Call],
        instants: Mapping[TopicPartition, int],
        changed: dict[TopicPartition, Partition[Any]],
        out: list[Outgoing],
        answered: list[Answered],
    ) -> None:
        now_ms = self._host.clock.now_ms()

        def touch(at: TopicPartition) -> Partition[Any] | None:
            partition = changed.get(at)
            if partition is None and (partition := self._partitions.get(at)) is not None:
                partition.at(now_ms)
                changed[at] = partition
            return partition

        for record in stashed:
            partition = touch(TopicPartition(record.topic, record.partition))
            if partition is not None and partition.release(record, out):
                self._decide_record(partition, record, out)
        for record in records:
            partition = touch(TopicPartition(record.topic, record.partition))
            if partition is not None:
                self._decide_record(partition, record, out)
        for call in calls:
            partition = touch(TopicPartition(inbox_of(call.processor), call.partition))
            assert partition is not None, "_here() chose it"
            answer = partition.handle(Input(call.key, call.message, call.metadata, call=call), out)
            if answer is not None:
                answered.append(answer)
        for at, instant in instants.items():
            partition = touch(at)
            assert partition is not None, "only served partitions have instants"
            for due in partition.timers.due(min(instant, now_ms), BATCH_INPUTS):
                partition.handle(self._intake.timer(due), out)
        self._counts["inputs"] += len(records) + len(calls)

    def _decide_record(self, partition: Partition[Any], record: Record, out: list[Outgoing]) -> None:
        item = self._intake.record(record)
        if isinstance(item, Unread):
            if item.fault is Fault.STASH:
                partition.stash(item.stub, out)
            else:
                self._counts["failed"] += 1
                partition.poison(item.stub, item.error, out)
        elif not partition.forwarded(item, out):
            partition.handle(item, out)

    def _due_instants(self) -> dict[TopicPartition, int]:
        """Partitions whose timers may fire, and up to which instant (K9)."""
        now_ms = self._host.clock.now_ms()
        due = [at for at, one in self._partitions.items() if one.timers.has_due(now_ms)]
        if not due:
            return {}
        self._barrier.require(due, now_ms)
        return {at: instant for at, instant in self._barrier.passed(self._positions).items() if at in due}

    def _transact(
        self, batch: Batch, changed: Mapping[TopicPartition, Partition[Any]], out: Sequence[Outgoing]
    ) -> dict[TopicPartition, int]:
        """One transaction: the outputs, and the position of every partition that moved or is written to (K2)."""
        transactor = self._transactor
        assert transactor is not None, "open() comes first"
        moved = {at for at, position in self._positions.items() if self._sent.get(at) != position}
        touched = moved | changed.keys() | {TopicPartition(r.topic, r.partition) for r in batch.records}
        positions = {at: Position(self._positions[at], self._metadata) for at in touched if at in self._positions}
        if not positions:
            return {}
        transactor.begin()
        for topic, partition, key, value, headers, time_ms in out:
            transactor.produce(topic, partition, key, value, headers, timestamp_ms=time_ms)
        ends = transactor.commit(positions, batch.member)
        self._sent.update((at, position.offset) for at, position in positions.items())
        self._positions_sent_ms = self._host.clock.now_ms()
        return ends

    def _send_positions(self, batch: Batch) -> bool:
        """Positions that moved over records without output, once a second; all of them once a day (K12)."""
        now_ms = self._host.clock.now_ms()
        if now_ms - self._recommitted_ms > DAY_MS:
            self._recommitted_ms = now_ms
            self._sent = {}
        if self._sent == self._positions or now_ms - self._positions_sent_ms < POSITION_MS:
            return False
        try:
            self._transact(batch, {}, [])
        except TransactionAborted:
            self._counts["aborted"] += 1
        except (OutcomeUnknown, Fenced) as error:
            self._take_again(error, [])
        return False

    def _apply(self, changed: Mapping[TopicPartition, Partition[Any]], ends: Mapping[TopicPartition, int]) -> None:
        for at, partition in changed.items():
            name = partition.processor.name
            journals = (events_of(name), state_of(name))
            own = {topic: ends[at_] for topic in journals if (at_ := TopicPartition(topic, at.partition)) in ends}
            if partition.is_changed():
                partition.state.write(partition.applied(own))

    def _answer(self, answered: Sequence[Answered], ends: Mapping[TopicPartition, int]) -> None:
        self._returning = len(answered)
        for answer in answered:
            at = TopicPartition(events_of(answer.call.processor), answer.call.partition)
            end = ends.get(at)
            answer.call.resolve(
                answer if end is None else Answered(answer.call, answer.message, answer.replied, end + 1)
            )

    def _undo(
        self,
        records: Sequence[Record],
        changed: Mapping[TopicPartition, Partition[Any]],
        calls: list[Call],
        stashed: list[Record],
    ) -> None:
        """Nothing of the batch happened: forget it, read it again, keep the calls."""
        assert self._transactor is not None, "a batch was open"
        self._transactor.abort()
        self._counts["aborted"] += 1
        for partition in changed.values():
            partition.dropped()
        first: dict[TopicPartition, int] = {}
        for record in records:
            first.setdefault(TopicPartition(record.topic, record.partition), record.offset)
        for at, offset in first.items():
            if at in self._partitions and self._consumer is not None:
                self._consumer.start(at, offset)
                self._positions[at] = offset
        self._stashed = [*stashed, *self._stashed]
        self._calls.put_back(calls)

    def _halve(self, error: TransactionAborted, batch: Batch, calls: list[Call]) -> None:
        """K6: a smaller batch next time; one input that fails by its own data is poison."""
        log.warning("batch_aborted", group=self.group, inputs=len(batch.records) + len(calls), error=str(error))
        if isinstance(error.__cause__, (MessageTooLarge, InvalidRecord)):
            if self._limit == 1:
                self._poison_one(batch, calls, error.__cause__)
            self._limit = max(1, self._limit // 2)

    def _poison_one(self, batch: Batch, calls: list[Call], error: Exception) -> None:
        """Dead-letter the only input of a batch that the broker refuses."""
        out: list[Outgoing] = []
        changed: dict[TopicPartition, Partition[Any]] = {}
        answer: Answered | None = None
        if batch.records:
            record = batch.records[0]
            at = TopicPartition(record.topic, record.partition)
            item = self._intake.record(record)
            stub = item.stub if isinstance(item, Unread) else item
            changed[at] = self._partitions[at]
            self._positions[at] = record.offset + 1
            changed[at].poison(stub, error, out)
            assert self._consumer is not None, "a batch was polled"
            self._consumer.start(at, record.offset + 1)
        elif calls:
            call = self._calls.take(1)[0]
            at = TopicPartition(inbox_of(call.processor), call.partition)
            changed[at] = self._partitions[at]
            answer = changed[at].poison(Input(call.key, call.message, call.metadata, call=call), error, out)
        ends = self._transact(batch, changed, out)
        self._apply(changed, ends)
        if answer is not None:
            self._answer([answer], ends)

    def _take_again(self, error: Exception, calls: list[Call]) -> None:
        """K6: the outcome is known to the log only: replace the producer, take every partition again.

        The calls are decided again under their ids: what did happen answers them (K8).
        """
        log.warning("outcome_unknown", group=self.group, transactional_id=self._id, error=str(error))
        self._counts["fenced" if isinstance(error, Fenced) else "unknown"] += 1
        assert self._transactor is not None and self._consumer is not None, "a batch was open"
        self._transactor.close()
        self._stashed = []
        assigned = sorted(self._consumer.assignment())
        self._release()
        self._consumer.pause(assigned)
        self._calls.put_back(calls)
        self._transactor = self._host.log.transactor(self._id)
        self.assigned(assigned)
