"""Sagas in a service: orchestrator, participants and an aggregate on one log."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel

from consumers import Client, Permanent, Retry, Service
from consumers.delivery import Context
from eventstore import Aggregate, decide, evolve
from eventstore.log.partition import partition_of
from eventstore.log.port import TopicPartition
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
from tests.waiting import eventually

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


class Reserve(Command[Reserved, SoldOut], to="shelf", key="sku"):
    sku: str
    quantity: int


class Pack(Command[None, SoldOut], to="packers", key="order"):
    order: str
    mood: str


class Charged(Reply):
    number: str


class Declined(Refusal):
    why: str


class Charge(Command[Charged, Declined], to="bank", key="order"):
    order: str
    mood: str


class Taken(Event, name="test.shelf.taken"):
    quantity: int


class Shelf(Aggregate[Taken], name="shelf"):
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


class PlaceOrder(Saga[Order, Receipt], name="test_order", key="id", deadline=timedelta(minutes=5)):
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

    def __init__(self, log: str) -> None:
        self.packed = defaultdict[str, list[str]](list)
        self.attempts = defaultdict[str, int](int)
        packers, bank = Participant("packers"), Participant("bank")

        @packers.on
        async def pack(command: Pack, context: Context) -> None | SoldOut:  # noqa: RUF036
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

        self.service = Service("shop", log=log, components=[Shelf, packers, bank, PlaceOrder])


@pytest.fixture(params=["memory", "kafka"])
def log(request: pytest.FixtureRequest) -> str:
    """A log in memory, or a real Kafka. Tests share the Kafka: their orders and shelves have names of their own."""
    if request.param == "memory":
        return f"memory://{uuid4().hex}"
    return f"kafka://{request.getfixturevalue('kafka')}"


@pytest.fixture
def name() -> str:
    """What this test's order, and its shelf, are called."""
    return uuid4().hex[:8]


async def test_orders_complete_and_are_undone(log: str) -> None:
    """An aggregate and two participants: one order completes, one is declined and gives everything back."""
    shop = Shop(log)
    async with shop.service as service:
        orders = SagaClient(service)
        good = await orders.start(PlaceOrder, Order(id="1", quantity=2))
        assert await good.outcome(timeout=timedelta(seconds=10)) == Completed(Receipt(number="R-1"))

        poor = await orders.start(PlaceOrder, Order(id="2", quantity=2, mood="poor"))
        assert await poor.outcome(timeout=timedelta(seconds=10)) == Undone(step="charge", reason=Declined(why="poor"))

        assert shop.packed == {"1": ["pack"], "2": ["pack", "unpack"]}
        assert await service.ask(Reserve(sku="bolt", quantity=3)) == Reserved(left=0)


async def test_an_aggregates_refusal_is_final_and_a_workers_is_not(log: str) -> None:
    """P1: the shelf's refusal is not undone; a packer's is, for an earlier run may have succeeded."""
    shop = Shop(log)
    async with shop.service as service:
        orders = SagaClient(service)
        much = await orders.start(PlaceOrder, Order(id="1", quantity=9))
        assert await much.outcome(timeout=timedelta(seconds=10)) == Undone(step="reserve", reason=SoldOut(sku="bolt"))
        boxless = await orders.start(PlaceOrder, Order(id="2", mood="boxless"))
        assert await boxless.outcome(timeout=timedelta(seconds=10)) == Undone(step="pack", reason=SoldOut(sku="box"))

        assert [row.what for row in timeline(await much.history())][-2:] == ["turns back", "undone"]
        assert shop.packed["2"] == ["pack", "unpack"]
        assert await service.ask(Reserve(sku="bolt", quantity=5)) == Reserved(left=0)


async def test_a_failing_handler_is_unknown_to_its_saga_and_tried_again(log: str) -> None:
    """P4: two failures, no dead letter, then success; `Permanent` turns the saga back at once."""
    shop = Shop(log)
    async with shop.service as service:
        orders = SagaClient(service)
        clumsy = await orders.start(PlaceOrder, Order(id="1", mood="clumsy"))
        assert await clumsy.outcome(timeout=timedelta(seconds=10)) == Completed(Receipt(number="R-1"))
        hopeless = await orders.start(PlaceOrder, Order(id="2", mood="hopeless"))
        assert await hopeless.outcome(timeout=timedelta(seconds=10)) == Undone(step="pack", reason="failed")

        shown = lines(timeline(await clumsy.history()))
        assert sum("dropped it" in line for line in shown) == 2
        letters = [name for name in service.runtime.host.log.describe() if name.endswith("packers.dlq")]
        ends = service.runtime.host.log.end_positions(_partitions(service, letters))
        assert set(ends.values()) <= {0}


async def test_another_process_starts_follows_and_reads(log: str) -> None:
    """A client that hosts nothing: start, outcome, status, history and errors come over the log."""
    if log.startswith("embedded"):
        log = f"memory://{uuid4().hex}"
    shop = Shop(log)
    async with shop.service, Client(log=log, name=f"front-{uuid4().hex[:6]}") as client:
        orders = SagaClient(client)
        run = await orders.start(PlaceOrder, Order(id="1"))
        assert await run.outcome(timeout=timedelta(seconds=10)) == Completed(Receipt(number="R-1"))

        assert (await run.status()).phase == "completed"
        assert [row.what for row in timeline(await run.history())][-1] == "completed"
        with pytest.raises(SagaKeyReused):
            await orders.start(PlaceOrder, Order(id="1", quantity=3))
        with pytest.raises(SagaNotFound):
            await orders.run(PlaceOrder, "9").history()


async def test_a_participant_refuses_a_late_do(log: str) -> None:
    """P2: the undo of a step comes before its do; the do is not handled, also after a restart."""
    command, undo = Pack(order="7", mood="good"), Undo[Pack](did=Pack(order="7", mood="good"))
    attributes = {"saga": "test_order/7", "step": "pack"}
    first = Shop(log)
    async with first.service as service:
        _send(service, undo, {**attributes, "role": "undo"}, "u")
        await service.settled()
        _send(service, command, {**attributes, "role": "do"}, "d")
        await service.settled()
        assert first.packed["7"] == ["unpack"]
    again = Shop(log)
    async with again.service as service:
        _send(service, command, {**attributes, "role": "do"}, "e")
        await service.settled()
        assert again.packed["7"] == []


async def test_a_caller_gets_the_failure_of_a_participant(log: str) -> None:
    """A command that no saga sent is dead-lettered when it fails, and its caller hears of it."""
    shop = Shop(log)
    async with shop.service as service:
        with pytest.raises(Exception, match="no hands"):
            await service.ask(Pack(order="1", mood="hopeless"))

        def dead_letters() -> bool:
            names = [name for name in service.runtime.host.log.describe() if name.endswith("packers.dlq")]
            return sum(service.runtime.host.log.end_positions(_partitions(service, names)).values()) == 1

        eventually(dead_letters, 5.0)


def _partitions(service: Service, topics: list[str]) -> list[TopicPartition]:
    described = service.runtime.host.log.describe(topics)
    return [TopicPartition(name, number) for name in topics for number in range(described[name].partitions)]


def _send(service: Service, command: Command[Any, Any], attributes: dict[str, str], id_: str) -> None:
    """Put a command into its participant's inbox as an orchestrator would."""
    host = service.runtime.host
    topic = f"{command.__to__}.inbox"
    count = host.log.describe([topic])[topic].partitions
    metadata = Metadata(id=id_, type=command.__type_name__, attributes=attributes)
    producer = host.log.producer()
    key = key_of(command)
    producer.send(
        topic, partition_of(key, count), key.encode(), host.serde.encode(command), (("meta", metadata.encode()),)
    ).result(5)
    producer.close()
