"""Values of another type than their option takes are refused where they are given, with what to give."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from consumers import Breaker, Rate, Reactor, Retry, RetryAfter, Table, View, Worker, on
from consumers.limits import Limits
from eventstore import Aggregate, Decider, DurableState, EventStore, Snapshots, decide, evolve
from eventstore.processor.port import DecideContext
from eventstore.specification import given
from sagas import Participant, Saga, step, wait_for
from schemas import Command, DefinitionError, Event

WRONG: Any = 5
WORD: Any = "x"
ONE: Any = "boxes.events"


class Filled(Event, name="box.filled"):
    box: str = "a"


class Fill(Command[None], to="boxes", key="box"):
    box: str = "a"


class Wish(BaseModel):
    box: str


STORE = EventStore("boxes", events=[Filled])
ANY_STORE: Any = STORE
COMMAND: Any = Fill


def saga(*, deadline: Any = None, **options: Any) -> type[Saga[Wish]]:
    class Wishes(Saga[Wish], name="wishes", key="box", deadline=deadline):
        @step(undo=None, **options)
        def fill(self) -> Fill:
            return Fill(box=self.input.box)

        flow = fill

    return Wishes


def aggregate(**options: Any) -> type[Aggregate[Filled]]:
    class Boxes(Aggregate[Filled], name="boxes", **options):
        @evolve
        def on_filled(self, event: Filled) -> None:
            """Nothing."""

    return Boxes


def durable(**options: Any) -> type[DurableState]:
    class Boxes(DurableState, name="boxes", **options):
        filled: int = 0

    return Boxes


def view(*, topics: Any = (STORE,), version: Any = 1) -> type[View]:
    class Boxes(View, topics=topics, version=version):
        rows: Table[str, int]

        @on
        def filled(self, event: Filled) -> None:
            """Nothing."""

    return Boxes


def handler(**options: Any) -> None:
    worker = Worker("mailer", topics=[STORE])

    @worker.on(**options)
    async def mail(event: Filled) -> None:
        """Nothing."""

    assert mail is not None


IN_CLASSES: dict[str, tuple[Callable[[], object], str]] = {
    "step(retry=)": (lambda: saga(retry=WRONG), r"step fill: retry=5 is no Retry: give retry=Retry\(attempts=5\)"),
    "step(timeout=)": (lambda: saga(timeout=WRONG), r"step fill: timeout=5 is no timedelta: give timeout=timedelta\("),
    "step(pivot=)": (lambda: saga(pivot=WRONG), "pivot=5 is no bool"),
    "Saga(deadline=)": (lambda: saga(deadline=WRONG), r"Wishes: deadline=5 is no timedelta: .*, or None"),
    "Aggregate(snapshot=)": (
        lambda: aggregate(snapshot=WRONG),
        r"snapshot=5 .*: give snapshot=Snapshots\(every",
    ),
    "Aggregate(cached=)": (lambda: aggregate(cached=WORD), "cached='x' is no whole number"),
    "Aggregate(partitions=)": (lambda: aggregate(partitions=WORD), "partitions='x' is no whole number"),
    "DurableState(partitions=)": (lambda: durable(partitions=WORD), "partitions='x' is no whole number"),
    "DurableState(version=)": (lambda: durable(version=WORD), "version='x' is no whole number"),
    "View(topics=)": (lambda: view(topics=ONE), r"topics='boxes.events' is no list: .*\['boxes.events'\]"),
    "View(version=)": (lambda: view(version=WORD), "version='x' is no whole number"),
    "on(retry=)": (lambda: handler(retry=WRONG), "mailer.on: retry=5 is no Retry"),
    "on(timeout=)": (lambda: handler(timeout=WRONG), "mailer.on: timeout=5 is no timedelta"),
}
IN_CALLS: dict[str, tuple[Callable[[], object], str]] = {
    "Worker(retry=)": (lambda: Worker("mailer", retry=WRONG), "worker mailer: retry=5 is no Retry"),
    "Worker(timeout=)": (lambda: Worker("mailer", timeout=WRONG), "timeout=5 is no timedelta"),
    "Worker(rate=)": (lambda: Worker("mailer", rate=WRONG), r"rate=5 .*: give rate=Rate\(20, per=timedelta\("),
    "Worker(limits=)": (lambda: Worker("mailer", limits=WRONG), "limits=5 is no Limits"),
    "Worker(concurrency=)": (lambda: Worker("mailer", concurrency=True), "concurrency=True is no whole number"),
    "Worker(topics=)": (lambda: Worker("mailer", topics=ONE), r"is no list: give topics=\['boxes.events'\]"),
    "Worker(topics=store)": (lambda: Worker("mailer", topics=ANY_STORE), "is no list"),
    "Reactor(topics=)": (lambda: Reactor("react", topics=ONE), "reactor react: topics='boxes.events' is no"),
    "Participant(retry=)": (lambda: Participant("shop", retry=WRONG), "retry=5 is no Retry"),
    "Participant(partitions=)": (lambda: Participant("shop", partitions=WORD), "partitions='x'"),
    "Retry(first=)": (lambda: Retry(first=WRONG), "Retry: first=5 is no timedelta"),
    "Retry(attempts=)": (lambda: Retry(attempts=WORD), "attempts='x' is no whole number"),
    "RetryAfter": (lambda: RetryAfter(WRONG), "RetryAfter: delay=5 is no timedelta"),
    "Rate(per=)": (lambda: Rate(20, per=WRONG), "Rate: per=5 is no timedelta"),
    "Breaker(reset=)": (lambda: Breaker("smtp", reset=WRONG), "breaker smtp: reset=5 is no timedelta"),
    "Breaker(failure_ratio=)": (lambda: Breaker("smtp", failure_ratio=WORD), "is no number"),
    "Limits(drain=)": (lambda: Limits(drain=WRONG), "Limits: drain=5 is no timedelta"),
    "Snapshots(every=)": (lambda: Snapshots(every=WORD), "every='x' is no whole number"),
    "Snapshots(folding=)": (lambda: Snapshots(folding=WRONG), "folding=5 is no timedelta"),
    "wait_for(timeout=)": (lambda: wait_for(Filled, timeout=WRONG), r"wait_for\(Filled\): timeout=5 is no timedelta"),
    "wait_for(5)": (lambda: wait_for(WRONG, timeout=timedelta(1)), "is a message"),
    "EventStore(events=)": (lambda: EventStore("boxes", events=[WORD]), "holds 'x', which is no"),
    "EventStore(partitions=)": (lambda: EventStore("boxes", events=[Filled], partitions=WORD), "partitions='x'"),
    "EventStore(retention=)": (
        lambda: EventStore("boxes", events=[Filled], retention=WRONG),
        "is neither",
    ),
    "Decider(events=)": (lambda: Decider("boxes", initial=int, events=[COMMAND]), "holds Fill, which is no"),
    "Decider(cached=)": (lambda: Decider("boxes", initial=int, events=[Filled], cached=WORD), "cached='x'"),
}


@pytest.mark.parametrize("name", IN_CLASSES)
def test_definitions_name_the_line(name: str) -> None:
    """They are refused when their module is imported."""
    define, told = IN_CLASSES[name]

    with pytest.raises(DefinitionError, match=rf"test_option_values\.py:\d+: .*{told}"):
        define()


@pytest.mark.parametrize("name", IN_CALLS)
def test_calls_name_the_option(name: str) -> None:
    """They are refused by the call itself, whose line is in the traceback."""
    call, told = IN_CALLS[name]

    with pytest.raises(TypeError, match=told):
        call()


@pytest.mark.parametrize(
    ("at", "told"),
    [
        (timedelta(hours=1), r"timer 'late': .* is no instant: give one, such as context\.now \+ timedelta\(hours=1\)"),
        (datetime(2026, 1, 1), "timer 'late': .* has no zone"),  # noqa: DTZ001 - that is the mistake
    ],
)
def test_a_timer_is_due_at_an_instant(at: Any, told: str) -> None:
    """A span, or a time that every machine would take for another one, is refused where it is set."""

    class Boxes(Aggregate[Filled], name="boxes"):
        @decide
        def fill(self, command: Fill, context: DecideContext[object]) -> None:
            context.schedule("late", at, command)

        @evolve
        def on_filled(self, event: Filled) -> None:
            """Nothing."""

    with pytest.raises((TypeError, ValueError), match=told):
        given(Boxes).when(Fill())
