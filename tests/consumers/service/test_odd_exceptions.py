"""Exceptions that cannot be written as they are, or are no `Exception`: each is the affair of its own input."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest
from pydantic import BaseModel

from consumers import Reactor, Retry, Service, Worker, dlq
from eventstore import ANY, Aggregate, EventStore, InputFailed, decide, evolve
from eventstore.log import open_log
from sagas import Completed, Participant, Saga, SagaClient, Undone, step
from schemas import Command, Event, Undo
from tests.waiting import eventually_async

ONCE = Retry(attempts=1)


class Mute(Exception):
    """Has no text."""

    def __str__(self) -> NoReturn:
        raise RuntimeError("there is none")


class Panic(BaseException):
    """As an extension in another language raises it."""


RAISED = [
    pytest.param(lambda: OSError("no file \udcff.txt"), "OSError", "no file \\udcff.txt", id="a lone surrogate"),
    pytest.param(Mute, "Mute", "(no text: its __str__ raised RuntimeError)", id="no text"),
    pytest.param(lambda: SystemExit(3), "SystemExit", "3", id="an exit"),
    pytest.param(lambda: Panic("index out of bounds"), "Panic", "index out of bounds", id="a panic"),
    pytest.param(lambda: BaseExceptionGroup("two", [Panic()]), "BaseExceptionGroup", "two (1 sub-exception)", id="two"),
]


class Happened(Event, name="test.odd.happened"):
    number: int


class Count(Command[None], to="odd_counter", key="id", name="test.odd.count"):
    id: str
    number: int


class Pack(Command[None], to="odd_packers", key="id", name="test.odd.pack"):
    id: str


class Order(BaseModel):
    id: str


Raise = Callable[[], BaseException]
with_all = pytest.mark.parametrize(("raised", "name", "text"), RAISED)


def reasons(url: str) -> list[tuple[str, str]]:
    """Class and text of the errors of the dead letters that wait."""
    log = open_log(url)
    try:
        return [(letter.error, letter.reason) for letter in dlq.find(log)]
    finally:
        log.close()


@with_all
async def test_a_workers_record_is_a_dead_letter_and_the_next_is_handled(
    unique: Callable[[str], str], raised: Raise, name: str, text: str
) -> None:
    """The worker's loop does not fail, and hands out what comes behind."""
    url, seen = f"memory://{unique('odd')}", list[int]()
    store = EventStore("odd_store", events=[Happened])
    worker = Worker("odd_worker", topics=[store.topic], retry=ONCE)

    @worker.on
    async def handle(event: Happened) -> None:
        if event.number == 0:
            raise raised()
        seen.append(event.number)

    async with Service("odd", log=url, components=[store, worker]) as service:
        await store.append("one", [Happened(number=0), Happened(number=1)], expected=ANY)

        await eventually_async(lambda: seen == [1] and reasons(url) == [(name, text)])
        assert service.not_ready() == {}


@pytest.mark.parametrize(
    ("raised", "name", "text"),
    [*RAISED, pytest.param(asyncio.CancelledError, "CancelledError", "", id="a cancellation")],
)
async def test_a_decision_is_a_dead_letter_and_the_next_is_made(
    unique: Callable[[str], str], raised: Raise, name: str, text: str
) -> None:
    """Who asked is told what was raised; the unit goes on."""
    url = f"memory://{unique('odd')}"

    class Counter(Aggregate[Happened], name="odd_counter"):
        total: int = 0

        @decide
        def count(self, command: Count) -> None:
            if command.number == 0:
                raise raised()
            self.record(Happened(number=command.number))

        @evolve
        def happened(self, event: Happened) -> None:
            self.total += event.number

    async with Service("odd", log=url, components=[Counter]) as service:
        with pytest.raises(InputFailed, match=name):
            await service.ask(Count(id="one", number=0))
        await service.ask(Count(id="one", number=1))

        assert reasons(url) == [(name, text)]
        assert service.not_ready() == {}


@with_all
async def test_a_reactors_event_is_a_dead_letter_and_the_next_is_handled(
    unique: Callable[[str], str], raised: Raise, name: str, text: str
) -> None:
    """What is of the surroundings stops a reactor, an `OSError` too; all else is its event's."""
    if name == "OSError":
        raised, name = lambda: ValueError("no file \udcff.txt"), "ValueError"
    url, seen = f"memory://{unique('odd')}", list[int]()
    store = EventStore("odd_store", events=[Happened])
    reactor = Reactor("odd_reactor", topics=[store])

    @reactor.on
    def react(event: Happened) -> Iterator[Command[Any, Any]]:
        if event.number == 0:
            raise raised()
        seen.append(event.number)
        yield from ()

    async with Service("odd", log=url, components=[store, reactor]):
        await store.append("one", [Happened(number=0), Happened(number=1)], expected=ANY)

        await eventually_async(lambda: seen == [1] and reasons(url) == [(name, text)])


@with_all
@pytest.mark.parametrize("place", ["step", "handler"])
async def test_a_saga_turns_back_and_the_next_completes(
    unique: Callable[[str], str], raised: Raise, name: str, text: str, place: str
) -> None:
    """Whether the method that builds a step raised, or the participant's handler: the outcome says what."""

    class Ship(Saga[Order], name="odd_ship", key="id"):
        @step(undo=Undo, retry=ONCE)
        def pack(self) -> Pack:
            if place == "step" and self.input.id == "bad":
                raise raised()
            return Pack(id=self.input.id)

        flow = pack

    packers = Participant("odd_packers", retry=ONCE)

    @packers.on
    async def pack(command: Pack) -> None:
        if place == "handler" and command.id == "bad":
            raise raised()

    @packers.on
    async def unpack(command: Undo[Pack]) -> None:
        pass

    async with Service("odd_packers", log=f"memory://{unique('odd')}", components=[packers, Ship]) as service:
        client = SagaClient(service)
        bad = await (await client.start(Ship, Order(id="bad"))).outcome()
        good = await (await client.start(Ship, Order(id="good"))).outcome()

    assert isinstance(bad, Undone)
    assert bad.detail == f"{name}: {text}"
    assert isinstance(good, Completed)


async def test_memory_that_is_short_undoes_no_saga(unique: Callable[[str], str]) -> None:
    """It says nothing about the saga: its step is built when there is some again (K7)."""
    failures = [MemoryError()]

    class Ship(Saga[Order], name="odd_ship", key="id"):
        @step(undo=Undo, retry=ONCE)
        def pack(self) -> Pack:
            if failures:
                raise failures.pop()
            return Pack(id=self.input.id)

        flow = pack

    packers = Participant("odd_packers")

    @packers.on
    async def pack(command: Pack | Undo[Pack]) -> None:
        pass

    async with Service("odd_packers", log=f"memory://{unique('odd')}", components=[packers, Ship]) as service:
        run = await SagaClient(service).start(Ship, Order(id="one"))

        assert isinstance(await run.outcome(), Completed)
