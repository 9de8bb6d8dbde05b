"""Events and views of the tests."""

from __future__ import annotations

from pydantic import BaseModel

from consumers.table import Table, table
from consumers.view import View, on
from eventstore.streams import Recorded
from schemas import Event


class Placed(Event, name="shop.placed"):
    order: str
    customer: str
    cents: int


class Paid(Event, name="shop.paid"):
    order: str


class Shipped(Event, name="shop.shipped"):
    """Nobody views it."""

    order: str


class Total(BaseModel, frozen=True):
    count: int = 0
    cents: int = 0

    def plus(self, other: Total) -> Total:
        return Total(count=self.count + other.count, cents=self.cents + other.cents)


class Totals(View, topics=["orders.events"]):
    by_order: Table[str, Total]
    by_customer: Table[str, Total] = table(merge=Total.plus)
    paid: Table[tuple[str, int], str]

    @on
    def placed(self, event: Placed) -> None:
        added = Total(count=1, cents=event.cents)
        self.by_order[event.order] = self.by_order.get(event.order, Total()).plus(added)
        self.by_customer[event.customer] = self.by_customer.get(event.customer, Total()).plus(added)

    @on
    def settled(self, event: Paid, recorded: Recorded[Paid]) -> None:
        self.paid[recorded.stream, recorded.version] = recorded.metadata.id
