"""What a view does not get over: it stops the partition, by name, and loses nothing."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from consumers.table import Table, table
from consumers.view import View, on
from consumers.view_errors import KeyElsewhere, NotCopartitioned, ViewStopped
from eventstore.log.errors import TopicMissing
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.state.memory import MemoryStateEngine
from schemas import Serde
from tests.consumers.view.host import Process, Streams
from tests.consumers.view.shop import Paid, Placed, Total
from tests.waiting import eventually

Start = Callable[..., Process]


class Wrong(View, topics=["orders.events"], name="wrong"):
    """Keyed by the customer, but the partition follows from the order."""

    by_customer: Table[str, int]

    @on
    def placed(self, event: Placed) -> None:
        self.by_customer[event.customer] = 1


class Fussy(View, topics=["orders.events"], name="fussy"):
    count: Table[str, int]
    seen: Table[str, str]

    @on
    def placed(self, event: Placed) -> None:
        self.count[event.order] = self.count.get(event.order, 0) + 1
        if event.cents < 0:
            raise ValueError("negative")


class Mended(View, topics=["orders.events"], name="fussy"):
    count: Table[str, int]
    seen: Table[str, str]

    @on
    def placed(self, event: Placed) -> None:
        self.count[event.order] = self.count.get(event.order, 0) + 1


def readiness(process: Process) -> tuple[int, Any]:
    """What /ready says."""
    try:
        with urllib.request.urlopen(f"http://{process.endpoint.address}/ready", timeout=5) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def problem(process: Process) -> Any:
    """Why the view stands still."""
    return eventually(process.loops[0].problem)


async def test_a_key_of_another_partition_is_an_error_at_the_first_row(process: Start, orders: Streams) -> None:
    """V1: declared wrongly, the view stops and says so, instead of answering wrongly."""
    here = process(Wrong).ready()
    other = next(f"o{n}" for n in range(100) if partition_of(f"o{n}", 4) != partition_of("ann", 4))

    orders.append(other, Placed(order=other, customer="ann", cents=1))

    assert isinstance(problem(here).__cause__, KeyElsewhere)
    assert "table(merge=" in str(problem(here))
    assert "by=" in str(problem(here))


async def test_reading_a_key_of_another_partition_is_an_error_too(process: Start, orders: Streams) -> None:
    """V1: it would always read as absent."""

    class Peeks(View, topics=["orders.events"], name="peeks"):
        rows: Table[str, int]

        @on
        def placed(self, event: Placed) -> None:
            self.rows.get(event.customer)

    here = process(Peeks).ready()
    other = next(f"o{n}" for n in range(100) if partition_of(f"o{n}", 4) != partition_of("ann", 4))

    orders.append(other, Placed(order=other, customer="ann", cents=1))

    assert isinstance(problem(here).__cause__, KeyElsewhere)


async def test_a_failing_handler_stops_its_partition_only(process: Start, orders: Streams) -> None:
    """Readers of that partition are told why; the others are served; the process is not ready and says why."""
    here = process(Fussy).ready()
    bad, good = "a", next(f"o{n}" for n in range(100) if partition_of(f"o{n}", 4) != partition_of("a", 4))

    orders.append(bad, Placed(order=bad, customer="ann", cents=-1))
    position = orders.append(good, Placed(order=good, customer="ann", cents=1))
    problem(here)

    count = here.tables.queryable(Fussy.count)
    with pytest.raises(ViewStopped, match="negative") as stopped:
        await count.get(bad)
    assert "Correct the handler" in str(stopped.value)
    assert await count.get(good, at_least=position) == 1
    status, ready = readiness(here)
    assert status == 503
    assert "negative" in ready["reasons"]["fussy.v1"]


async def test_what_a_failed_handler_wrote_never_happened(process: Start, orders: Streams) -> None:
    """With the handler mended the view goes on at that record, and each event counts once."""
    state = MemoryStateEngine()
    first = process(Fussy, state=state).ready()
    orders.append("a", Placed(order="a", customer="ann", cents=1), Placed(order="a", customer="ann", cents=-1))
    problem(first)
    first.stop()

    second = process(Mended, state=state).ready()
    second.settle()

    assert await second.tables.queryable(Mended.count).get("a") == 2


async def test_broken_bytes_of_a_handled_type_stop_the_partition(process: Start, orders: Streams) -> None:
    """A view never skips what it handles."""
    here = process(Fussy).ready()

    orders.put("a", here.host.serde.encode(Placed(order="a", customer="b", cents=1))[:-3])

    assert "orders.events" in str(problem(here))


@pytest.mark.parametrize("row", ["x", None, 1.5])
async def test_a_row_of_another_type_stops_the_partition(process: Start, orders: Streams, row: Any) -> None:
    """Types are checked when a row is set, not when it is read."""

    class Odd(View, topics=["orders.events"], name="odd"):
        rows: Table[str, int]

        @on
        def placed(self, event: Placed) -> None:
            self.rows[event.order] = row

    here = process(Odd).ready()

    orders.append("a", Placed(order="a", customer="ann", cents=1))

    assert "BadRow" in str(problem(here))


async def test_a_row_that_would_not_come_back_stops_the_partition(process: Start, orders: Streams) -> None:
    """NaN has no JSON form: named when it is written."""

    class Ratios(View, topics=["orders.events"], name="ratios"):
        rows: Table[str, float] = table()

        @on
        def placed(self, event: Placed) -> None:
            self.rows[event.order] = float("nan")

    here = process(Ratios).ready()

    orders.append("a", Placed(order="a", customer="ann", cents=1))

    assert "BadRow" in str(problem(here))


async def test_a_view_keeps_nothing_but_rows(process: Start, orders: Streams) -> None:
    """An attribute would be gone after a restart: setting one is an error."""

    class Counts(View, topics=["orders.events"], name="counts"):
        rows: Table[str, Total]

        @on
        def placed(self, event: Placed) -> None:
            self.total = 3

    here = process(Counts).ready()

    orders.append("a", Placed(order="a", customer="ann", cents=1))

    assert "keeps nothing but the rows" in str(problem(here))


def test_a_missing_topic_is_named(process: Start, log: Log, serde: Serde) -> None:
    """TopicMissing says which and what to do."""
    here = process(Fussy)

    assert isinstance(eventually(lambda: here.threads[0].error), TopicMissing)


def test_topics_of_different_partition_counts_are_refused(log: Log, serde: Serde, process: Start) -> None:
    """Equal keys would not meet."""
    Streams(log, serde, "left", 2)
    Streams(log, serde, "right", 3)

    class Both(View, topics=["left.events", "right.events"], name="both"):
        rows: Table[str, int]

        @on
        def paid(self, event: Paid) -> None: ...

    here = process(Both)

    assert isinstance(eventually(lambda: here.threads[0].error), NotCopartitioned)
