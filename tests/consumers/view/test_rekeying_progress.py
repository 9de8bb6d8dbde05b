"""Whoever waits for a re-keyed view sees how far it is: at /metrics, at /ready, and from `not_ready`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from threading import Event
from typing import Any

import pytest

from consumers import Service
from eventstore.log import open_log
from eventstore.log.port import Batch, GroupConsumer, Listener, Log
from schemas import Serde
from tests.consumers.view.buyers import buyers
from tests.consumers.view.host import Stepped, Streams, step_until
from tests.consumers.view.shop import Placed
from tests.waiting import eventually_async

EVENTS = 3_000


@pytest.fixture
def stepped(log: Log, serde: Serde, orders: Streams) -> Iterator[Stepped]:
    """A process with that much before it."""
    orders.fill([(f"o{n % 50}", Placed(order=f"o{n % 50}", customer=f"c{n % 7}", cents=1)) for n in range(EVENTS)])
    made = Stepped(log, serde, buyers("orders.events", 1))
    yield made
    made.stop()


def test_the_loop_that_copies_tells_its_queue(stepped: Stepped) -> None:
    """`queue_length` falls from all records to none; `/ready` says what is left of those that are waited for."""
    loop = stepped.copier
    loop.open()
    step_until(lambda: loop.metrics()["partitions_assigned"], loop)
    queues, told = [loop.metrics()["queue_length"]], [loop.progress()]

    while not loop.is_ready():
        loop.step(0.0)
        queues.append(loop.metrics()["queue_length"])
        told.append(loop.progress())

    assert sorted(queues, reverse=True) == queues
    assert queues[-1] == 0
    assert any(0 < queue < EVENTS for queue in queues)
    assert re.fullmatch(r"events are copied under the view's keys: [\d,]+ records are left in this process", told[0])
    assert told[-1] == ""


def test_the_view_tells_what_is_not_copied(stepped: Stepped) -> None:
    """Its own queue is what was copied; what other processes still have to copy is a metric, and the reason."""
    stepped.view.open()
    step_until(lambda: stepped.view.metrics()["view_partitions"] == 4, stepped.view)

    before, why = stepped.view.metrics(), stepped.view.progress()
    stepped.copier.open()
    step_until(stepped.view.is_ready, stepped.copier, stepped.view)
    after = stepped.view.metrics()

    assert (before["view_uncopied"], before["queue_length"]) == (EVENTS, 0)
    assert why == "its sources are copied first: 3,000 of their records are left, over all processes"
    assert (after["view_uncopied"], stepped.view.progress()) == (0, "")


class NotTold:
    """A group's consumer whose first poll knows that it is a member, and not of what, as on Kafka."""

    def __init__(self, inner: GroupConsumer) -> None:
        self._inner, self.group = inner, inner.group
        self.polls = 0

    def poll(self, max_records: int, timeout: float) -> Batch:
        self.polls += 1
        return Batch((), self) if self.polls == 1 else self._inner.poll(max_records, timeout)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@pytest.mark.parametrize("which", ["copier", "view"])
def test_a_member_that_was_not_told_what_it_owns_is_not_ready(
    stepped: Stepped, log: Log, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ready` would end before anything was taken; it is looked at between the two answers of the group."""
    join = log.group

    def not_told(group: str, topics: Sequence[str], listener: Listener) -> Any:
        return NotTold(join(group, topics, listener))

    monkeypatch.setattr(log, "group", not_told)
    loop = getattr(stepped, which)
    loop.open()

    loop.step(0.0)
    was_ready = loop.is_ready()
    if which == "view":
        stepped.copier.open()
    step_until(loop.is_ready, stepped.copier, loop)

    assert not was_ready


async def test_a_service_says_what_it_waits_for() -> None:
    """What re-keys, and the view itself, tell how much is left."""
    go = Event()
    keeper = open_log("memory://rekeying-progress")
    view: Any = buyers("orders.events", 1, copied=go.wait)
    async with Service("orders", components=[], log="memory://rekeying-progress") as service:
        serde = service.runtime.host.serde
        serde.register([Placed])
        Streams(keeper, serde, "orders").fill([("o1", Placed(order="o1", customer="ann", cents=1))] * 5)

    async with Service("shop", components=[view], log="memory://rekeying-progress") as service:
        told = {
            "re-keying for buyers_of_orders.v1": "events are copied under the view's keys: "
            "5 records are left in this process",
            "buyers_of_orders.v1": "its sources are copied first: 5 of their records are left, over all processes",
        }
        await eventually_async(lambda: service.not_ready() == told)
        go.set()
        await service.ready()
    keeper.close()
