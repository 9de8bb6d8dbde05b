"""One batch: what it takes in, and what deciding on it gives. Nothing of it is in the log before its transaction is."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from eventstore.log.records import Record, TopicPartition
from eventstore.processor.append_call import Answer, AppendCall, Landed
from eventstore.processor.changelog import DecideAgain
from eventstore.processor.changelog_partition import StatePartition
from eventstore.processor.inputs import Answered, AnyCall, Input, Outgoing, input_of
from eventstore.processor.intake import Fault, Intake, Unread
from eventstore.processor.mailbox import Mailbox
from eventstore.processor.partition import Partition
from eventstore.processor.parts import Part, Parts, Whole, whole_of
from eventstore.processor.questions import Asked, ReadPage
from eventstore.processor.topics import events_of, state_of

BATCH_INPUTS = 1_000
"""Inputs per transaction at most; with several partitions, each of their writes is well below 2,000 rows."""
STATE_BATCH_INPUTS = 16_000
"""The same for units all of whose processors keep states: one row for many inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a batch takes in, in the order in which it is decided on."""

    stashed: list[Record] = field(default_factory=list[Record])
    """Records that were stashed and can be decided on now."""
    records: Sequence[Record] = ()
    calls: list[AnyCall] = field(default_factory=list[AnyCall])
    instants: Mapping[TopicPartition, int] = field(default_factory=dict[TopicPartition, int])
    """Partitions whose timers may fire, and up to which instant (K9)."""
    timers: int = BATCH_INPUTS
    """How many of each of these at most."""
    erasing: Sequence[TopicPartition] = ()
    """Partitions with tombstones to write (E2)."""

    @property
    def may_be_answered_elsewhere(self) -> bool:
        """Whether answers may be among the batch's records. Local callers learn theirs later."""
        return bool(self.records or self.stashed or self.instants)

    def __bool__(self) -> bool:
        return bool(self.calls or self.stashed or self.records or self.instants or self.erasing)


class Decisions:
    """What is to be committed, whose partitions it changes, and which callers wait for it."""

    def __init__(
        self,
        intake: Intake,
        served: Mapping[TopicPartition, Partition[Any]],
        counts: dict[str, float],
        now_ms: int,
        parts: Parts,
    ) -> None:
        """`parts` keeps those of earlier batches."""
        self._parts, self._complete = parts, list[Whole]()
        self._intake, self._served, self._counts, self._now_ms = intake, served, counts, now_ms
        self.changed: dict[TopicPartition, Partition[Any]] = {}
        self.out: list[Outgoing] = []
        self.answered: list[Answered] = []
        self.asked = Asked()
        self._applied: set[TopicPartition] = set()
        """Changed partitions whose states say so."""
        self._done: list[tuple[TopicPartition, list[tuple[AppendCall, int]]]] = []
        self._is_careful = False

    def decide(self, inputs: Inputs) -> None:
        """Decide on everything, one input after the other."""
        try:
            self._decide(inputs)
        except DecideAgain:
            self._start_over()
            self._decide(inputs)

    def _start_over(self) -> None:
        """One input of the batch fails: forget what was decided, and take care from the beginning."""
        self.drop()
        self.changed, self.out, self.answered, self.asked, self._complete = {}, [], [], Asked(), []
        self._is_careful = True

    def _decide(self, inputs: Inputs) -> None:
        self._release(inputs.stashed)
        for at, records in runs(inputs.records):
            partition = self._touch(at)
            if isinstance(partition, StatePartition):
                partition.decide_all(records, partial(self._decide_record, partition), self.out)
            elif partition is not None:
                for record in records:
                    self._decide_record(partition, record)
        self._decide_calls(inputs.calls)
        self._decide_timers(inputs.instants, inputs.timers)
        for partition in self.changed.values():
            partition.sweep(self.out)
        for at in inputs.erasing:
            self._known(at).tombstone(self.out)
        self._counts["inputs"] += len(inputs.records) + len(inputs.calls)

    def needs_commit(self, inputs: Inputs) -> bool:
        """Whether anything happened but questions that need no fence (K15)."""
        inputs_but_questions = len(inputs.records) + len(inputs.calls) - len(self.asked.questions)
        is_more = inputs_but_questions or inputs.stashed or inputs.instants or inputs.erasing or self.out
        return bool(is_more) or self.asked.need_fence

    def poison(self, inputs: Inputs, error: Exception) -> None:
        """Dead-letter inputs instead of deciding on them; callers learn why."""
        for record in inputs.stashed:
            self._known(_at(record)).undecided.release(record, self.out)
        for record in (*inputs.stashed, *inputs.records):
            undecided = self._known(_at(record)).undecided
            item = self._intake.record(record)
            undecided.poison(item.stub if isinstance(item, Unread) else item, error, self.out)
        for call in inputs.calls:
            answer = self._known(call.at).undecided.poison(input_of(call), error, self.out)
            if answer is not None:
                self.answered.append(answer)
        for at, instant in inputs.instants.items():
            partition = self._known(at)
            for due in partition.timers.due(min(instant, self._now_ms), inputs.timers):
                item = self._intake.timer(due)
                partition.undecided.poison(item.stub if isinstance(item, Unread) else item, error, self.out)

    def prepare(self) -> None:
        """While the commit is under way, do what needs no answer to it: most of the work of `apply`, and rows of
        earlier batches. Rows that cannot be written are told by the next write.
        """
        self.out.clear()  # the log has them; letting go of thousands of records takes a while, too
        for partition in self.changed.values():
            partition.prepare()

    def apply(self, ends: Mapping[TopicPartition, int]) -> None:
        """Write what was committed into the partitions' states. `ends`: the last offset of each partition it wrote."""
        self._parts.forget(self._complete)
        for at, partition in self.changed.items():
            name = partition.processor.name
            journals = (events_of(name), state_of(name))
            own = {topic: ends[at_] for topic in journals if (at_ := TopicPartition(topic, at.partition)) in ends}
            done = partition.appends.done
            if partition.is_changed():
                partition.state.write(partition.applied(own))
            self._done.append((TopicPartition(journals[0], at.partition), done))
            self._applied.add(at)

    @property
    def callers(self) -> int:
        """How many local callers `answer` tells something."""
        return len(self.answered) + sum(len(done) for _, done in self._done)

    def answer(self, ends: Mapping[TopicPartition, int]) -> None:
        """Tell local callers whose partitions' states were written, with where their events topic stands now."""
        self._answer_appends(ends)
        callers: dict[Callable[[Sequence[Answered]], None], list[Answered]] = {}
        for answer in self.answered:
            call = answer.call
            if call.at not in self._applied:
                continue
            end = ends.get(TopicPartition(events_of(call.processor), call.partition))
            told = answer if end is None else Answered(call, answer.message, answer.replied, end + 1)
            callers.setdefault(call.resolve, []).append(told)
        for resolve, answers in callers.items():
            resolve(answers)

    def untold(self, calls: Sequence[AnyCall]) -> list[AnyCall]:
        """Those of the batch's calls that `answer` says nothing to, because not all states could be written."""
        told = {id(answer.call) for answer in self.answered if answer.call.at in self._applied}
        told.update(id(call) for _, done in self._done for call, _ in done)
        return [call for call in calls if id(call) not in told]

    def _answer_appends(self, ends: Mapping[TopicPartition, int]) -> None:
        """Cross over to each loop of callers once."""
        found: dict[Mailbox[Answer | Landed], list[tuple[Future[Answer | Landed], Landed]]] = {}
        for at, done in self._done:
            end = ends.get(at, -1) + 1
            for call, version in done:
                found.setdefault(call.mailbox, []).append((call.future, Landed(version, end)))
        for mailbox, results in found.items():
            mailbox.put_all(results)

    def drop(self) -> None:
        """Nothing of it happened."""
        for partition in self.changed.values():
            partition.dropped()

    def _touch(self, at: TopicPartition) -> Partition[Any] | None:
        partition = self.changed.get(at)
        if partition is None and (partition := self._served.get(at)) is not None:
            partition.at(self._now_ms)
            if self._is_careful and isinstance(partition, StatePartition):
                partition.decide_with_care()
            self.changed[at] = partition
        return partition

    def _known(self, at: TopicPartition) -> Partition[Any]:
        """The partition, which is served: only such ones have calls, timers and erasures in a batch."""
        partition = self._touch(at)
        assert partition is not None, f"{at} is not served"
        return partition

    def _release(self, stashed: Sequence[Record]) -> None:
        for record in stashed:
            partition = self._touch(TopicPartition(record.topic, record.partition))
            if partition is not None and partition.undecided.release(record, self.out):
                self._decide_record(partition, record)

    def _decide_record(self, partition: Partition[Any], record: Record) -> None:
        item = self._intake.record(record)
        if isinstance(item, Unread):
            if item.fault is Fault.STASH:
                partition.undecided.stash(item.stub, self.out)
            else:
                self._counts["failed"] += 1
                partition.undecided.poison(item.stub, item.error, self.out)
        elif not partition.forwarded(item, self.out):
            message = item.message
            if type(message) is Part:
                self._decide_part(partition, item, message)
            elif type(message) is ReadPage:
                self.asked.add(_at(record), item, message)
            else:
                partition.handle(item, self.out)

    def _decide_part(self, partition: Partition[Any], item: Input, part: Part) -> None:
        """Decide on an input that comes in parts, when it is whole."""
        data = self._parts.add(item, part, self._now_ms)
        if data is not None:
            self._complete.append(whole_of(item))
            whole = self._intake.whole(item, data)
            if isinstance(whole, Unread):
                self._counts["failed"] += 1
                partition.undecided.poison(whole.stub, whole.error, self.out)
            else:
                partition.handle(whole, self.out)

    def _decide_calls(self, calls: Sequence[AnyCall]) -> None:
        """Partition by partition, those of one in their order."""
        found: dict[TopicPartition, list[AnyCall]] = {}
        for call in calls:
            found.setdefault(call.at, []).append(call)
        for at, of_partition in found.items():
            partition = self._known(at)
            append = partition.appends.decide
            for call in of_partition:
                if type(call) is AppendCall:
                    answer = append(call, self.out)
                elif type(call.message) is ReadPage:
                    self.asked.add(at, input_of(call), call.message)
                    continue
                else:
                    answer = partition.handle(input_of(call), self.out)
                if answer is not None:
                    self.answered.append(answer)

    def _decide_timers(self, instants: Mapping[TopicPartition, int], most: int) -> None:
        for at, instant in instants.items():
            partition = self._known(at)
            for due in partition.timers.due(min(instant, self._now_ms), most):
                item = self._intake.timer(due)
                if isinstance(item, Unread):
                    partition.undecided.wait(item.stub, item.error)
                else:
                    partition.handle(item, self.out)


def runs(records: Sequence[Record]) -> Iterator[tuple[TopicPartition, Sequence[Record]]]:
    """The records in pieces of one partition each, in their order."""
    first, count = 0, len(records)
    while first < count:
        topic, partition = records[first].topic, records[first].partition
        last = first + 1
        while last < count and records[last].partition == partition and records[last].topic == topic:
            last += 1
        yield TopicPartition(topic, partition), records[first:last]
        first = last


def _at(record: Record) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)
