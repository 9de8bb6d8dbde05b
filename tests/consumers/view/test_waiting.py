"""How long a read waits, and for whom."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import pytest

from consumers import queries
from consumers.view_errors import PositionNotReached
from eventstore.log.partition import partition_of
from eventstore.streams import Position
from tests.consumers.view.host import Process, Streams
from tests.consumers.view.shop import Placed, Total, Totals
from tests.waiting import eventually_async

Start = Callable[..., Process]


class Hanging:
    """Serves the rows of a process that hangs: it takes a question and does not answer."""

    def __init__(self) -> None:
        self.asked, self.ended = threading.Event(), threading.Event()

    def problems(self) -> Mapping[str, str]:
        return {}

    def serve(self, view: str, body: bytes) -> bytes:
        self.asked.set()
        self.ended.wait(30)
        raise ValueError("it hung")


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """Until the test ends."""
    made = Hanging()
    yield made
    made.ended.set()


@pytest.fixture(autouse=True)
def _short_slices(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - a fixture
    monkeypatch.setattr(queries, "SLICE_SECONDS", 0.1)


async def test_the_successor_of_an_owner_that_hangs_is_asked(process: Start, orders: Streams, hanging: Hanging) -> None:
    """Within the same read, which does not spend all its time on one that does not answer."""
    orders.append("a", Placed(order="a", customer="ann", cents=5))
    hung = process(Totals).ready()
    hung.endpoint.serve(hung, hanging)
    reader = process()

    reading = asyncio.create_task(reader.tables.queryable(Totals.by_order).get("a"))
    await eventually_async(hanging.asked.is_set)
    for thread in hung.threads:
        await asyncio.to_thread(thread.stop)
    process(Totals, slot="1")

    assert await asyncio.wait_for(reading, 9) == Total(count=1, cents=5)


async def test_a_position_that_is_not_reached_in_time_is_named(process: Start, orders: Streams) -> None:
    """Where the owner is this process, and where it is another one; it may be asked for several times meanwhile."""
    wait = timedelta(seconds=0.5)
    here = process(Totals, wait=wait).ready()
    beyond = Position.at(partition_of("a", 4), 1_000)

    for tables in here.tables, process(wait=wait).tables:
        with pytest.raises(PositionNotReached, match=r"within 0\.5 s"):
            await tables.queryable(Totals.by_order).get("a", at_least=beyond)


async def test_a_position_that_is_reached_after_a_while_is_waited_for(process: Start, orders: Streams) -> None:
    """Over several questions to the same owner."""
    process(Totals).ready()
    reader = process()

    beyond = Position.at(partition_of("a", 4), 1)
    reading = asyncio.create_task(reader.tables.queryable(Totals.by_order).get("a", at_least=beyond))
    await asyncio.wait([reading], timeout=0.5)
    orders.append("a", Placed(order="a", customer="ann", cents=5))

    assert await reading == Total(count=1, cents=5)
