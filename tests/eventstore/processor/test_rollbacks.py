"""K7, K8: code that was rolled back meets timers and answers of the newer code. Nobody else is held up by them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from eventstore.clock import ManualClock
from eventstore.log import open_log
from eventstore.processor.port import DecideContext, NotKnownHere
from eventstore.state.memory import MemoryStateEngine
from schemas import Command, Failure, Message, Metadata, Reply, ReplyTo
from tests.eventstore.processor.counters import Add, AddLater, Bench, Counters, Total, records_of


class Worth(Reply, name="counter.worth"):
    cents: int


class AddTwice(Command[None], to="counter", key="counter", name="counter.add_twice"):
    counter: str


class NewerCounters(Counters):
    """Answers otherwise, and adds later by a command of its own."""

    def decide(self, state: int, message: Message, context: DecideContext[int]) -> None:
        match message:
            case AddLater(counter=counter, after_ms=after):
                context.schedule("later", context.now + timedelta(milliseconds=after), AddTwice(counter=counter))
                context.reply(None)
            case AddTwice(counter=counter):
                super().decide(state, Add(counter=counter, by=2), context)
            case Add():
                super().decide(state, message, context)
                context.reply(Worth(cents=100 * context.state))
            case _:
                super().decide(state, message, context)


class Careful(Counters):
    """Decides on nothing that was timed: newer code knows how."""

    def decide(self, state: int, message: Message, context: DecideContext[int]) -> None:
        if context.metadata.id.startswith("timer:"):
            raise NotKnownHere("a version that this code does not have")
        super().decide(state, message, context)


@pytest.fixture
def newer(clock: ManualClock) -> Iterator[Bench]:
    """The unit of the newer code."""
    bench = deployed(Bench(open_log("memory://", clock=clock), clock=clock, processors=[NewerCounters()]))
    yield bench
    bench.log.close()


def deployed(bench: Bench) -> Bench:
    bench.serde.register([Worth, AddTwice])
    return bench


def after(bench: Bench, processor: Counters) -> Bench:
    """Another process of the same service, with this code, after that one was closed."""
    bench.close()
    made: dict[str, Any] = {"processors": [processor], "state": MemoryStateEngine()}
    return Bench(bench.log, clock=bench.clock, registry=bench.registry, **made)


def test_a_timer_of_a_type_that_this_code_does_not_know_waits_for_code_that_does(newer: Bench) -> None:
    """It is not lost, and fires once; meanwhile all other entities are served."""
    newer.ask(AddLater(counter="a", by=0, after_ms=1_000))
    older = after(newer, Counters())
    older.clock.advance(timedelta(seconds=2))  # type: ignore[attr-defined] # a manual one
    older.run()
    assert older.ask(Add(counter="b", by=1)) == Total(is_=1)
    assert older.ask(Add(counter="a", by=1)) == Total(is_=1)

    again = deployed(after(older, NewerCounters()))
    again.run(lambda: len(again.events("a")) == 2)
    last = deployed(after(again, NewerCounters()))
    last.run()

    assert last.events("a") == [(0, 1), (1, 2)]
    assert last.records("counter.inbox.bench.dlq") == []


def test_a_timer_that_newer_code_has_to_decide_on_waits_for_it(newer: Bench) -> None:
    """Such as that of a saga of another version (P8): a dead letter would leave the saga standing for ever."""
    older = after(newer, Careful())
    older.ask(AddLater(counter="a", by=5, after_ms=1_000))
    older.clock.advance(timedelta(seconds=2))  # type: ignore[attr-defined] # a manual one
    older.run()
    assert older.events("a") == []

    again = after(older, Counters())
    again.run(lambda: len(again.events("a")) == 1)

    assert again.events("a") == [(0, 5)]
    assert again.records("counter.inbox.bench.dlq") == []


def test_a_repeat_whose_answer_this_code_cannot_read_is_answered_all_the_same(newer: Bench) -> None:
    """A caller in this process is told; one from elsewhere gets the answer's bytes, for it may have newer code."""
    assert newer.ask(Add(counter="a", by=3), id="once") == Worth(cents=300)
    older = after(newer, Counters())

    told = older.ask(Add(counter="a", by=3), id="once")
    older.post(Add(counter="a", by=3), id="once", reply=ReplyTo("counter.inbox.bench.dlq", 0, "c"))
    older.run()

    assert isinstance(told, Failure)
    assert told.error == "UnknownType"
    [reply] = records_of(older.log, "counter.inbox.bench.dlq")
    assert reply.value is not None
    assert newer.serde.decode(reply.value) == Worth(cents=300)
    assert Metadata.decode(dict(reply.headers)["meta"]).correlation == "c"
    assert older.ask(Add(counter="a", by=1)) == Total(is_=4)
