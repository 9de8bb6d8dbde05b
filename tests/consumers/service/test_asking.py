"""Ask, look, settle: what a service and a client do for programs, on a log in memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest

from consumers import Client, NotStarted, Service, Table, View, Worker, on
from consumers.view_errors import ViewStopped
from eventstore import AskTimedOut, EventStore, InputFailed
from eventstore.errors import DestinationNotHosted, OwnerSilent
from eventstore.log.errors import LogClosed
from eventstore.processor.first_take import take_first
from schemas import Command, Event
from tests.consumers.service.app import (
    LIMIT,
    Add,
    Added,
    Counter,
    Explode,
    Sum,
    TallyTotals,
    TooMuch,
    Wanted,
    fresh,
    wishes,
)
from tests.waiting import eventually_async

BRIEF = timedelta(milliseconds=200)


class Nobody(Command[None], to="nobody", key="key"):
    key: str


class Happened(Event, name="test.service.happened"):
    number: int


@pytest.fixture
def url(unique: Callable[[str], str]) -> str:
    """A log of this test's own, by name."""
    return f"memory://{unique('service')}"


@pytest.fixture
async def tallies(url: str) -> AsyncIterator[Service]:
    """The service, running."""
    async with fresh(log=url) as service:
        yield service


async def test_replies_and_refusals_are_answers(tallies: Service) -> None:
    """A command's answer is its reply or its refusal, as a value."""
    assert await tallies.ask(Add(counter="a", amount=2)) == Sum(total=2)
    assert await tallies.ask(Add(counter="a", amount=LIMIT)) == TooMuch(limit=LIMIT)


async def test_seconds_instead_of_a_timedelta_are_refused_by_name(tallies: Service) -> None:
    """The error says what to give; nothing was sent."""
    seconds: Any = 5
    ask = tallies.ask(Add(counter="a"), timeout=seconds)
    for waiting in (ask, tallies.settled(timeout=seconds), tallies.ready(timeout=seconds)):
        with pytest.raises(TypeError, match=r"timeout=5 is no timedelta: give timeout=timedelta\(seconds=…\)"):
            await waiting

    assert await tallies.ask(Add(counter="a")) == Sum(total=1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Added(counter="a", amount=1), "got the event Added, which only its owner records: give the command"),
        (Add, r"got the class Add: give an object of it, Add\(…\)"),
        ("x", "got one str: give an object of a class that is derived from Command"),
    ],
    ids=["event", "class", "text"],
)
async def test_what_is_no_command_is_refused_by_name(tallies: Service, given: Any, said: str) -> None:
    """The error says what to ask instead."""
    with pytest.raises(TypeError, match=said):
        await tallies.ask(given)


async def test_an_id_that_is_no_text_is_refused(tallies: Service) -> None:
    """Nothing was sent."""
    number: Any = 7
    with pytest.raises(TypeError, match="id=7 is no str: give a text that only this command has"):
        await tallies.ask(Add(counter="a"), id=number)

    assert await tallies.ask(Add(counter="a")) == Sum(total=1)


@pytest.mark.parametrize(
    ("components", "said"),
    [
        (Counter, r"components=<class .*Counter'> is no list: give components=\[…\]"),
        (7, r"components=7 is no list: give components=\[…\]"),
        ([Counter()], "hosts classes of this kind, and got an object: give Counter itself"),
    ],
    ids=["class", "number", "object"],
)
def test_components_are_a_list_of_what_can_be_hosted(components: Any, said: str) -> None:
    """A class alone, or an object of one that is hosted as a class, is named."""
    with pytest.raises(TypeError, match=said):
        Service("shop", components=components)


async def test_the_same_id_happens_once(tallies: Service) -> None:
    """A repeat under the same id gets the first answer, also after another command."""
    first = await tallies.ask(Add(counter="a"), id="one")
    await tallies.ask(Add(counter="a"))

    assert await tallies.ask(Add(counter="a"), id="one") == first == Sum(total=1)


async def test_a_failing_handler_is_told_to_its_caller(tallies: Service) -> None:
    """What `decide` raises reaches the caller by class and text."""
    with pytest.raises(InputFailed, match="ArithmeticError: a is not to be touched"):
        await tallies.ask(Explode(counter="a"))


async def test_nobody_answers_in_time(tallies: Service) -> None:
    """A destination that nobody serves ends in AskTimedOut, which says what to do."""
    with pytest.raises(AskTimedOut, match="ask again with the same id"):
        await tallies.ask(Nobody(key="x"), timeout=BRIEF)


async def test_who_is_refused_at_its_start_is_told_to_its_callers(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop fails after `async with` began: what is asked, appended or read waits for nobody, and says why."""
    monkeypatch.setattr("eventstore.writing.PATIENCE_SECONDS", BRIEF.total_seconds())
    monkeypatch.setattr("eventstore.remote_reading.FENCED_PATIENCE", BRIEF)
    began = threading.Event()

    def take_later(*what: Any) -> None:
        began.wait(10)
        take_first(*what)

    monkeypatch.setattr("eventstore.processor.takeover.take_first", take_later)
    store = EventStore("wishes", events=[Wanted])
    why = r"this process does not serve it: PositionMissing: group 'renamed' .*sagalog group reset"
    async with Client(log=url):  # keeps the log
        async with fresh(log=url) as first:
            began.set()
            await first.ask(Add(counter="a"))
            began.clear()
        async with Service("renamed", components=[Counter, store], log=url) as renamed:
            began.set()
            await eventually_async(lambda: "PositionMissing" in str(renamed.not_ready()))

            with pytest.raises(AskTimedOut, match=why):
                await renamed.ask(Add(counter="a"), timeout=BRIEF)
            with pytest.raises(AskTimedOut, match=why):
                await store.append("w", [Wanted(counter="a", amount=2)], expected=-1)
            with pytest.raises(OwnerSilent, match=why):
                [each async for each in store.read("w", consistent=True)]
            with pytest.raises(AskTimedOut, match=r"reaches the log$"):
                await renamed.ask(Nobody(key="x"), timeout=BRIEF)


async def test_what_nobody_hosts_is_named_at_once_where_nobody_else_can() -> None:
    """Nobody but this service sees its memory:// log, so there is nothing to wait for."""
    async with asyncio.timeout(3), fresh(log="memory://?partitions=2") as service, Client(log="memory://") as client:
        for asker, question in ((service, Nobody(key="x")), (client, Add(counter="a"))):
            with pytest.raises(DestinationNotHosted, match=f"goes to '{question.__to__}', which is hosted nowhere"):
                await asker.ask(question)

        assert await service.ask(Add(counter="a")) == Sum(total=1)


async def test_many_callers_at_once(tallies: Service) -> None:
    """Each gets its own answer."""
    answers = await asyncio.gather(*(tallies.ask(Add(counter=str(n % 7))) for n in range(200)))

    totals = sorted(answer.total for answer in answers if isinstance(answer, Sum))
    assert totals == sorted(n // 7 + 1 for n in range(200))


async def test_settled_waits_for_messages_between_components(tallies: Service) -> None:
    """Store to reactor to aggregate to view: after `settled` all of it is there, each time."""
    for round_ in range(1, 11):
        await wishes.append("w", [Wanted(counter="a", amount=1) for _ in range(5)], expected=(round_ - 1) * 5 - 1)
        await tallies.settled()

        row = await tallies.table(TallyTotals.by_counter).get("a")
        assert row is not None
        assert row.total == round_ * 5


async def test_settled_ends_with_the_view_that_stopped(url: str) -> None:
    """It never will be settled: nobody waits for that, and the error is the view's own."""
    store = EventStore("s", events=[Happened])

    class Fails(View, topics=[store]):
        rows: Table[str, int]

        @on
        def happened(self, event: Happened) -> None:
            raise ValueError("not this one")

    async with Service("failing", components=[store, Fails], log=url) as service:
        await store.append("a", [Happened(number=1)], expected=-1)

        with pytest.raises(ViewStopped, match=r"fails\.v1.*not this one"):
            await service.settled(timeout=timedelta(days=1))


async def test_settled_gives_up_in_time(url: str) -> None:
    """While a handler runs, nothing is settled, and the error says where something is under way."""
    store, slow = EventStore("s", events=[Happened]), Worker("slow", topics=["s.events"])
    started, released = threading.Event(), Future[None]()

    @slow.on
    async def handle(event: Happened) -> None:
        started.set()
        await asyncio.wrap_future(released)

    async with Service("slowly", components=[store, slow], log=url) as service:
        await store.append("a", [Happened(number=1)], expected=-1)
        assert await asyncio.to_thread(started.wait, 10)
        with pytest.raises(TimeoutError, match=r"^slowly is not settled after 1 s: slow has something under way$"):
            await service.settled(timeout=timedelta(seconds=1))

        released.set_result(None)
        await service.settled()


async def test_a_client_asks_and_looks(tallies: Service, url: str) -> None:
    """A process that hosts nothing has the same names."""
    async with Client(log=url) as client:
        assert await client.ask(Add(counter="b", amount=4)) == Sum(total=4)
        await tallies.settled()

        row = await client.table(TallyTotals.by_counter).get("b")
        assert row is not None
        assert row.total == 4


async def test_a_service_asks_another_one(tallies: Service, url: str) -> None:
    """An aggregate of one service is asked from another one on the same log."""
    async with Service("other", components=[EventStore("o", events=[Happened])], log=url) as other:
        assert await other.ask(Add(counter="c")) == Sum(total=1)
        assert await tallies.ask(Add(counter="c")) == Sum(total=2)


async def test_questions_under_way_at_the_end_are_answered_with_an_error(url: str) -> None:
    """Whoever waits when the service stops learns that the outcome is unknown."""
    async with fresh(log=url) as service:
        asking = asyncio.create_task(service.ask(Nobody(key="x"), timeout=timedelta(minutes=1)))
        await eventually_async(lambda: "nobody.inbox" in service.runtime.host.log.describe())

    with pytest.raises((LogClosed, NotStarted), match=r"async with|same id"):
        await asyncio.wait_for(asking, 10)


async def test_nothing_works_before_and_after(url: str) -> None:
    """Outside of `async with` every name raises NotStarted."""
    service = fresh(log=url)
    async with service:
        assert service.address
    with pytest.raises(NotStarted):
        await service.ask(Add(counter="a"))
    with pytest.raises(NotStarted):
        await service.settled()
    with pytest.raises(NotStarted):
        service.table(TallyTotals.by_counter)
    with pytest.raises(NotStarted):
        service.address


async def test_a_view_is_no_table() -> None:
    """Which of its tables is meant has to be said; the error shows how."""
    with pytest.raises(TypeError, match=r"such as Totals\.by_order"):
        Service("views", components=[TallyTotals], log="memory://").table(TallyTotals)  # type: ignore[arg-type]


async def test_a_service_runs_again(url: str) -> None:
    """After it stopped it starts again, and what it knew is there; twice at once is refused."""
    service = fresh(log=url)
    async with Client(log=url):  # keeps the log, which lives as long as somebody has it open
        async with service:
            await service.ask(Add(counter="a"))
            with pytest.raises(ValueError, match="runs already"):
                await service.__aenter__()
        async with service:
            assert await service.ask(Add(counter="a")) == Sum(total=2)


def test_the_blocking_facade_has_the_same_names(url: str) -> None:
    """Without asyncio: ask, settle, look, and errors come through."""
    with fresh(log=url).blocking() as shop:
        assert shop.ask(Add(counter="a", amount=3)) == Sum(total=3)
        shop.settled()
        found = shop.table(TallyTotals.by_counter)
        row = found.get("a")
        assert row is not None
        assert [(key, line.total) for key, line in found.scan()] == [("a", row.total)] == [("a", 3)]
        with pytest.raises(InputFailed):
            shop.ask(Explode(counter="a"))
        with Client(log=url).blocking() as client:
            assert client.ask(Add(counter="a")) == Sum(total=4)
    with pytest.raises(RuntimeError, match="with"):
        shop.ask(Add(counter="a"))
