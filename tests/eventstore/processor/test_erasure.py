"""E2: what is erased of a stream stays erased, and what its events said besides is kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from eventstore.clock import ManualClock
from eventstore.log import open_log
from eventstore.log.errors import TransactionAborted
from eventstore.log.local.log import LocalLog
from eventstore.log.partition import partition_of
from eventstore.processor.counts import EntityCounts
from eventstore.processor.erasure import Erasure, decode_erasure, erasure_key
from eventstore.processor.index import StoredEvent, StreamIndex
from eventstore.processor.port import DecideContext
from eventstore.processor.restore import Restore
from eventstore.processor.rows import SyncedTo
from eventstore.processor.tombstones import TOMBSTONES_AT_ONCE
from eventstore.state.memory import MemoryState, MemoryStateEngine
from schemas import Command, Message
from tests.eventstore.processor.counters import MESSAGES, Add, Added, AddLater, Ask, Bench, Counters, StopAdding, Total


class Truncate(Command[None], to="counter", key="counter"):
    """Erase the counter's events before a version; −1: all."""

    counter: str
    before: int


class AddMany(Command[None], to="counter", key="counter"):
    """Add 1 so many times."""

    counter: str
    times: int


class Snooze(Command[None], to="counter", key="counter"):
    """Add, and add later or no more: an event and a timer of one commit."""

    counter: str
    by: int
    after_ms: int


class Erasing(Counters):
    """Counters that forget."""

    messages: Sequence[type[Message]] = (*MESSAGES, Truncate, AddMany, Snooze)

    def decide(self, state: int, message: Message, context: DecideContext[int]) -> None:
        match message:
            case Truncate(before=before):
                context.truncate(context.version + 1 if before < 0 else before)
                context.reply(None)
            case AddMany(times=times):
                for _ in range(times):
                    context.append(Added(by=1))
                context.reply(None)
            case Snooze(by=by, after_ms=after, counter=counter):
                context.append(Added(by=by))
                if after:
                    at = context.now + timedelta(milliseconds=after)
                    context.schedule("later", at, Add(counter=counter, by=by))
                else:
                    context.cancel("later")
                context.reply(None)
            case _:
                super().decide(state, message, context)


class ErasingBench(Bench):
    """A bench of such counters."""

    def __post_init__(self) -> None:
        self.processors = [Erasing()]
        super().__post_init__()

    def compact(self) -> None:
        """Run the cleaner to the end; tombstones go, too."""
        assert isinstance(self.log, LocalLog)
        for _ in range(2):
            self.log.compact(tombstone_age=timedelta())

    def wiped(self) -> ErasingBench:
        """A successor that has the topics and nothing else, after the cleaner ran."""
        self.run()
        self.close()
        self.compact()
        successor = ErasingBench(self.log, clock=self.clock, registry=self.registry, state=MemoryStateEngine())
        successor.run()
        return successor

    def index(self, key: str) -> StreamIndex:
        """The index of the key's partition."""
        found = self.unit.index("counter", partition_of(key, 2), key)
        assert found is not None
        return found

    def stored(self, key: str) -> list[StoredEvent]:
        """What the index shows of a counter."""
        return list(self.index(key).read(key))

    def kept_events(self) -> list[bytes]:
        """The keys of the events that the log still has."""
        return [record.key or b"" for record in self.records("counter.events") if record.value is not None]


@pytest.fixture
def bench() -> ErasingBench:
    """A unit on the memory engine, with a clock that stands."""
    clock = ManualClock()
    return ErasingBench(open_log("memory://", clock=clock), clock=clock)


def test_a_wiped_folder_knows_what_was_erased(bench: ErasingBench) -> None:
    """E2: after the cleaner ran, the head of a deleted stream is still known, and its versions are not used again."""
    bench.ask(AddMany(counter="gone", times=5))
    bench.ask(AddMany(counter="cut", times=5))
    bench.ask(AddMany(counter="whole", times=5))
    bench.ask(Truncate(counter="gone", before=-1))
    bench.ask(Truncate(counter="cut", before=3))

    successor = bench.wiped()

    assert sorted(successor.kept_events()) == sorted(
        [b"cut/3", b"cut/4", *(b"whole/%d" % version for version in range(5))]
    )
    for name, total in (("gone", 1), ("cut", 3), ("whole", 6)):
        assert successor.ask(Add(counter=name, by=1)) == Total(is_=total)
        assert successor.stored(name)[-1].version == 5
    assert [one.version for one in successor.stored("gone")] == [5]
    assert dict(successor.index("gone").streams()) | dict(successor.index("cut").streams()) | dict(
        successor.index("whole").streams()
    ) == {"gone": 5, "cut": 5, "whole": 5}


def test_an_erased_stream_is_folded_from_its_first_kept_event(bench: ErasingBench) -> None:
    """What the owner keeps decoded is what a successor folds, in the batch that erases too."""
    answers: list[Any] = []
    for command in (AddMany(counter="a", times=5), Truncate(counter="a", before=4), Add(counter="a", by=10)):
        bench.call(command, answers.append)
    bench.run(lambda: len(answers) == 3)

    here = bench.ask(Ask(counter="a"))

    assert answers[-1].message == here == Total(is_=11)
    assert bench.wiped().ask(Ask(counter="a")) == here


def test_a_batch_that_appends_erases_and_appends(bench: ErasingBench) -> None:
    """Events that were appended in the batch that deletes them leave no trace; the next ones count on."""
    answers: list[Any] = []
    commands = (AddMany(counter="a", times=3), Truncate(counter="a", before=-1), AddMany(counter="a", times=2))
    for command in (*commands, Ask(counter="a")):
        bench.call(command, answers.append)
    bench.run(lambda: len(answers) == 4)
    bench.run()

    assert answers[-1].message == Total(is_=2)
    assert [one.version for one in bench.stored("a")] == [3, 4]
    assert [one.version for one in bench.index("a").rows("a", 0)] == [3, 4]
    assert [one.version for one in bench.wiped().stored("a")] == [3, 4]


def test_deleted_streams_are_not_listed(bench: ErasingBench) -> None:
    """A deleted stream is none; one that got an event again is one."""
    bench.ask(AddMany(counter="a", times=3))
    bench.ask(Truncate(counter="a", before=-1))
    assert list(bench.index("a").streams()) == []

    bench.ask(Add(counter="a", by=1))

    assert list(bench.index("a").streams()) == [("a", 3)]


def test_tombstones_come_in_batches_and_are_resumed_by_the_next_owner(bench: ErasingBench) -> None:
    """E2: the record says how far they were written; a successor writes the rest, and none is written for kept ones."""
    count = 2 * TOMBSTONES_AT_ONCE + 10
    bench.ask(AddMany(counter="a", times=count))
    bench.ask(Add(counter="a", by=1))
    bench.ask(Truncate(counter="a", before=count))
    bench.run(lambda: bool(_tombstones(bench)))
    assert len(_tombstones(bench)) == TOMBSTONES_AT_ONCE
    assert _erasure(bench, "a").done == TOMBSTONES_AT_ONCE
    assert [one.version for one in bench.stored("a")] == [count]
    bench.close()

    successor = ErasingBench(bench.log, clock=bench.clock, registry=bench.registry, state=MemoryStateEngine())
    assert not _is_settled(successor)
    successor.run()

    assert _tombstones(successor) == [b"a/%d" % version for version in range(count)]
    assert _erasure(successor, "a")[1:] == (count, count, count)
    assert [one.version for one in successor.index("a").rows("a", 0)] == [count]


def test_the_last_tombstone_is_written_again_when_its_segment_has_ended(bench: ErasingBench) -> None:
    """E2: Kafka cleans no segment that nothing was appended after; a partition that nobody writes to has its owner."""
    bench.ask(AddMany(counter="a", times=3))
    bench.ask(Truncate(counter="a", before=2))
    bench.run()
    bench.close()
    successor = ErasingBench(bench.log, clock=bench.clock, registry=bench.registry, state=MemoryStateEngine())
    successor.run()
    assert isinstance(successor.clock, ManualClock)
    successor.clock.advance(timedelta(days=6))
    assert _is_settled(successor)

    successor.clock.advance(timedelta(days=2))
    assert not _is_settled(successor)
    successor.run()

    assert _tombstones(successor) == [b"a/0", b"a/1", b"a/1"]
    successor.clock.advance(timedelta(days=30))
    assert _is_settled(successor)
    assert [one.version for one in successor.stored("a")] == [2]


def test_a_batch_that_is_dropped_erased_nothing(bench: ErasingBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """K6: the erasure happens with its transaction or not at all; tried again it happens once."""
    bench.ask(AddMany(counter="a", times=3))
    transactor = bench.unit._commits.transactor
    assert transactor is not None
    real, failures = transactor.commit, [1]

    def commit(*arguments: Any) -> Any:
        if failures:
            failures.pop()
            transactor.abort()
            assert [one.version for one in bench.stored("a")] == [0, 1, 2]
            raise TransactionAborted("refused")
        return real(*arguments)

    monkeypatch.setattr(transactor, "commit", commit)
    bench.ask(Truncate(counter="a", before=-1))
    bench.run()

    assert not failures
    assert bench.stored("a") == []
    assert _tombstones(bench) == [b"a/0", b"a/1", b"a/2"]


@pytest.mark.parametrize("events_first", [True, False])
def test_the_erasure_outranks_events_in_whatever_order_they_are_restored(events_first: bool) -> None:
    """E2: the two topics are read side by side, in no order between them."""
    bench = ErasingBench(open_log("memory://"))
    bench.ask(AddMany(counter="a", times=3))
    bench.ask(Truncate(counter="a", before=2))
    bench.run()
    events = [record for record in bench.records("counter.events") if record.value is not None]
    journal = bench.records("counter.state")
    state = MemoryState()
    restore = Restore(state, SyncedTo(0, 0, 0, 0), 0)

    steps = [(restore.events, events), (restore.journaled, journal)]
    for take, records in steps if events_first else reversed(steps):
        take(records)
        restore.write()

    assert [one.version for one in StreamIndex(state, EntityCounts()).read("a")] == [2]
    assert StreamIndex(state, EntityCounts()).head("a") == 2


def test_a_repeat_is_known_after_its_events_are_erased(bench: ErasingBench) -> None:
    """K1, K8: the outcome of the input that made an erased event is kept elsewhere, for as long as any outcome."""
    first = bench.ask(Add(counter="a", by=1), id="once")
    bench.ask(Truncate(counter="a", before=-1))

    successor = bench.wiped()

    assert successor.kept_events() == []
    assert successor.ask(Add(counter="a", by=1), id="once") == first
    assert successor.stored("a") == []


def test_a_timer_outlives_the_event_that_set_it(bench: ErasingBench) -> None:
    """K1, K9: a timer that only an erased event's metadata knew fires at a successor."""
    bench.ask(Snooze(counter="a", by=7, after_ms=1_000))
    bench.ask(Truncate(counter="a", before=-1))
    successor = bench.wiped()

    assert isinstance(successor.clock, ManualClock)
    successor.clock.advance(timedelta(seconds=2))
    successor.run()

    assert successor.ask(Ask(counter="a")) == Total(is_=7)


def test_a_timer_that_an_erased_event_cleared_stays_cleared(bench: ErasingBench) -> None:
    """K1, K9: the state topic still has the record that set it."""
    bench.ask(AddLater(counter="a", by=7, after_ms=1_000))
    bench.ask(Snooze(counter="a", by=1, after_ms=0))
    bench.ask(Truncate(counter="a", before=-1))
    successor = bench.wiped()

    assert isinstance(successor.clock, ManualClock)
    successor.clock.advance(timedelta(seconds=2))
    successor.run()

    assert successor.stored("a") == []


def test_a_newer_timer_is_not_replaced_by_what_is_kept_of_an_erased_event(bench: ErasingBench) -> None:
    """The batch that writes tombstones may have changed the timer itself."""
    bench.ask(Snooze(counter="a", by=7, after_ms=1_000))
    answers: list[Any] = []
    bench.call(Truncate(counter="a", before=-1), answers.append)
    bench.run(lambda: bool(answers))
    bench.call(StopAdding(counter="a"), answers.append)
    bench.run(lambda: len(answers) == 2)
    successor = bench.wiped()

    assert isinstance(successor.clock, ManualClock)
    successor.clock.advance(timedelta(seconds=2))
    successor.run()

    assert successor.stored("a") == []


def test_a_late_do_is_refused_after_the_undo_was_erased(bench: ErasingBench) -> None:
    """P2: the guard of a saga's step outlives the events that it was kept with."""
    step = {"saga": "trip/1", "step": "pay"}
    bench.post(Add(counter="a", by=5), id="do", attributes={**step, "role": "do"})
    bench.post(Add(counter="a", by=1), id="undo", attributes={**step, "role": "undo"})
    bench.run()
    assert len(bench.stored("a")) == 2
    bench.ask(Truncate(counter="a", before=-1))
    successor = bench.wiped()

    successor.post(Add(counter="a", by=5), id="late do", attributes={**step, "role": "do"})
    successor.run()

    assert successor.stored("a") == []


def _tombstones(bench: Bench) -> list[bytes | None]:
    return [record.key for record in bench.records("counter.events") if record.value is None]


def _erasure(bench: Bench, key: str) -> Erasure:
    values = [record.value for record in bench.records("counter.state") if record.key == erasure_key(key.encode())]
    assert values[-1] is not None
    return decode_erasure(values[-1])


def _is_settled(bench: Bench) -> bool:
    return bench.unit.is_ready() and bench.unit.is_settled()
