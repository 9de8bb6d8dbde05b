"""A unit that fails or stops leaves no local call without an answer or an error (K10)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from eventstore.clock import ManualClock
from eventstore.log.errors import BrokerUnreachable, DataRefused, LogError, OutcomeUnknown, TransactionAborted
from eventstore.log.partition import partition_of
from eventstore.log.records import TopicPartition
from eventstore.state.errors import StateDiskFull
from tests.eventstore.processor.counters import Add, AddLater, Bench, Total

AWAY = BrokerUnreachable("nowhere", "injected")
HOME = TopicPartition("counter.inbox", partition_of("a", 2))


@pytest.fixture
def bench(bench: Bench) -> Bench:
    """A unit on the memory engine that serves its partitions."""
    bench.run()
    return bench


def failing(error: BaseException) -> Callable[..., Any]:
    """A call that raises."""

    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


def ask(bench: Bench, id: str = "asked") -> None:
    """A local call that nobody waits for: what becomes of it shows in `bench.moved`."""
    bench.call(Add(counter="a", by=3), lambda _: None, id=id)


def passed_on(bench: Bench) -> list[str]:
    """The ids of the calls that went to the inbox instead."""
    return [call.metadata.id for call in bench.moved]


@pytest.mark.parametrize("part", ["poll", "consumer", "partitions", "transactor"])
def test_calls_are_passed_on_whatever_fails_in_a_stop(bench: Bench, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """K10: the last poll of a stop raises, or something cannot be closed: the calls that wait go to the inbox."""
    unit: Any = bench.unit
    target, name = {
        "poll": (unit._consumer, "poll"),
        "consumer": (unit._consumer, "close"),
        "partitions": (unit._served, "release"),
        "transactor": (unit._commits, "close"),
    }[part]
    ask(bench)

    with monkeypatch.context() as broken:
        broken.setattr(target, name, failing(AWAY))
        with pytest.raises(BrokerUnreachable):
            bench.unit.stop(bench.clock.monotonic())
    ask(bench, "too late")

    assert passed_on(bench) == ["asked", "too late"]


def test_a_stop_with_time_left_passes_calls_on_when_its_batch_fails(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K10: the batch that should finish the waiting calls fails: they are passed on, and the error is told."""
    unit: Any = bench.unit
    ask(bench)

    with monkeypatch.context() as broken:
        broken.setattr(unit._commits.transactor, "commit", failing(AWAY))
        with pytest.raises(BrokerUnreachable):
            bench.close()

    assert passed_on(bench) == ["asked"]


@pytest.mark.parametrize(
    ("error", "then"),
    [
        (AWAY, "abort"),  # the batch cannot even be dropped
        (TransactionAborted("injected"), "abort"),
        (OutcomeUnknown("injected"), "open"),  # the producer cannot be replaced
    ],
)
def test_calls_of_a_batch_that_fails_twice_are_passed_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: LogError, then: str
) -> None:
    """K10: the commit fails, and then what follows it does too: the loop ends, and its calls go to the inbox."""
    unit: Any = bench.unit
    ask(bench)

    with monkeypatch.context() as broken:
        broken.setattr(unit._commits.transactor, "commit", failing(error))
        broken.setattr(unit._commits, then, failing(AWAY))
        with pytest.raises(BrokerUnreachable):
            bench.run(lambda: False)
    bench.unit.stop(bench.clock.monotonic())

    assert passed_on(bench) == ["asked"]


def test_a_call_whose_dead_letter_cannot_be_written_is_passed_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """K10: the broker refuses a call's data, and is away when the call is to be dead-lettered."""
    unit: Any = bench.unit
    errors = [DataRefused("counter.events takes no such record"), AWAY]
    unit._limit = 1
    ask(bench)

    def commit(*_: object) -> Any:
        unit._commits.transactor.abort()
        raise errors.pop(0)

    with monkeypatch.context() as broken:
        broken.setattr(unit._commits.transactor, "commit", commit)
        with pytest.raises(BrokerUnreachable):
            bench.run(lambda: False)
    bench.unit.stop(bench.clock.monotonic())

    assert passed_on(bench) == ["asked"]


def test_calls_are_passed_on_when_the_log_cannot_say_whether_timers_may_fire(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K9, K10: a timer is due, and its question to the log fails: the calls of that batch are not lost with it."""
    unit: Any = bench.unit
    bench.ask(AddLater(counter="a", by=1, after_ms=10))
    assert isinstance(bench.clock, ManualClock)
    bench.clock.advance(timedelta(milliseconds=20))
    ask(bench)

    with monkeypatch.context() as broken:
        broken.setattr(unit._barrier, "require", failing(AWAY))
        with pytest.raises(BrokerUnreachable):
            bench.run(lambda: False)
    bench.unit.stop(bench.clock.monotonic())

    assert passed_on(bench) == ["asked"]


@pytest.mark.parametrize("part", ["taking partitions", "asking for timers", "dead-lettering"])
def test_a_step_that_fails_leaves_what_it_polled_to_the_successor(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """K6: its records were read and not decided on; the stop that follows commits no position beyond them."""
    unit: Any = bench.unit
    unit._limit = 1
    targets: dict[str, tuple[Any, str, LogError]] = {
        "taking partitions": (unit._served, "take_over", AWAY),
        "asking for timers": (unit._barrier, "instants", AWAY),
        "dead-lettering": (unit._commits.transactor, "commit", DataRefused("not even its dead letter is taken")),
    }
    target, name, error = targets[part]
    bench.post(Add(counter="a", by=3))

    with monkeypatch.context() as broken:
        broken.setattr(target, name, failing(error))
        with pytest.raises(type(error)):
            bench.run(lambda: False)
    bench.unit.stop(bench.clock.monotonic())
    successor = Bench(bench.log, clock=bench.clock, registry=bench.registry)
    successor.run()

    assert successor.events("a") == [(0, 3)]


def test_a_call_that_happened_and_was_not_answered_gets_its_answer_from_the_successor(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K8, K10: the disk is full after the commit. The call is passed on under its id; it took effect once."""
    served: Any = bench.unit._served.partitions[HOME]
    ask(bench, "once")

    with monkeypatch.context() as broken:
        broken.setattr(served.state, "write", failing(StateDiskFull("here")))
        with pytest.raises(StateDiskFull):
            bench.run(lambda: False)
    bench.unit.stop(bench.clock.monotonic())
    successor = Bench(bench.log, clock=bench.clock, registry=bench.registry)
    answer = successor.ask(Add(counter="a", by=3), id=passed_on(bench)[0])

    assert answer == Total(is_=3)
    assert successor.events("a") == [(0, 3)]


def test_a_call_after_the_stop_is_passed_on(bench: Bench) -> None:
    """K10: whoever still holds the unit gets the same as from a process that owns nothing."""
    moved = bench.moved
    bench.close()

    ask(bench)

    assert [call.metadata.id for call in moved] == ["asked"]
