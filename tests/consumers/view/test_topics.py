"""Views of several topics: the first decides who owns what, the others are followed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consumers.table import Table
from consumers.view import View, on
from eventstore.log.port import Log
from eventstore.state.memory import MemoryStateEngine
from schemas import Serde
from tests.consumers.view.host import Process, Streams
from tests.consumers.view.shop import Paid, Placed
from tests.consumers.view.test_view import await_shared

Start = Callable[..., Process]


class Joined(View, topics=["orders.events", "payments.events"], name="joined"):
    rows: Table[str, str]

    @on
    def placed(self, event: Placed) -> None:
        self.rows[event.order] = self.rows.get(event.order, "") + "placed "

    @on
    def paid(self, event: Paid) -> None:
        self.rows[event.order] = self.rows.get(event.order, "") + "paid "


@pytest.fixture
def payments(log: Log, serde: Serde) -> Streams:
    """Streams of payments, in as many partitions as orders."""
    return Streams(log, serde, "payments")


async def test_two_topics_meet_by_key(process: Start, orders: Streams, payments: Streams) -> None:
    """Rows of one key see the events of both."""
    here = process(Joined).ready()

    orders.append("a", Placed(order="a", customer="ann", cents=1))
    here.settle()
    position = payments.append("a", Paid(order="a"))

    rows = here.tables.queryable(Joined.rows)
    assert await rows.get("a", at_least=position, of="payments.events") == "placed paid "


async def test_a_position_of_several_topics_has_to_say_which(
    process: Start, orders: Streams, payments: Streams
) -> None:
    """Without of= it could be the other one's."""
    here = process(Joined).ready()
    position = payments.append("a", Paid(order="a"))

    with pytest.raises(ValueError, match="of="):
        await here.tables.queryable(Joined.rows).get("a", at_least=position)


async def test_followed_topics_are_exact_over_restarts_and_rebalances(
    process: Start, orders: Streams, payments: Streams
) -> None:
    """Each event of either topic counts once, whoever handled it."""
    state = MemoryStateEngine()
    one = process(Joined, slot="0", state=state).ready()
    for number in range(40):
        orders.append(f"o{number}", Placed(order=f"o{number}", customer="ann", cents=1))
    two = process(Joined, slot="1")
    await_shared(one, two)
    for number in range(40):
        payments.append(f"o{number}", Paid(order=f"o{number}"))
    one.settle()
    two.settle()
    one.stop()
    three = process(Joined, slot="0", state=state).ready()
    three.settle()
    two.settle()

    rows = [row async for _, row in three.tables.queryable(Joined.rows).scan()]

    assert len(rows) == 40
    assert set(rows) == {"placed paid "}
