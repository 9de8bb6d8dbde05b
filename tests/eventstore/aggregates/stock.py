"""A stock, as an aggregate and as a decider."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from eventstore.aggregate import Aggregate, decide, evolve
from eventstore.decider import Decider, Decision
from eventstore.processor.port import DecideContext
from schemas import Command, Event, Refusal, Reply, Undo


class Received(Event, name="stock.received"):
    quantity: int


class Reserved(Event, name="stock.reserved"):
    quantity: int


class Unrelated(Event, name="unrelated"):
    pass


class StockReserved(Reply, name="stock.was_reserved"):
    left: int


class OutOfStock(Refusal, name="stock.out"):
    left: int


class Receive(Command[None], to="stock", key="sku"):
    sku: str
    quantity: int


class ReserveStock(Command[StockReserved, OutOfStock], to="stock", key="sku"):
    sku: str
    quantity: int


class Expire(Command[None], to="stock", key="sku"):
    sku: str


class Stray(Command[None], to="stock", key="sku"):
    sku: str


class Stock(Aggregate[Received | Reserved], name="stock"):
    on_hand: int = 0

    @decide
    def receive(self, command: Receive) -> None:
        self.record(Received(quantity=command.quantity))

    @decide
    def reserve(self, command: ReserveStock, context: DecideContext[Any]) -> StockReserved | OutOfStock:
        if command.quantity > self.on_hand:
            return OutOfStock(left=self.on_hand)
        self.record(Reserved(quantity=command.quantity))
        context.schedule("expire", context.now + timedelta(minutes=15), Expire(sku=self.key))
        return StockReserved(left=self.on_hand)

    @decide
    def _(self, command: Undo[ReserveStock] | Expire, context: DecideContext[Any]) -> None:
        quantity = command.did.quantity if isinstance(command, Undo) else 1
        context.cancel("expire")
        self.record(Received(quantity=quantity))

    @evolve
    def _(self, event: Received) -> None:
        self.on_hand += event.quantity

    @evolve
    def _(self, event: Reserved) -> None:
        self.on_hand -= event.quantity


@dataclass(frozen=True, slots=True)
class OnHand:
    quantity: int = 0


stock = Decider("stock", initial=OnHand, events=[Received, Reserved])


@stock.decide
def receive(state: OnHand, command: Receive) -> Decision[Received, None]:
    """Take goods in."""
    yield Received(quantity=command.quantity)


@stock.decide
def reserve(state: OnHand, command: ReserveStock) -> Decision[Reserved, StockReserved | OutOfStock]:
    """Keep some for a customer."""
    if command.quantity > state.quantity:
        return OutOfStock(left=state.quantity)
    yield Reserved(quantity=command.quantity)
    return StockReserved(left=state.quantity - command.quantity)


@stock.decide
def expire(state: OnHand, command: Expire) -> None:
    """Nothing to do, and nothing to record: a plain function."""


@stock.evolve
def received(state: OnHand, event: Received) -> OnHand:
    """More."""
    return replace(state, quantity=state.quantity + event.quantity)


@stock.evolve
def reserved(state: OnHand, event: Reserved) -> OnHand:
    """Less."""
    return replace(state, quantity=state.quantity - event.quantity)
