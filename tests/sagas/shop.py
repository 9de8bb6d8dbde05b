"""The README's example: an order that is undone when nobody can ship it."""

import asyncio

from pydantic import BaseModel

from consumers.service import Service
from sagas import Completed, Participant, Saga, SagaClient, Undone, step
from schemas import Command, Refusal, Undo


class Order(BaseModel):
    id: str
    city: str


class NoCourier(Refusal):
    city: str


class Reserve(Command[None], to="shop", key="order"):
    order: str


class Charge(Command[None], to="shop", key="order"):
    order: str


class Ship(Command[None, NoCourier], to="shop", key="order"):
    order: str
    city: str


class PlaceOrder(Saga[Order], name="place_order", key="id"):
    @step(undo=Undo)
    def reserve(self) -> Reserve:
        return Reserve(order=self.input.id)

    @step(undo=Undo)
    def charge(self) -> Charge:
        return Charge(order=self.input.id)

    @step(pivot=True)
    def ship(self) -> Ship:
        return Ship(order=self.input.id, city=self.input.city)

    flow = reserve >> charge >> ship


shop, seen = Participant("shop"), list[str]()


@shop.on
async def do(command: Reserve | Charge) -> None:
    seen.append(type(command).__name__)


@shop.on
async def undo(command: Undo[Reserve] | Undo[Charge]) -> None:
    seen.append(f"undo {type(command.did).__name__}")


@shop.on
async def ship(command: Ship) -> None | NoCourier:
    return NoCourier(city=command.city) if command.city == "Atlantis" else None


async def main() -> None:
    async with Service("shop", log="memory://", components=[shop, PlaceOrder]) as service:
        orders = SagaClient(service)

        paris = await orders.start(PlaceOrder, Order(id="1", city="Paris"))
        assert await paris.outcome() == Completed(None)
        assert seen == ["Reserve", "Charge"]

        atlantis = await orders.start(PlaceOrder, Order(id="2", city="Atlantis"))
        assert await atlantis.outcome() == Undone(step="ship", reason=NoCourier(city="Atlantis"))
        assert seen[2:] == ["Reserve", "Charge", "undo Charge", "undo Reserve"]


