"""A re-keyed view is done when its sources were copied up to where they were when it started (V3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from consumers import Service
from consumers.table import Table
from consumers.view import View, on
from consumers.view_errors import NotOwnedHere
from eventstore import ANY, EventStore
from eventstore.log import open_log
from eventstore.log.errors import PositionMissing
from eventstore.log.port import Log
from eventstore.log.records import TopicPartition
from eventstore.state.memory import MemoryStateEngine
from schemas import Event, Serde
from tests.consumers.view.buyers import buyers
from tests.consumers.view.host import Process, Stepped, Streams, step_until
from tests.consumers.view.shop import Placed, Total
from tests.waiting import eventually, eventually_async

Start = Callable[..., Process]
EVENTS, CUSTOMERS = 3_000, 10
WHOLE = Total(count=EVENTS // CUSTOMERS, cents=EVENTS // CUSTOMERS)


@pytest.fixture
def stepped(log: Log, serde: Serde) -> Iterator[Callable[..., Stepped]]:
    """Makes processes that are stepped by hand, and stops them at the end."""
    made: list[Stepped] = []

    def make(*args: Any, **options: Any) -> Stepped:
        made.append(Stepped(log, serde, buyers("orders.events", 1), *args, **options))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def fill(orders: Streams, events: int = EVENTS) -> None:
    orders.fill(
        [(f"o{n % 50}", Placed(order=f"o{n % 50}", customer=f"c{n % CUSTOMERS}", cents=1)) for n in range(events)]
    )


def test_partitions_are_not_served_before_their_sources_were_copied(
    stepped: Callable[..., Stepped], orders: Streams
) -> None:
    """V3: the copy of a new version begins empty, so that its own end says nothing. What is there is read meanwhile."""
    fill(orders)
    process = stepped()
    process.copier.open()
    process.view.open()
    seen = list[int]()

    while not process.view.is_ready():
        process.copier.step(0.0)
        process.view.step(0.0)
        seen.append(process.counted())
        for number in range(4):
            partition = process.view.partition(number)
            if partition is not None and process.counted() < EVENTS:
                with pytest.raises(NotOwnedHere):
                    partition.get([b"c0"])

    assert process.counted() == EVENTS
    assert any(0 < count < EVENTS for count in seen)


def test_partitions_that_another_process_copies_are_waited_for(
    stepped: Callable[..., Stepped], orders: Streams
) -> None:
    """Each partition of a source may have events for each partition of the copy, whoever owns them."""
    fill(orders)
    one, other = stepped("0"), stepped("1")
    one.copier.open()
    other.copier.open()
    step_until(lambda: other.copier.metrics()["partitions_assigned"] == 2, one.copier, other.copier)
    step_until(one.copier.is_ready, one.copier)
    one.view.open()

    for _ in range(100):
        one.copier.step(0.0)
        one.view.step(0.0)
        assert not one.view.is_ready()
    assert not other.copier.is_ready()
    step_until(one.view.is_ready, one.copier, other.copier, one.view)

    assert one.counted() == EVENTS


def test_a_process_that_stopped_copying_in_the_middle_is_gone_on_from(
    stepped: Callable[..., Stepped], log: Log, orders: Streams
) -> None:
    """Its successor waits for what is left, and nothing is copied or counted twice."""
    fill(orders)
    state = MemoryStateEngine()
    first = stepped(state=state)
    first.copier.open()
    first.view.open()
    step_until(lambda: first.counted() > 0, first.copier, first.view)
    before = first.counted()
    first.stop()

    second = stepped(state=state)
    second.view.open()
    for _ in range(50):
        second.view.step(0.0)
        assert not second.view.is_ready()
    second.copier.open()
    step_until(second.view.is_ready, second.copier, second.view)

    assert 0 < before < EVENTS
    copy = [TopicPartition("buyers_of_orders.v1.by", number) for number in range(4)]
    assert sum(log.end_positions(copy).values()) == EVENTS


def test_a_view_whose_copy_is_whole_is_made_without_copying(stepped: Callable[..., Stepped], orders: Streams) -> None:
    """A process that died between copying and handling: its successor reads the copy, and needs nobody who copies."""
    fill(orders)
    first = stepped()
    first.copier.open()
    step_until(first.copier.is_settled, first.copier)
    first.stop()

    second = stepped()
    second.view.open()
    step_until(second.view.is_ready, second.view)

    assert second.counted() == EVENTS


def test_a_view_of_empty_sources_is_served_at_once(stepped: Callable[..., Stepped], orders: Streams) -> None:
    """A first start waits for nobody: there is nothing to copy."""
    process = stepped()
    process.view.open()

    step_until(process.view.is_ready, process.view)


def test_idle_partitions_of_sources_are_not_waited_for(stepped: Callable[..., Stepped], orders: Streams) -> None:
    """All events are in one of four partitions; the other three never had any."""
    orders.fill([("o1", Placed(order="o1", customer=f"c{n}", cents=1)) for n in range(20)])
    process = stepped()
    process.copier.open()
    process.view.open()

    step_until(process.view.is_ready, process.copier, process.view)

    assert process.counted() == 20


def test_a_view_whose_copying_lost_its_positions_is_made_anew_by_its_version(
    stepped: Callable[..., Stepped], log: Log, serde: Serde, orders: Streams
) -> None:
    """K12: copied again, events would count twice; so the error says another way out than a reactor's."""
    fill(orders)
    first = stepped()
    first.copier.open()
    step_until(first.copier.is_settled, first.copier)
    first.stop()
    log.delete(["orders.events"])  # with it go the positions, as those of a group that rested too long
    again = Streams(log, serde, "orders")
    fill(again, 20)

    second = stepped()
    second.copier.open()
    with pytest.raises(PositionMissing, match=r"raise the view's version="):
        step_until(second.copier.is_settled, second.copier)
    raised = Stepped(log, serde, buyers("orders.events", 2))
    raised.copier.open()
    raised.view.open()
    step_until(raised.view.is_ready, raised.copier, raised.view)
    counted = raised.counted()
    raised.stop()

    assert counted == 20


def test_the_loop_that_copies_is_ready_when_it_has_copied(stepped: Callable[..., Stepped], orders: Streams) -> None:
    """A process that copies what others serve says at /ready when its part of the rebuild is over."""
    fill(orders)
    process = stepped()
    process.copier.open()
    copied = list[float]()

    while not process.copier.is_ready():
        process.copier.step(0.0)
        copied.append(process.copier.metrics()["reactor_commands_total"])

    assert copied[-1] == EVENTS
    assert any(0 < count < EVENTS for count in copied)


async def test_the_old_version_serves_until_the_sources_were_copied(process: Start, orders: Streams) -> None:
    """V3: no read fails or shows rows of half the events in between, and none goes back after the swap."""
    fill(orders)
    old: Any = buyers("orders.events", 1)
    new: Any = buyers("orders.events", 2)
    process(old).ready().settle()
    reader = process().tables.queryable(new.totals)
    assert await reader.get("c0") == WHOLE  # its own version was never run, its topic does not exist

    waiting = process(new, slot="1", copies=False)
    eventually(lambda: waiting.loops[0].metrics()["view_partitions"] == 4)
    assert {await reader.get("c0") for _ in range(50)} == {WHOLE}

    process(new, slot="2").ready()
    waiting.ready()
    seen = [await reader.get(f"c{n % CUSTOMERS}") for n in range(50)]
    await eventually_async(lambda: _is_second(reader), 10)

    twice = WHOLE.model_copy(update={"count": 2 * WHOLE.count})
    assert set(seen) <= {WHOLE, twice}
    assert {await reader.get(f"c{n}") for n in range(CUSTOMERS)} == {twice}


async def _is_second(reader: Any) -> bool:
    row = await reader.get("c0")
    return bool(row.count == 2 * WHOLE.count)


class Plain(View, topics=["orders.events"], name="buyers_of_orders", version=3):
    totals: Table[str, Total]

    @on
    def placed(self, event: Placed) -> None:
        self.totals[event.order] = Total(count=3, cents=event.cents)


async def test_versions_with_and_without_by_find_each_other(process: Start, orders: Streams) -> None:
    """A reader finds the version that is done, whatever topic decides about its owners."""
    fill(orders)
    rekeyed: Any = buyers("orders.events", 1)
    process(rekeyed).ready().settle()
    new_reader = process().tables.queryable(Plain.totals)
    old_reader = process().tables.queryable(rekeyed.totals)
    assert await new_reader.get("c0") == WHOLE

    process(Plain, slot="1").ready()

    async def is_swapped() -> bool:
        return await old_reader.get("o1") == Total(count=3, cents=1)

    await eventually_async(is_swapped, 10)


async def test_a_read_at_a_position_is_not_answered_by_a_version_that_does_not_follow_the_topic(
    process: Start, orders: Streams
) -> None:
    """`at_least` of a source says nothing of a re-keyed view's copy: the version of the reader's class answers."""
    fill(orders)
    rekeyed: Any = buyers("orders.events", 4)
    process(Plain).ready().settle()
    process(rekeyed, slot="1").ready().settle()
    reader = process().tables.queryable(Plain.totals)

    async def is_swapped() -> bool:
        return await reader.get("c0") is not None

    await eventually_async(is_swapped, 10)
    at = orders.append("o1", Placed(order="o1", customer="c0", cents=7))

    assert await reader.get("o1", at_least=at) == Total(count=3, cents=7)


class Bought(Event, name="rekeyed.bought"):
    """Somebody bought something."""

    buyer: str


shop = EventStore("rekeyed_shop", events=[Bought], partitions=4)


class Counts(View, topics=[shop], by=lambda event: event.buyer):
    bought: Table[str, int]

    @on
    def counted(self, event: Bought) -> None:
        self.bought[event.buyer] = self.bought.get(event.buyer, 0) + 1


async def test_a_service_is_ready_when_the_rows_of_a_rekeyed_view_are_whole() -> None:
    """`ready` waits for copying and rows, so a deployment that waits for it goes on with a view that is done."""
    keeper = open_log("memory://rekeyed-ready")
    async with Service("shop", components=[shop], log="memory://rekeyed-ready"):
        await asyncio.gather(
            *(shop.append(f"s{number}", [Bought(buyer="ann")] * 500, expected=ANY) for number in range(20))
        )

    async with Service("shop", components=[shop, Counts], log="memory://rekeyed-ready") as service:
        await service.ready()
        found = await service.table(Counts.bought).get("ann")
    keeper.close()

    assert found == 10_000
