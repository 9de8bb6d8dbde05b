"""Sagas in a service: orchestrator, participants and an aggregate on one log."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel

from consumers import Client, Permanent, Retry, Service
from consumers.delivery import Context
from eventstore import Aggregate, Component, InputFailed, decide, evolve
from eventstore.log.partition import partition_of
from eventstore.log.records import TopicPartition
from sagas import (
    Completed,
    Participant,
    Saga,
    SagaClient,
    SagaKeyReused,
    SagaNotFound,
    Undone,
    result,
    step,
    timeline,
)
from sagas.timeline import lines
from schemas import Command, Event, Metadata, Refusal, Reply, Undo, key_of
from tests.consumers.committers import Committers
from tests.waiting import eventually_async

RUN = uuid4().hex[:6]
SHOP, SHELF, PACKERS, BANK, ORDER = (f"{name}_{RUN}" for name in ("shop", "shelf", "packers", "bank", "test_order"))
"""Topics and groups of this run: the Kafka may have been there before."""
LONG = timedelta(seconds=20)
QUICK = Retry(attempts=3, first=timedelta(milliseconds=20))


class Order(BaseModel):
    id: str
    sku: str = "bolt"
    quantity: int = 1
    mood: str = "good"


class Receipt(BaseModel):
    number: str


class Reserved(Reply):
    left: int


class SoldOut(Refusal):
    sku: str


class Reserve(Command[Reserved, SoldOut], to=SHELF, key="sku"):
    sku: str
    quantity: int


class Pack(Command[None, SoldOut], to=PACKERS, key="order"):
    order: str
    mood: str


class Charged(Reply):
    number: str


class Declined(Refusal):
    why: str


class Charge(Command[Charged, Declined], to=BANK, key="order"):
    order: str
    mood: str


class Taken(Event, name="test.shelf.taken"):
    quantity: int


class Shelf(Aggregate[Taken], name=SHELF):
    left: int = 5

    @decide
    def reserve(self, command: Reserve) -> Reserved | SoldOut:
        if command.quantity > self.left:
            return SoldOut(sku=command.sku)
        self.record(Taken(quantity=command.quantity))
        return Reserved(left=self.left)

    @decide
    def give_back(self, command: Undo[Reserve]) -> None:
        self.record(Taken(quantity=-command.did.quantity))

    @evolve
    def taken(self, event: Taken) -> None:
        self.left -= event.quantity


class PlaceOrder(Saga[Order, Receipt], name=ORDER, key="id", deadline=timedelta(minutes=5)):
    @step(undo=Undo, retry=QUICK)
    def reserve(self) -> Reserve:
        return Reserve(sku=self.input.sku, quantity=self.input.quantity)

    @step(undo=Undo, retry=QUICK)
    def pack(self) -> Pack:
        return Pack(order=self.input.id, mood=self.input.mood)

    @step(pivot=True, retry=QUICK)
    def charge(self) -> Charge:
        return Charge(order=self.input.id, mood=self.input.mood)

    @result
    def receipt(self) -> Receipt:
        return Receipt(number=self.charge.number)

    flow = reserve >> pack >> charge


class Shop:
    """A service with everything, and the books of its participants."""

    def __init__(self, log: str, *others: Component) -> None:
        self.packed = defaultdict[str, list[str]](list)
        self.attempts = defaultdict[str, int](int)
        packers, bank = Participant(PACKERS), Participant(BANK)

        @packers.on
        async def pack(command: Pack, context: Context) -> None | SoldOut:  # noqa: RUF036 - as users write it too
            self.attempts[command.order] += 1
            if command.mood == "clumsy" and self.attempts[command.order] < 3:
                raise OSError("dropped it")
            if command.mood == "hopeless":
                raise Permanent("no hands")
            self.packed[command.order].append("pack")
            return SoldOut(sku="box") if command.mood == "boxless" else None

        @packers.on
        async def unpack(command: Undo[Pack]) -> None:
            self.packed[command.did.order].append("unpack")

        @bank.on(idempotent=True)
        async def charge(command: Charge) -> Charged | Declined:
            return Declined(why="poor") if command.mood == "poor" else Charged(number=f"R-{command.order}")

        self.service = Service(SHOP, log=log, state="memory://", components=[Shelf, packers, bank, PlaceOrder, *others])


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def log(request: pytest.FixtureRequest) -> str:
    """A log in memory, or a real Kafka. Tests share the Kafka: their orders and shelves have names of their own."""
    if request.param == "memory":
        return f"memory://{uuid4().hex}"
    return f"kafka://{request.getfixturevalue('kafka')}"


@pytest.fixture
def name() -> str:
    """What this test's order, and its shelf, are called."""
    return uuid4().hex[:8]


async def test_orders_complete_and_are_undone(log: str, name: str) -> None:
    """An aggregate and two participants: one order completes, one is declined and gives everything back."""
    shop = Shop(log)
    async with shop.service as service:
        orders = SagaClient(service)
        good = await orders.start(PlaceOrder, Order(id=f"{name}1", sku=name, quantity=2))
        seconds: Any = 5
        with pytest.raises(TypeError, match="timeout=5 is no timedelta"):
            await good.outcome(timeout=seconds)
        order: Any = {"id": "1"}
        for start in (orders.start, orders.complete):
            with pytest.raises(TypeError, match=r"PlaceOrder starts with one Order, and got a dict: give Order\(…\)"):
                await start(PlaceOrder, order)
        assert await good.outcome(timeout=LONG) == Completed(Receipt(number=f"R-{name}1"))

        poor = await orders.start(PlaceOrder, Order(id=f"{name}2", sku=name, quantity=2, mood="poor"))
        assert await poor.outcome(timeout=LONG) == Undone(step="charge", reason=Declined(why="poor"))

        assert shop.packed == {f"{name}1": ["pack"], f"{name}2": ["pack", "unpack"]}
        assert await service.ask(Reserve(sku=name, quantity=3)) == Reserved(left=0)


async def test_an_aggregates_refusal_is_final_and_a_workers_is_not(log: str, name: str) -> None:
    """P1: the shelf's refusal is not undone; a packer's is, for an earlier run may have succeeded."""
    shop = Shop(log)
    async with shop.service as service:
        orders = SagaClient(service)
        much = await orders.start(PlaceOrder, Order(id=f"{name}1", sku=name, quantity=9))
        assert await much.outcome(timeout=LONG) == Undone(step="reserve", reason=SoldOut(sku=name))
        boxless = await orders.start(PlaceOrder, Order(id=f"{name}2", sku=name, mood="boxless"))
        assert await boxless.outcome(timeout=LONG) == Undone(step="pack", reason=SoldOut(sku="box"))

        assert [row.what for row in timeline(await much.history())][-2:] == ["turns back", "undone"]
        assert shop.packed[f"{name}2"] == ["pack", "unpack"]
        assert await service.ask(Reserve(sku=name, quantity=5)) == Reserved(left=0)


async def test_a_failing_handler_is_unknown_to_its_saga_and_tried_again(log: str, name: str) -> None:
    """P4: two failures, no dead letter, then success; `Permanent` turns the saga back at once."""
    shop = Shop(log)
    async with shop.service as service:
        orders, before = SagaClient(service), dead_letters(service)
        clumsy = await orders.start(PlaceOrder, Order(id=f"{name}1", sku=name, mood="clumsy"))
        assert await clumsy.outcome(timeout=LONG) == Completed(Receipt(number=f"R-{name}1"))
        hopeless = await orders.start(PlaceOrder, Order(id=f"{name}2", sku=name, mood="hopeless"))
        assert await hopeless.outcome(timeout=LONG) == Undone(step="pack", reason="failed")

        shown = lines(timeline(await clumsy.history()))
        assert sum("dropped it" in line for line in shown) == 2
        assert dead_letters(service) == before


async def test_another_process_starts_follows_and_reads(log: str, name: str) -> None:
    """A client that hosts nothing: start, outcome, status, history and errors come over the log."""
    shop = Shop(log)
    async with shop.service, Client(log=log, name=f"front-{name}") as client:
        orders = SagaClient(client)
        run = await orders.start(PlaceOrder, Order(id=name, sku=name))
        assert await run.outcome(timeout=LONG) == Completed(Receipt(number=f"R-{name}"))

        assert (await run.status()).phase == "completed"
        assert [row.what for row in timeline(await run.history())][-1] == "completed"
        with pytest.raises(SagaKeyReused):
            await orders.start(PlaceOrder, Order(id=name, sku=name, quantity=3))
        with pytest.raises(SagaNotFound):
            await orders.run(PlaceOrder, f"{name}9").history()


async def test_a_participant_refuses_a_late_do(log: str, name: str) -> None:
    """P2: the undo of a step comes before its do; the do is not handled, also after a restart."""
    command, undo = Pack(order=name, mood="good"), Undo[Pack](did=Pack(order=name, mood="good"))
    attributes = {"saga": f"{ORDER}/{name}", "step": "pack"}
    first = Shop(log)
    async with first.service as service:
        send(service, undo, {**attributes, "role": "undo"}, f"{name}u")
        send(service, command, {**attributes, "role": "do"}, f"{name}d")
        await service.settled()
        assert first.packed[name] == ["unpack"]
    again = Shop(log)
    async with again.service as service:
        send(service, command, {**attributes, "role": "do"}, f"{name}e")
        await service.settled()
        assert again.packed[name] == []


async def test_a_caller_gets_the_failure_of_a_participant(log: str, name: str) -> None:
    """A command that no saga sent is dead-lettered when it fails, and its caller hears of it."""
    shop = Shop(log)
    async with shop.service as service:
        before = dead_letters(service)

        with pytest.raises(InputFailed, match="no hands"):
            await service.ask(Pack(order=name, mood="hopeless"))

        await eventually_async(lambda: dead_letters(service) == before + 1)


async def test_an_event_that_fails_is_dead_lettered_although_a_saga_caused_it(log: str, name: str) -> None:
    """P4 speaks of commands: the shelf's event carries the saga's attributes and has only the dead letters to go to."""
    watcher = Participant("watcher", topics=[Shelf])

    @watcher.on
    async def watch(event: Taken) -> None:
        raise Permanent("cannot look")

    shop = Shop(log, watcher)
    async with shop.service as service:
        before = dead_letters(service, f"{SHELF}.events.{SHOP}.watcher.dlq")

        await SagaClient(service).complete(PlaceOrder, Order(id=name, sku=name))

        await eventually_async(lambda: dead_letters(service, f"{SHELF}.events.{SHOP}.watcher.dlq") > before)


async def test_versions_of_a_saga_run_side_by_side(log: str, name: str) -> None:
    """P8: both classes are components of the service; each instance keeps to its own."""

    class Older(Saga[Order], name=ORDER, version=2, key="id"):
        @step(undo=Undo)
        def pack(self) -> Pack:
            return Pack(order=self.input.id, mood="good")

        flow = pack

    shop = Shop(log, Older)
    async with shop.service as service:
        orders = SagaClient(service)

        assert await orders.complete(Older, Order(id=f"{name}1")) == Completed(None)
        assert await orders.complete(PlaceOrder, Order(id=f"{name}2", sku=name)) == Completed(
            Receipt(number=f"R-{name}2")
        )


async def test_no_group_commits_in_two_ways(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """W1: units and reactors in transactions, participants and views plainly, each partition of each group one way."""
    committers = Committers(monkeypatch)
    shop = Shop(f"memory://{uuid4().hex}")
    async with shop.service as service:
        await SagaClient(service).complete(PlaceOrder, Order(id=name, sku=name))
        await service.settled()

    used = {group: {how[-1] for how in by.values()} for group, by in committers.by_group.items()}
    assert committers.mixing() == {}
    assert used[f"{SHOP}.{PACKERS}"] == {"plain"}
    assert "transaction" in used[SHOP]


def dead_letters(service: Service, topic: str = f"{PACKERS}.inbox.{SHOP}.{PACKERS}.dlq") -> int:
    """How many records a dead-letter topic got."""
    log = service.runtime.host.log
    partitions = log.describe([topic])[topic].partitions
    return sum(log.end_positions([TopicPartition(topic, number) for number in range(partitions)]).values())


def send(service: Service, command: Command[Any, Any], attributes: dict[str, str], id_: str) -> None:
    """Put a command into its participant's inbox as an orchestrator would."""
    host, topic, key = service.runtime.host, f"{command.__to__}.inbox", key_of(command)
    partition = partition_of(key, host.log.describe([topic])[topic].partitions)
    metadata = Metadata(id=id_, type=command.__type_name__, attributes=attributes)
    producer = host.log.producer()
    producer.send(topic, partition, key.encode(), host.serde.encode(command), (("meta", metadata.encode()),)).result(5)
    producer.close()
