"""Views on a log in memory: what handlers see, what readers see, and what stays after a restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from eventstore.state.memory import MemoryStateEngine
from tests.consumers.view.host import Process, Streams
from tests.consumers.view.shop import Paid, Placed, Shipped, Total, Totals

Start = Callable[..., Process]


async def rows(process: Process, table: Any) -> dict[Any, Any]:
    """All rows of a table."""
    return {key: row async for key, row in process.tables.queryable(table).scan()}


async def test_rows_follow_from_events(process: Start, orders: Streams) -> None:
    """Each event changes the rows of its key, in order."""
    here = process(Totals).ready()

    orders.append("a", Placed(order="a", customer="ann", cents=5), Placed(order="a", customer="ann", cents=7))
    here.settle()

    assert await here.tables.queryable(Totals.by_order).get("a") == Total(count=2, cents=12)
    assert await here.tables.queryable(Totals.by_order).get("b") is None


async def test_merged_rows_combine_all_partitions(process: Start, orders: Streams) -> None:
    """V1: a row whose parts lie in several partitions is merged when it is read."""
    here = process(Totals).ready()

    for number in range(20):
        orders.append(f"o{number}", Placed(order=f"o{number}", customer="ann", cents=number))
    here.settle()

    assert await here.tables.queryable(Totals.by_customer).get("ann") == Total(count=20, cents=190)
    assert await rows(here, Totals.by_customer) == {"ann": Total(count=20, cents=190)}


async def test_a_handler_may_ask_for_the_recorded_event(process: Start, orders: Streams) -> None:
    """`recorded` says stream, version and metadata."""
    here = process(Totals).ready()

    orders.append("a", Placed(order="a", customer="ann", cents=1), Paid(order="a"))
    here.settle()

    assert await here.tables.queryable(Totals.paid).get(("a", 1)) == "a-1"


async def test_read_your_writes(process: Start, orders: Streams) -> None:
    """A read with `at_least` shows what was appended up to that position."""
    here = process(Totals).ready()
    by_order = here.tables.queryable(Totals.by_order)

    for number in range(50):
        position = orders.append("a", Placed(order="a", customer="ann", cents=1))
        row = await by_order.get("a", at_least=position)
        assert row is not None
        assert row.count == number + 1


@pytest.mark.usefixtures("orders")
async def test_a_position_of_another_type_is_refused_by_name(process: Start) -> None:
    """The error says what to give."""
    by_order, text = process(Totals).ready().tables.queryable(Totals.by_order), cast("Any", "x")

    with pytest.raises(TypeError, match=r"at_least='x' is no Position: give Position\.parse\(…\) of a text"):
        await by_order.get("a", at_least=text)
    with pytest.raises(TypeError, match="at_least='x' is no Position"):
        [row async for row in by_order.scan(at_least=text)]


async def test_types_without_a_handler_are_skipped_and_counted(process: Start, orders: Streams) -> None:
    """They are not decoded: bytes that are broken after the schema id do no harm."""
    here = process(Totals).ready()
    broken = here.host.serde.encode(Shipped(order="a"))[:5] + b"\xff"

    orders.put("a", broken)
    orders.put("a", None)
    orders.append("a", Placed(order="a", customer="ann", cents=1))
    here.settle()

    assert here.loops[0].metrics()["view_skipped_total"] == 2
    assert here.loops[0].metrics()["view_events_total"] == 1


async def test_a_restart_goes_on_where_the_rows_are(process: Start, orders: Streams) -> None:
    """V2: the position in the state rules, so nothing is counted twice and nothing is read again."""
    state = MemoryStateEngine()
    first = process(Totals, state=state).ready()
    orders.append("a", Placed(order="a", customer="ann", cents=1))
    first.settle()
    first.stop()
    orders.append("a", Placed(order="a", customer="ann", cents=2))

    second = process(Totals, state=state).ready()
    second.settle()

    assert await second.tables.queryable(Totals.by_order).get("a") == Total(count=2, cents=3)
    assert second.loops[0].metrics()["view_events_total"] == 1


async def test_wiped_state_gives_the_same_rows(process: Start, orders: Streams) -> None:
    """Rows are a function of the log: without the folder they come back equal."""
    orders.fill([(f"o{n % 50}", Placed(order=f"o{n % 50}", customer=f"c{n % 7}", cents=n)) for n in range(3_000)])
    first = process(Totals).ready()
    first.settle()
    before = await rows(first, Totals.by_order), await rows(first, Totals.by_customer)
    first.stop()

    second = process(Totals, state=MemoryStateEngine()).ready()
    second.settle()

    assert (await rows(second, Totals.by_order), await rows(second, Totals.by_customer)) == before
    assert len(before[0]) == 50
    assert sum(total.count for total in before[1].values()) == 3_000


async def test_two_processes_share_the_partitions(process: Start, orders: Streams) -> None:
    """Reads of either process see all rows: the other's over HTTP."""
    orders.fill([(f"o{n}", Placed(order=f"o{n}", customer="ann", cents=1)) for n in range(200)])
    one = process(Totals, slot="0").ready()
    two = process(Totals, slot="1")
    await_shared(one, two)

    for here in (one, two):
        assert len(await rows(here, Totals.by_order)) == 200
        assert await here.tables.queryable(Totals.by_customer).get("ann") == Total(count=200, cents=200)


async def test_read_your_writes_of_another_process(process: Start, orders: Streams) -> None:
    """`at_least` waits at the owner, wherever that is."""
    one = process(Totals, slot="0").ready()
    two = process(Totals, slot="1")
    await_shared(one, two)

    for number in range(20):
        position = orders.append(f"o{number}", Placed(order=f"o{number}", customer="ann", cents=number))
        assert await one.tables.queryable(Totals.by_order).get(f"o{number}", at_least=position) is not None
        assert await two.tables.queryable(Totals.by_order).get(f"o{number}", at_least=position) is not None


async def test_a_process_that_leaves_hands_its_partitions_over(process: Start, orders: Streams) -> None:
    """Reads wait for the new owner instead of failing."""
    orders.fill([(f"o{n}", Placed(order=f"o{n}", customer="ann", cents=1)) for n in range(100)])
    one = process(Totals, slot="0").ready()
    two = process(Totals, slot="1")
    await_shared(one, two)

    two.stop()

    assert len(await rows(one, Totals.by_order)) == 100


async def test_scans_are_in_key_order(process: Start, orders: Streams) -> None:
    """Over all partitions: by prefix, by range, backwards, limited."""
    orders.fill([(f"o{n:03}", Placed(order=f"o{n:03}", customer="ann", cents=n)) for n in range(300)])
    here = process(Totals).ready()
    here.settle()
    table = here.tables.queryable(Totals.by_order)

    assert [key async for key, _ in table.scan()] == [f"o{n:03}" for n in range(300)]
    assert [key async for key, _ in table.scan(prefix="o01")] == [f"o{n:03}" for n in range(10, 20)]
    assert [key async for key, _ in table.scan(start="o005", end="o008")] == ["o005", "o006", "o007"]
    assert [key async for key, _ in table.scan(reverse=True, limit=2)] == ["o299", "o298"]


async def test_a_scan_by_the_first_element_reads_one_partition(process: Start, orders: Streams) -> None:
    """All keys of one first element lie together."""
    for stream in ("a", "b"):
        orders.append(stream, Paid(order=stream), Paid(order=stream), Paid(order=stream))
    here = process(Totals).ready()
    here.settle()

    found = [key async for key, _ in here.tables.queryable(Totals.paid).scan(prefix=("a",))]

    assert found == [("a", 0), ("a", 1), ("a", 2)]


def await_shared(one: Process, two: Process) -> None:
    """Wait until both own partitions and serve them."""
    from tests.waiting import eventually

    def shared() -> bool:
        counts = [process.loops[0].metrics() for process in (one, two)]
        live = [count["view_partitions_live"] for count in counts]
        return min(live) > 0 and sum(live) == 4 and not one.not_ready() and not two.not_ready()

    eventually(shared, 20)
