"""A new version is built beside the old one and takes its place when it has caught up (V3)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from consumers.table import Table
from consumers.view import View, on
from consumers.view_errors import PartitionUnserved, ViewUnknown
from tests.consumers.view.host import Process, Streams
from tests.consumers.view.shop import Placed

Start = Callable[..., Process]
GATE = threading.Event()


class Counts(View, topics=["orders.events"], name="counts", version=1):
    rows: Table[str, int]

    @on
    def placed(self, event: Placed) -> None:
        self.rows[event.order] = 1


class Counts2(View, topics=["orders.events"], name="counts", version=2):
    rows: Table[str, int]

    @on
    def placed(self, event: Placed) -> None:
        GATE.wait(20)
        self.rows[event.order] = 2


async def test_the_old_version_serves_until_the_new_one_has_caught_up(process: Start, orders: Streams) -> None:
    """No read fails in between, and none goes back to the old version after the swap."""
    GATE.clear()
    orders.fill([(f"o{n}", Placed(order=f"o{n}", customer="ann", cents=1)) for n in range(50)])
    old = process(Counts).ready()
    old.settle()
    new = process(Counts2, slot="1")
    reader = process()
    rows = reader.tables.queryable(Counts2.rows)

    seen: list[int | None] = [await rows.get("o1") for _ in range(20)]
    assert set(seen) == {1}

    GATE.set()
    new.ready()
    seen = []
    for _ in range(400):
        seen.append(await rows.get("o1"))
        await asyncio.sleep(0.01)
        if seen[-1] == 2:
            break
    assert sorted(row or 0 for row in seen) == seen
    assert seen[-1] == 2
    assert await old.tables.queryable(Counts.rows).get("o1") in (1, 2)


async def test_a_view_that_nobody_ever_ran_is_named(process: Start, orders: Streams) -> None:
    """After a bounded wait."""
    reader = process(wait=timedelta(seconds=0.2))

    with pytest.raises(ViewUnknown):
        await reader.tables.queryable(Counts.rows).get("o1")


class Counts3(View, topics=["orders.events"], name="counts", version=3):
    rows: Table[str, str]

    @on
    def placed(self, event: Placed) -> None:
        self.rows[event.order] = "3"


async def test_a_version_that_nobody_runs_yet_is_named(process: Start, orders: Streams) -> None:
    """A reader that was deployed before the service is told which versions there are."""
    process(Counts).ready()
    reader = process(wait=timedelta(seconds=0.5))

    with pytest.raises(PartitionUnserved, match="version 3 is not run yet; version 1 is, but has other tables"):
        await reader.tables.queryable(Counts3.rows).get("o1")


async def test_a_partition_that_nobody_serves_is_a_retryable_error(process: Start, orders: Streams) -> None:
    """After a bounded wait."""
    here = process(Counts).ready()
    orders.append("o1", Placed(order="o1", customer="ann", cents=1))
    here.settle()
    reader = process(wait=timedelta(seconds=0.3))
    assert await reader.tables.queryable(Counts.rows).get("o1") == 1

    here.stop()

    with pytest.raises(PartitionUnserved) as unserved:
        await reader.tables.queryable(Counts.rows).get("o1")
    assert unserved.value.is_retryable
