"""When a view trusts the rows it finds (K13), and that its group's positions live (K12)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from structlog.testing import capture_logs

from consumers.table import Table
from consumers.view import View, on
from consumers.view_errors import PartitionUnserved
from consumers.view_loop import ViewLoop
from eventstore.clock import ManualClock
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.log.records import TopicPartition
from eventstore.state.memory import MemoryStateEngine
from eventstore.state.rocks import RocksStateEngine
from schemas import Serde
from tests.consumers.committers import Committers
from tests.consumers.host import TestHost
from tests.consumers.view.host import Process, Streams
from tests.consumers.view.shop import Placed, Total, Totals
from tests.eventstore.watched_state import WatchedState
from tests.waiting import eventually

Start = Callable[..., Process]


class Sums(View, topics=["orders.events"], name="sums"):
    """What was spent on each order."""

    by_order: Table[str, int]

    @on
    def placed(self, event: Placed) -> None:
        self.by_order[event.order] = self.by_order.get(event.order, 0) + event.cents


class RicherSums(View, topics=["orders.events"], name="sums"):
    """The same view after somebody changed its rows and forgot to raise its version."""

    by_order: Table[str, Total]

    @on
    def placed(self, event: Placed) -> None:
        self.by_order[event.order] = self.by_order.get(event.order, Total()).plus(Total(count=1, cents=event.cents))


def events(process: Process) -> float:
    """How many events it handled."""
    return process.loops[0].metrics()["view_events_total"]


def place(orders: Streams, count: int) -> None:
    orders.fill([(f"o{number}", Placed(order=f"o{number}", customer="ann", cents=1)) for number in range(count)])


async def test_rows_of_another_layout_are_made_anew(process: Start, orders: Streams) -> None:
    """K13: another format. Code with other rows does not read the old ones, whatever the version says."""
    state = MemoryStateEngine()
    place(orders, 20)
    first = process(Sums, state=state).ready()
    first.settle()
    first.stop()

    second = process(RicherSums, state=state).ready()
    second.settle()

    assert events(second) == 20
    assert await second.tables.queryable(RicherSums.by_order).get("o7") == Total(count=1, cents=1)


async def test_rows_of_a_topic_that_was_made_again_are_made_anew(
    process: Start, log: Log, serde: Serde, orders: Streams
) -> None:
    """K13: another topic id. The rows hold what is not in the log any more, at positions that exist."""
    state = MemoryStateEngine()
    place(orders, 20)
    first = process(Sums, state=state).ready()
    first.settle()
    first.stop()
    log.delete([orders.topic])
    again = Streams(log, serde, "orders")
    again.fill([(f"o{number}", Placed(order=f"o{number}", customer="bob", cents=5)) for number in range(40)])

    second = process(Sums, state=state).ready()
    second.settle()

    assert events(second) == 40
    assert await second.tables.queryable(Sums.by_order).get("o7") == 5


async def test_rows_beyond_the_end_of_the_topic_are_made_anew(process: Start, orders: Streams) -> None:
    """K13: the log lost what they were made from."""
    state = WatchedState()
    place(orders, 20)
    first = process(Sums, state=state).ready()
    first.settle()
    first.stop()
    folder = state.open("sums.v1/2", state.identities["sums.v1/2"])
    folder.write([(b"\x01porders.events", b"\x01" + (1_000_000).to_bytes(8, "big"))])
    folder.close()

    second = process(Sums, state=state).ready()
    second.settle()

    assert state.discarded == ["sums.v1/2"]
    assert {key: row async for key, row in second.tables.queryable(Sums.by_order).scan()} == {
        f"o{number}": 1 for number in range(20)
    }


async def test_rows_of_long_ago_are_carried_on(process: Start, orders: Streams) -> None:
    """K13: not so a view's, however old: it passes over tombstones, so that it missed some does not make it wrong."""
    clock, state = ManualClock(), WatchedState()
    place(orders, 20)
    first = process(Sums, state=state, clock=clock).ready()
    first.settle()
    first.stop()
    clock.advance(timedelta(days=60))
    orders.put("o7", None)
    place(orders, 1)

    second = process(Sums, state=state, clock=clock).ready()
    second.settle()

    assert events(second) == 1
    assert state.discarded == []
    assert await second.tables.queryable(Sums.by_order).get("o0") == 2


async def test_a_view_whose_folder_is_locked_is_built_beside_it(
    process: Start, orders: Streams, tmp_path: Path
) -> None:
    """K13: a stopped neighbour holds the folder; after a second the view is restored into a fresh one, and serves."""
    place(orders, 20)
    first = process(Sums, state=RocksStateEngine(tmp_path)).ready()
    first.settle()
    first.stop()
    held = RocksStateEngine(tmp_path).open("sums.v1/0", "held by a process that was stopped")

    second = process(Sums, state=RocksStateEngine(tmp_path)).ready()
    second.settle()

    assert held.folder == tmp_path / "sums.v1" / "0"
    assert events(second) == len([number for number in range(20) if partition_of(f"o{number}", 4) == 0])
    assert {key: row async for key, row in second.tables.queryable(Sums.by_order).scan()} == {
        f"o{number}": 1 for number in range(20)
    }
    held.close()


def test_positions_of_a_quiet_view_are_shown_again_daily(
    log: Log, serde: Serde, orders: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K12: without that the broker would forget them, and nobody would find the owner. Plainly, as always (W1)."""
    clock, committers = ManualClock(), Committers(monkeypatch)
    serde.register(Totals.__component__().messages)
    loop = ViewLoop(Totals.__view__, TestHost(log=log, serde=serde, state=MemoryStateEngine(), clock=clock))
    loop.open()
    place(orders, 20)
    eventually(lambda: loop.step(0.01) or loop.is_settled())
    eventually(lambda: not loop.step(0.0))
    clock.advance(timedelta(seconds=2))
    loop.step(0.0)
    everything: dict[TopicPartition, Any] = {TopicPartition(orders.topic, number): ["plain"] for number in range(4)}
    committers.forget()

    clock.advance(timedelta(hours=23))
    loop.step(0.0)
    before = committers.of("shop.totals.v1")
    clock.advance(timedelta(hours=2))
    loop.step(0.0)
    clock.advance(timedelta(seconds=2))
    loop.step(0.0)
    loop.stop(clock.monotonic())

    assert before == {}
    assert committers.of("shop.totals.v1") == everything


async def test_a_view_without_positions_goes_on_where_its_rows_are(process: Start, orders: Streams) -> None:
    """K12, V2: the group's position is only shown, so that it is missing is no error and nothing is counted twice."""
    state = MemoryStateEngine()
    place(orders, 20)
    first = process(Sums, state=state).ready()
    first.settle()
    first.stop()
    place(orders, 1)

    second = process(Sums, state=state, service="renamed").ready()  # whose group has no position, and the same folders
    second.settle()

    assert events(second) == 1
    assert await second.tables.queryable(Sums.by_order).get("o0") == 2


class Spent(BaseModel, frozen=True):
    cents: int = 0


class Spending(View, topics=["orders.events"], name="spending"):
    rows: Table[str, Spent]

    @on
    def placed(self, event: Placed) -> None:
        before = self.rows.get(event.order, Spent())
        self.rows[event.order] = Spent(cents=before.cents + 1)


class MoreSpent(BaseModel, frozen=True):
    """`Spent` after somebody added a field: old rows would have its default, new ones what was counted."""

    __qualname__ = "Spent"
    cents: int = 0
    orders: int = 0


class MoreSpending(View, topics=["orders.events"], name="spending"):
    rows: Table[str, MoreSpent]

    @on
    def placed(self, event: Placed) -> None:
        before = self.rows.get(event.order, MoreSpent())
        self.rows[event.order] = MoreSpent(cents=before.cents + 1, orders=before.orders + 1)


async def test_rows_of_a_row_class_with_other_fields_are_made_anew(
    process: Start, orders: Streams, tmp_path: Path
) -> None:
    """A new field is that of all events, or of none: not of those since the deployment. The log says what went."""
    place(orders, 20)
    first = process(Spending, state=RocksStateEngine(tmp_path)).ready()
    first.settle()
    first.stop()
    place(orders, 20)

    with capture_logs() as logs:
        second = process(MoreSpending, state=RocksStateEngine(tmp_path)).ready()
    second.settle()

    assert {key: row async for key, row in second.tables.queryable(MoreSpending.rows).scan()} == {
        f"o{number}": MoreSpent(cents=2, orders=2) for number in range(20)
    }
    discarded = [entry for entry in logs if entry["event"] == "state_discarded"]
    assert len(discarded) == 4
    assert all("Spent#" in entry["was"] and "Spent#" in entry["wanted"] for entry in discarded)


async def test_a_reader_with_another_row_class_is_told(process: Start, orders: Streams) -> None:
    """It was deployed before the view's owner, or after it: its rows would not be the owner's."""
    place(orders, 20)
    process(Spending).ready()
    reader = process(wait=timedelta(seconds=0.3))

    with pytest.raises(PartitionUnserved, match="other tables or row classes than the reader's"):
        await reader.tables.queryable(MoreSpending.rows).get("o1")


class Hurrying(ManualClock):
    """Each look at it takes longer than a slice."""

    def monotonic(self) -> float:
        self.advance(timedelta(milliseconds=60))
        return super().monotonic()


def test_a_view_that_is_made_anew_says_how_far_it_is(log: Log, serde: Serde, orders: Streams) -> None:
    """What is handled is written every second: its lag falls meanwhile, and a kill does not cost all of it."""
    orders.fill([("a", Placed(order="a", customer="ann", cents=1))] * 60_000)
    serde.register(Sums.__component__().messages)
    host = TestHost(log=log, service="shop", slot="0", serde=serde, state=MemoryStateEngine(), clock=Hurrying())
    loop = ViewLoop(Sums.__view__, host)
    loop.open()

    lags = list[float]()
    while not loop.is_ready():
        loop.step(0.0)
        lags.append(loop.metrics()["queue_length"])
    loop.stop(0.0)

    assert any(0 < lag < 60_000 for lag in lags)
