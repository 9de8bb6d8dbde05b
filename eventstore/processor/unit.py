"""One process's part in running processors: a group member, a transactional producer and a loop.

One batch: poll → decide into a buffer → one transaction of events, replies, commands, outcomes and positions → one
write of rows per partition → answer local callers. The rules are K1–K4 and K6–K10.

Exactly once means: what a batch reads and writes is in the log once, however often the batch is tried. What is *not*
promised: that `decide` runs once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

import structlog

from eventstore.component import Host
from eventstore.log.errors import DataRefused, Fenced, LogError, OutcomeUnknown, TransactionAborted
from eventstore.log.port import Batch, GroupConsumer
from eventstore.log.records import Record, TopicPartition
from eventstore.processor.batch import BATCH_INPUTS, STATE_BATCH_INPUTS, Decisions, Inputs
from eventstore.processor.commits import Commits
from eventstore.processor.due import Barrier
from eventstore.processor.gathering import Gathering
from eventstore.processor.index import StreamIndex
from eventstore.processor.inputs import AnyCall
from eventstore.processor.intake import Intake
from eventstore.processor.pace import IDLE_SECONDS
from eventstore.processor.parts import Parts
from eventstore.processor.port import AnyProcessor, keeps_states
from eventstore.processor.predecessor import commit_metadata
from eventstore.processor.questions import Questions
from eventstore.processor.served import Served
from eventstore.processor.standby import Standby
from eventstore.processor.topics import inbox_of

log = structlog.get_logger()


class Unit:
    """Runs processors, whose topics exist.

    `call`, `index`, `owns` and the questions may come from any thread, the rest from the loop's.
    """

    def __init__(
        self,
        host: Host,
        processors: Sequence[AnyProcessor],
        *,
        moved: Callable[[AnyCall], None],
        group: str | None = None,
        standby: Standby | None = None,
    ) -> None:
        """`moved` takes over the local calls for partitions that are not here (any more). `standby` follows those."""
        self._host, self.group = host, group or host.service
        self.name = f"unit {self.group}"
        by_inbox = {inbox_of(processor.name): processor for processor in processors}
        id_ = f"{self.group}.{host.slot}"
        self._topics = sorted(by_inbox)
        self._intake, self._barrier = Intake(host.serde), Barrier(host.log)
        self._commits = Commits(host.log, host.clock, id_, commit_metadata(id_, host.address))
        self._served = Served(host, self.group, by_inbox, self._commits, self._barrier.forget, standby)
        self._gathering = Gathering(host.clock, self._served, self._commits, self._barrier, moved)
        self._calls, self._pace = self._gathering.calls, self._gathering.pace
        self._most = STATE_BATCH_INPUTS if all(map(keeps_states, processors)) else BATCH_INPUTS
        self._limit = self._most
        self._counts: dict[str, float] = dict.fromkeys(
            ("inputs", "batches", "aborted", "unknown", "failed", "fenced"), 0.0
        )
        self._parts = Parts()
        self._questions = Questions(host, self._served.index, self._served.folds, self._counts, moved)
        self._consumer: GroupConsumer | None = None
        self._is_between_steps = True
        """Whether everything that was polled was handled or is to be read again."""

    def call(self, call: AnyCall) -> None:
        """Let a local call join the next batch, or pass it on if its partition is not here."""
        self._gathering.call(call)

    def owns(self, processor: str, partition: int) -> bool:
        """Whether the partition is served here, or about to be."""
        return self.has(TopicPartition(inbox_of(processor), partition))

    def has(self, at: TopicPartition) -> bool:
        """The same, by the partition of the inbox."""
        return self._served.has(at)

    def index(self, processor: str, partition: int, key: str) -> StreamIndex | None:
        """The local index of a partition that is served here, if it has all that anybody may know of `key`'s stream."""
        return self._served.index(TopicPartition(inbox_of(processor), partition), key)

    def is_ready(self) -> bool:
        return self._served.is_complete()

    def is_settled(self) -> bool:
        is_idle = not self._gathering and self.is_ready() and self._served.are_done(self._commits.positions)
        return is_idle and not self._calls

    def metrics(self) -> Mapping[str, float]:
        return {f"processor_{name}_total": value for name, value in self._counts.items()} | self._served.metrics()

    def open(self) -> None:
        self._commits.open()
        self._consumer = self._served.consumer = self._host.log.group(self.group, self._topics, self._served)

    def step(self, timeout: float) -> bool:
        consumer = self._consumer
        assert consumer is not None, "open() comes first"
        self._is_between_steps = False
        batch = consumer.poll(self._limit, self._patience(timeout))
        self._served.note_membership(joined=batch.member is not None)
        for at in self._served.partitions:
            self._commits.positions[at] = consumer.position(at)
        self._served.take_over()
        if batch.member is None:
            self._read_again(batch.records)
            self._gathering.pass_on_strays()
        worked = batch.member is not None and self._run(batch)
        self._questions.answer()
        if worked or self._served.is_taking():
            self._pace.worked()
        else:
            self._served.settle()
            self._commits.rest()
            self._pace.idle(timeout)
        self._is_between_steps = True
        return worked

    def _patience(self, timeout: float) -> float:
        """How long to wait for inbox records."""
        if not self._served.is_joined:
            return min(timeout, IDLE_SECONDS)
        return 0.0 if self._served.is_taking() or self._questions else self._pace.patience(timeout)

    def stop(self, deadline: float) -> None:
        """Finish waiting calls while there is time, then leave the group."""
        try:
            while self._calls and self._host.clock.monotonic() < deadline:
                self.step(0.01)
            self._send_last_positions()
        finally:
            self._leave()

    def _send_last_positions(self) -> None:
        """Spare the successor what was read without output. That it has to be read again does no harm.

        After a step that failed, what it had polled may be neither handled nor read again.
        """
        if self._consumer is None or not self._is_between_steps:
            return
        batch = self._consumer.poll(1, 0.0)  # may still assign something
        if batch.member is None or batch.records or not self._commits.is_behind():
            return
        try:
            self._commits.commit(batch)
        except LogError as error:
            log.info("last_positions_not_sent", group=self.group, error=type(error).__name__, detail=str(error))

    def _leave(self) -> None:
        """Release everything, whatever fails: a member that nobody polls would hold its partitions for a minute."""
        consumer, self._consumer = self._consumer, None
        with ExitStack() as last_first:
            last_first.callback(self._gathering.pass_on)
            last_first.callback(self._commits.close)
            last_first.callback(self._served.release)
            last_first.callback(self._questions.close)
            if consumer is not None:
                last_first.callback(consumer.close)

    def _run(self, batch: Batch) -> bool:
        """Decide on everything there is, commit, apply, answer."""
        inputs = self._take_in(batch)
        if not inputs:
            return self._send_positions(batch)
        try:
            return self._commit(batch, inputs)
        finally:
            self._served.committing = frozenset()

    def _take_in(self, batch: Batch) -> Inputs:
        if self._limit > 1:
            return self._gathering.take_in(batch.records, self._limit)
        self._read_again(batch.records)  # timers come after what was handled, not after what was polled (K9)
        inputs = self._gathering.take_one(batch.records)
        self._read_past(inputs.records)
        return inputs

    def _commit(self, batch: Batch, inputs: Inputs) -> bool:
        decisions = self._decisions()
        try:
            decisions.decide(inputs)
            if not decisions.needs_commit(inputs):
                return self._pass_questions(batch, decisions)
            if inputs.may_be_answered_elsewhere:
                self._served.committing = frozenset(decisions.changed)
            commit = self._commits.commit if self._limit > 1 else self._commits.commit_least
            ends = commit(batch, decisions.changed, decisions.out, decisions.prepare)
        except (OutcomeUnknown, Fenced) as error:
            self._take_again(error, inputs.calls)
            return False
        except TransactionAborted as error:
            self._undo(inputs, decisions)
            self._halve(error, batch, inputs)
            return False
        except BaseException:
            self._undo(inputs, decisions)
            raise
        self._finish(decisions, ends, inputs.calls)
        self._limit = min(self._limit * 2, self._most)
        self._counts["batches"] += 1
        return True

    def _decisions(self) -> Decisions:
        now_ms = self._host.clock.now_ms()
        return Decisions(self._intake, self._served.partitions, self._counts, now_ms, self._parts)

    def _send_positions(self, batch: Batch) -> bool:
        """Positions that moved over records without output."""
        if not self._commits.is_due():
            return False
        try:
            self._commits.commit(batch)
        except TransactionAborted:
            self._commits.abort()
            self._counts["aborted"] += 1
        except (OutcomeUnknown, Fenced) as error:
            self._take_again(error, [])
        return False

    def _finish(self, decisions: Decisions, ends: Mapping[TopicPartition, int], calls: list[AnyCall]) -> None:
        """Write the rows of what was committed, and answer."""
        try:
            decisions.apply(ends)
        except BaseException:
            decisions.answer(ends)
            self._calls.put_back(decisions.untold(calls))  # they did happen: under their ids, the log answers them
            raise
        self._pace.answered(decisions.callers)
        decisions.answer(ends)
        self._questions.add(decisions.asked.questions)

    def _pass_questions(self, batch: Batch, decisions: Decisions) -> bool:
        """A batch of nothing but questions changes nothing; the positions it moved are sent when they are due."""
        decisions.apply({})
        self._send_positions(batch)
        self._questions.add(decisions.asked.questions)
        return True

    # Ends of a batch that was not committed (K6)

    def _undo(self, inputs: Inputs, decisions: Decisions) -> None:
        """Nothing of the batch happened: forget it, read it again, keep the calls."""
        self._calls.put_back(inputs.calls)
        self._commits.abort()
        self._counts["aborted"] += 1
        decisions.drop()
        self._read_again(inputs.records)
        self._served.stashed = [*inputs.stashed, *self._served.stashed]

    def _read_again(self, records: Sequence[Record]) -> None:
        """Have these records, which were not handled, delivered once more."""
        first: dict[TopicPartition, int] = {}
        for record in records:
            first.setdefault(TopicPartition(record.topic, record.partition), record.offset)
        self._read_from(first)

    def _read_past(self, records: Sequence[Record]) -> None:
        """Have what follows these records, which are in their order, delivered next."""
        self._read_from({TopicPartition(record.topic, record.partition): record.offset + 1 for record in records})

    def _read_from(self, offsets: Mapping[TopicPartition, int]) -> None:
        for at, offset in offsets.items():
            if at in self._served.partitions and self._consumer is not None:
                self._consumer.start(at, offset)
                self._commits.positions[at] = offset

    def _halve(self, error: TransactionAborted, batch: Batch, inputs: Inputs) -> None:
        """A smaller batch next time; one input that fails by its own data is poison."""
        count = len(inputs.records) + len(inputs.calls)
        log.warning("batch_aborted", group=self.group, inputs=count, error=str(error))
        if isinstance(error, DataRefused):
            if self._limit == 1:
                self._poison(inputs, batch, error)
            self._limit = max(1, self._limit // 2)

    def _poison(self, inputs: Inputs, batch: Batch, error: Exception) -> None:
        """Dead-letter the only input of a batch that the broker refuses."""
        calls = self._calls.take(len(inputs.calls))  # what is undone is to come again: here it does not
        self._served.stashed = self._served.stashed[len(inputs.stashed) :]
        self._read_past(inputs.records)
        decisions = self._decisions()
        try:
            decisions.poison(inputs, error)
            ends = self._commits.commit_least(batch, decisions.changed, decisions.out)
        except BaseException:
            self._calls.put_back(calls)
            raise
        self._finish(decisions, ends, calls)

    def _take_again(self, error: Exception, calls: list[AnyCall]) -> None:
        """The outcome is known to the log only: replace the producer, take every partition again.

        The calls are decided again under their ids: what did happen answers them (K8).
        """
        id_ = self._commits.transactional_id
        log.warning("outcome_unknown", group=self.group, transactional_id=id_, error=str(error))
        self._counts["fenced" if isinstance(error, Fenced) else "unknown"] += 1
        self._calls.put_back(calls)
        self._commits.close()
        assigned = self._served.put_down()
        self._commits.open()
        self._served.assigned(assigned)
