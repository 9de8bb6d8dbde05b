"""Starting and stopping: named errors, nothing left behind, readiness, resources."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

import consumers.service as service_module
from consumers import Client, Service, Worker
from consumers.errors import ComponentUnknown, HttpUnavailable, LogNotGiven
from consumers.positions import reset
from eventstore import EventStore
from eventstore.component import Component, Host, Plan
from eventstore.errors import CommandNotHandled
from eventstore.log import open_log
from eventstore.log.errors import (
    BadLogUrl,
    BrokerUnreachable,
    LogClosed,
    LogMissing,
    ProcessorTaken,
    TopicMissing,
)
from eventstore.log.local.log import LocalLog
from eventstore.process_host import state_url
from schemas import Command, Event
from tests.consumers.service.app import Add, Counter, Sum, TooMuch, fresh
from tests.consumers.service.processes import get
from tests.eventstore.processor.counters import Counters
from tests.waiting import eventually, eventually_async


class Rang(Event, name="test.service.rang"):
    number: int


@pytest.fixture
def url(unique: Callable[[str], str]) -> str:
    """A log of this test's own, by name."""
    return f"memory://{unique('starting')}"


@dataclass
class Fragile:
    """A component with one loop that fails, is not ready or hangs when it is told to."""

    name: str = "fragile"
    failure: Exception | None = None
    is_ready: bool = True
    opened: int = 0
    stopped: int = 0

    def __component__(self) -> Plan:
        return Plan(name=self.name, loops=(lambda host: FragileLoop(self, host),))


class FragileLoop:
    name = "fragile"

    def __init__(self, owner: Fragile, host: Host) -> None:
        self._owner, self._pause = owner, threading.Event()

    def open(self) -> None:
        self._owner.opened += 1
        self._raise()

    def step(self, timeout: float) -> bool:
        self._raise()
        self._pause.wait(min(timeout, 0.01))
        return False

    def is_ready(self) -> bool:
        return self._owner.is_ready

    def is_settled(self) -> bool:
        return True

    def metrics(self) -> Mapping[str, float]:
        return {"fragile_opened_total": float(self._owner.opened)}

    def stop(self, deadline: float) -> None:
        self._owner.stopped += 1

    def _raise(self) -> None:
        if self._owner.failure is not None:
            raise self._owner.failure


def threads() -> set[str]:
    """The names of this process's threads that belong to services."""
    return {one.name for one in threading.enumerate() if one.name in {"http", "replies", "fragile", "unit tallies"}}


async def get_async(address: str, path: str) -> tuple[int, str]:
    """The same, while the event loop goes on."""
    return await asyncio.to_thread(get, address, path)


@pytest.mark.parametrize(
    ("log", "error", "said"),
    [
        ("kafka://127.0.0.1:1", BrokerUnreachable, "127.0.0.1:1"),
        ("nats://here", BadLogUrl, "there is no engine 'nats'"),
        ("memory", BadLogUrl, "no scheme"),
        (None, LogNotGiven, r"give Service\(…, log=…\), --log or the variable"),
    ],
)
async def test_a_log_that_cannot_be_opened_is_named(
    log: str | None, error: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No broker, no such engine, no URL, none given: each its own error, and nothing stays behind."""
    monkeypatch.delenv("SAGALOG_LOG", raising=False)
    before = threads()

    with pytest.raises(error, match=said):
        await fresh(log=log).__aenter__()

    assert threads() == before


async def test_a_client_without_a_log_is_told_how_a_client_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no command line, and is no service."""
    monkeypatch.delenv("SAGALOG_LOG", raising=False)

    with pytest.raises(
        LogNotGiven,
        match=r"^no log was given for client: give Client\(log=…\) or the variable SAGALOG_LOG, for example kafka://",
    ):
        await Client().__aenter__()


async def test_the_variable_names_the_log(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `log=`, SAGALOG_LOG says it."""
    monkeypatch.setenv("SAGALOG_LOG", url)
    async with fresh() as service:
        assert service.runtime.host.log.url.startswith("memory://")


async def test_an_address_in_use_is_named(url: str) -> None:
    """The HTTP endpoint that cannot listen says where, and the next start works."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(HttpUnavailable, match="give another host:port"):
            await fresh(log=url, http=f"127.0.0.1:{taken.getsockname()[1]}").__aenter__()
    assert threads() == set()


@pytest.mark.parametrize("failure", [TopicMissing("nowhere"), OSError("disk gone")])
async def test_a_loop_that_does_not_open_fails_the_start(url: str, failure: Exception) -> None:
    """Its error is raised, the loops that run already are stopped, components are free again."""
    fragile, store = Fragile(failure=failure), EventStore("s", events=[Rang])
    service = Service("tallies", components=[Counter, store, fragile], log=url)

    with pytest.raises(type(failure), match=str(failure)):
        await service.__aenter__()
    assert threads() == set()

    fragile.failure = None
    async with service:
        assert (await store.append("a", [Rang(number=1)], expected=-1)).version == 0


async def test_a_missing_topic_is_named(url: str) -> None:
    """A worker on a topic that nobody made says so."""
    worker = Worker("w", topics=["nowhere.events"])

    @worker.on
    async def handle(event: Rang) -> None:
        """Never called."""

    with pytest.raises(TopicMissing, match=r"nowhere\.events"):
        await Service("tallies", components=[worker], log=url).__aenter__()


async def test_a_client_makes_no_log(tmp_path: Path) -> None:
    """A folder that is misspelt is told as that, and not made."""
    folder = tmp_path / "typo"
    with pytest.raises(LogMissing, match=r"there is no log in .*typo: correct the URL"):
        await Client(log=f"embedded://{folder}").__aenter__()
    assert not folder.exists()


async def test_a_process_that_waits_says_what_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Now and then, until it is ready; after that nothing more."""
    monkeypatch.setattr(service_module, "WAITING_SECONDS", 0.05)
    fragile, is_ready = Fragile(is_ready=False), asyncio.Event()
    with capture_logs() as told:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(
                Service("tallies", components=[Counter, fragile], log=url).serve(ready=is_ready.set)
            )
            await eventually_async(lambda: [event["event"] for event in told].count("service_waits") >= 2)
            fragile.is_ready = True
            await is_ready.wait()
            waited = [event["why"] for event in told if event["event"] == "service_waits"]
            serving.cancel()
    assert "fragile: starting, or taking partitions" in waited[-1]


async def test_what_keeps_the_log_from_answering_is_the_reason(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a loop that is not ready."""

    def trouble(_: LocalLog) -> str:
        return "no Kafka answers"

    monkeypatch.setattr(LocalLog, "trouble", trouble)
    async with Service("tallies", components=[Counter, Fragile(is_ready=False)], log=url) as service:
        await eventually_async(lambda: service.not_ready() == {"fragile": "no Kafka answers"})


async def test_readiness_tells_the_truth(url: str) -> None:
    """Not ready until every loop serves what it was assigned; a loop that fails is named, and ready when it is back."""
    fragile = Fragile(is_ready=False)
    async with Service("tallies", components=[Counter, fragile], log=url) as service:
        status, body = await get_async(service.address, "/ready")
        assert status == 503
        assert "fragile" in json.loads(body)["reasons"]
        assert (await get_async(service.address, "/live"))[0] == 200
        for wait in service.ready, service.settled:
            with pytest.raises(TimeoutError, match=r"after 0.1 s: .*fragile: starting, or taking partitions"):
                await wait(timeout=timedelta(milliseconds=100))

        fragile.is_ready = True
        await service.ready()
        assert (await get_async(service.address, "/ready"))[0] == 200

        fragile.failure = OSError("disk full")
        await eventually_async(lambda: service.not_ready().get("fragile") == "OSError: disk full")
        assert (await get_async(service.address, "/ready"))[0] == 503
        metrics = (await get_async(service.address, "/metrics"))[1]
        assert 'loop_up{component="fragile"} 0.0' in metrics

        fragile.failure = None
        await service.ready()
        metrics = (await get_async(service.address, "/metrics"))[1]
        assert 'loop_up{component="fragile"} 1.0' in metrics
        assert 'fragile_opened_total{component="fragile"}' in metrics


async def test_stopping_while_a_loop_fails(url: str) -> None:
    """A loop that waits before its next attempt does not hold up the end."""
    fragile = Fragile()
    async with Service("tallies", components=[fragile], log=url) as service:
        fragile.failure = OSError("gone")
        await eventually_async(lambda: bool(service.not_ready()))
        opened = fragile.opened
    assert fragile.opened == opened
    assert threads() == set()


async def test_a_cancelled_start_leaves_nothing_behind(url: str) -> None:
    """Cancelling waits for the start to be over and undoes it."""
    service = fresh(log=url)
    starting = asyncio.create_task(service.__aenter__())
    await eventually_async(lambda: bool(threads()))
    starting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await starting
    eventually(lambda: threads() == set())
    async with service:
        await service.ready()


@dataclass
class Pool:
    """Something to be opened and closed."""

    is_open: bool = False


async def test_resources_live_as_long_as_the_service(url: str) -> None:
    """A generator's value is given to handlers by its type, and closed after they have ended."""
    store, worker, pools = EventStore("s", events=[Rang]), Worker("w", topics=["s.events"]), list[Pool]()
    seen = list[bool]()

    @worker.on
    async def handle(event: Rang, pool: Pool, words: list[str]) -> None:
        seen.append(pool.is_open and words == ["one"])

    service = Service("tallies", components=[store, worker], log=url)

    @service.provide
    async def pool() -> AsyncIterator[Pool]:
        made = Pool(is_open=True)
        pools.append(made)
        yield made
        made.is_open = False

    @service.provide
    def words() -> list[str]:
        return ["one"]

    async with service:
        await store.append("a", [Rang(number=1)], expected=-1)
        await service.settled()
        assert pools[0].is_open
    assert seen == [True]
    assert not pools[0].is_open


async def test_a_provider_that_fails_closes_the_others(url: str) -> None:
    """Resources that are open already are closed when a later one does not open."""
    service, closed = Service("tallies", components=[Counter], log=url), list[str]()

    @service.provide
    async def first() -> AsyncIterator[Pool]:
        yield Pool()
        closed.append("first")

    @service.provide
    def second() -> dict[str, int]:
        raise OSError("no network")

    with pytest.raises(OSError, match="no network"):
        await service.__aenter__()
    assert closed == ["first"]


def test_what_is_no_component_is_named() -> None:
    """An object without `__component__` is refused when the service is made; a double name too."""
    wrong: Any = object()
    with pytest.raises(TypeError, match="cannot host"):
        Service("s", components=[wrong])
    with pytest.raises(ValueError, match="two components named 'tally'"):
        Service("s", components=[Counter, Counter])


async def test_only_some_components_are_hosted(url: str) -> None:
    """`only` names them, views with or without version; the topics of the others are made all the same."""
    service = fresh(log=url)
    with pytest.raises(ComponentUnknown, match=r"it has tally, wishes, tally_totals\.v1"):
        service.configure(only=["totals"])

    service.configure(only=["tally_totals", "noting"])

    assert service.components == ("tally_totals.v1", "noting")
    async with service:
        assert "wishes.events" in service.runtime.host.log.describe()
        with pytest.raises(ValueError, match="runs already"):
            service.configure(slot="2")


async def test_a_processor_that_lacks_what_its_journal_needs_is_refused_by_name(url: str) -> None:
    """One that asks for another journal than it was written for is not run as if it had not."""
    counters = Counters()
    counters.journal = "state"
    component = SimpleNamespace(__component__=lambda: Plan(name="counter", processors=(counters,)))

    with pytest.raises(ValueError, match="journal='state' needs a method encode_state"):
        async with Service("s", components=[cast("Component", component)], log=url):
            pass


@pytest.mark.parametrize(
    ("log", "state"),
    [
        ("embedded:///data/log?fsync=commit", "/data/log/state/shop/1"),
        ("embedded:data/log", "data/log/state/shop/1"),
        ("memory://shared", "memory://"),
        ("kafka://host:9092", ".sagalog/state/shop/1"),
    ],
)
def test_state_is_kept_beside_an_embedded_log(log: str, state: str) -> None:
    """Where a process keeps what can be rebuilt, if it is not told."""
    assert state_url(log, "shop", "1") == state


async def test_a_command_that_its_destination_does_not_handle_is_named_at_start(url: str) -> None:
    """Else its sender would wait for ever."""
    sender = SimpleNamespace(__component__=lambda: Plan(name="sender", messages=(Unwanted,)))

    with pytest.raises(CommandNotHandled, match="sender sends Unwanted to 'tally'"):
        async with Service("s", components=[cast("Component", sender), Counter], log=url):
            pass


class Unwanted(Command[None], to="tally", key="counter"):
    counter: str


async def test_what_forbids_to_take_a_partition_is_told_at_the_start_or_by_readiness(url: str) -> None:
    """K12: another service has the processor. It is raised if it shows before the loops run, else readiness says it."""
    kept = open_log(url)
    async with Service("vault", components=[Counter], log=url) as service:
        await service.ready()
        await service.ask(Add(counter="a", amount=1))
    reset(kept, "safe", "tally.inbox", "end")

    async def start() -> None:
        async with Service("vault", components=[Counter], log=url) as service:
            await eventually_async(lambda: "ProcessorTaken" in service.not_ready().get("unit vault", ""))
            await service.ready(timeout=timedelta(milliseconds=100))

    with pytest.raises((ProcessorTaken, TimeoutError), match=r"'safe' does|unit vault: ProcessorTaken"):
        await start()
    kept.close()


async def test_nobody_waits_for_an_answer_once_the_service_was_left(url: str) -> None:
    """K10: each caller has its answer, a refusal among them, or learns that none comes, when it is left."""
    async with Service("tallies", components=[Counter], log=url) as service:
        await service.ready()
        asking = [asyncio.create_task(service.ask(Add(counter=str(one), amount=one))) for one in range(200)]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)

    assert [task for task in asking if not task.done()] == []
    ends = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(end, Sum | TooMuch | LogClosed) for end in ends)
    assert any(isinstance(end, Sum | TooMuch) for end in ends)
