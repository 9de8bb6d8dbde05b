"""A view whose keys do not determine the partition of its events says `by=`, and is exact all the same (rule V1)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from consumers import Service, Table, View, on
from eventstore import ANY, EventStore, Recorded
from eventstore.log import open_log
from eventstore.streams import Position
from schemas import Event
from tests.waiting import eventually_async


class Sold(Event, name="rekeying.sold"):
    """Somebody bought something."""

    customer: str
    cents: int


class Seen(Event, name="rekeying.seen"):
    """Somebody looked."""

    customer: str


orders = EventStore("rekeying_orders", events=[Sold, Seen], partitions=4)


def customer_of(event: Sold | Seen) -> str | None:
    """Whose it is; of the nameless nobody's."""
    return event.customer or None


class Customers(View, topics=[orders], by=customer_of):
    """What each customer spent, and the orders in which that was."""

    cents: Table[str, int]
    orders: Table[tuple[str, str], int]

    @on
    def sold(self, event: Sold, recorded: Recorded[Sold]) -> None:
        self.cents[event.customer] = self.cents.get(event.customer, 0) + event.cents
        self.orders[event.customer, recorded.stream] = recorded.version


class Wrong(View, topics=[orders], by=lambda event: f"x{event.customer}"):
    """Keyed by one thing, with rows of another."""

    cents: Table[str, int]

    @on
    def sold(self, event: Sold) -> None:
        self.cents[event.customer] = event.cents


async def _sell(service: Service) -> None:
    for number in range(40):
        await orders.append(f"order-{number % 7}", [Sold(customer=f"c{number % 3}", cents=number)], expected=ANY)
    await orders.append("order-0", [Sold(customer="", cents=1_000), Seen(customer="c1")], expected=ANY)
    await service.settled()


async def test_rows_of_a_key_are_in_one_partition_and_exact() -> None:
    """Events of one customer come from many partitions; sums, streams and versions are those of the store."""
    async with Service("rekeying", components=[orders, Customers], log="memory://") as service:
        await _sell(service)

        cents = service.table(Customers.cents)
        rows = {customer: await cents.get(customer) for customer in ("c0", "c1", "c2", "")}
        latest = await service.table(Customers.orders).get(("c0", "order-3"))

    assert rows == {f"c{number}": sum(range(number, 40, 3)) for number in range(3)} | {"": None}
    assert latest == 3


async def test_a_rekeyed_view_rebuilt_is_the_same() -> None:
    """A service that begins without its state folder comes to the same rows, and nothing is re-keyed twice."""
    keeper = open_log("memory://rekeyed")
    async with Service("rekeying", components=[orders, Customers], log="memory://rekeyed") as service:
        await _sell(service)
        before = [await service.table(Customers.cents).get(f"c{number}") for number in range(3)]

    async with Service("rekeying", components=[orders, Customers], log="memory://rekeyed") as again:
        await again.settled()
        after = [await again.table(Customers.cents).get(f"c{number}") for number in range(3)]
    keeper.close()

    assert after == before


async def test_rows_of_another_key_than_by_are_refused_at_the_first() -> None:
    """Declared wrongly: an error at the first row, not a wrong answer."""
    async with Service("rekeying", components=[orders, Wrong], log="memory://") as service:
        for number in range(8):
            await orders.append(f"order-{number}", [Sold(customer=f"c{number}", cents=1)], expected=ANY)

        await eventually_async(lambda: any("belongs to" in why for why in service.not_ready().values()), 10)


async def test_reading_ones_own_writes_of_a_rekeyed_view_is_refused_by_name() -> None:
    """Positions of the sources say nothing of the re-keyed topic."""
    async with Service("rekeying", components=[orders, Customers], log="memory://") as service:
        with pytest.raises(ValueError, match="re-keyed"):
            await service.table(Customers.cents).get("c0", at_least=Position.of({0: 1}))
        await service.settled(timeout=timedelta(seconds=10))
