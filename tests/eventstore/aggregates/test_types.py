"""What type checkers infer and refuse: mypy reports an `ignore` that nothing needs, so each line with one is wrong."""

from __future__ import annotations

from typing import Any, assert_type

from eventstore.decider import Decider
from eventstore.specification import given
from eventstore.store import EventStore
from eventstore.streams import Recorded
from tests.eventstore.aggregates.stock import (
    OutOfStock,
    Received,
    Reserved,
    ReserveStock,
    Stock,
    StockReserved,
    Unrelated,
    stock,
)

one = EventStore("one", events=[Received])
both = EventStore[Received | Reserved]("both", events=[Received, Reserved])
declared: EventStore[Received | Reserved] = EventStore("declared", events=[Received, Reserved])
counter = Decider("counter", initial=int, events=[Received])


def test_types_are_inferred_from_what_is_given() -> None:
    """Stores and deciders know their events."""
    assert_type(one, EventStore[Received])
    assert_type(both, EventStore[Received | Reserved])
    assert_type(counter, Decider[int, Received])


async def accepted() -> None:
    """Checked, not run."""
    async for recorded in both.read("a"):
        assert_type(recorded, Recorded[Received | Reserved])
    async for recorded in both.subscribe():
        assert_type(recorded.event, Received | Reserved)
    assert_type(await both.load(Stock, "a"), Stock)
    answer = given(Stock).when(ReserveStock(sku="a", quantity=1)).answer
    assert_type(answer, StockReserved | OutOfStock)


async def refused(entity: Stock, reserve: ReserveStock, wrong: Any) -> None:
    """Checked, not run."""
    entity.record(Unrelated())  # type: ignore[arg-type] # what is tested
    entity.onhand = 2  # type: ignore[attr-defined] # what is tested
    given(Stock, Unrelated())  # type: ignore[misc] # what is tested
    then = given(stock).when(reserve)
    then.then(reply=Received(quantity=1))  # type: ignore[arg-type] # what is tested
    given(Stock).when(reserve).then(Unrelated())  # type: ignore[arg-type] # what is tested
    other = Reserved(quantity=1)
    await one.append("a", [other], expected=3)  # type: ignore[list-item] # what is tested
    await one.append("a", [], expected="3")  # type: ignore[arg-type] # what is tested
    await one.append("a", [])  # type: ignore[call-arg] # what is tested


@counter.evolve  # type: ignore[arg-type] # what is tested
def _(state: str, event: Received) -> int:
    return 1
