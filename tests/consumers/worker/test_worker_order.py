"""Which records wait for which."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Literal

import pytest

from consumers.delivery import Context
from consumers.limits import Limits
from consumers.retry import Retry
from consumers.worker import Worker
from tests.consumers.worker.bench import Bench, Gate, Placed


def test_records_of_a_key_run_one_after_another(bench: Bench) -> None:
    """Ten records of each of twenty keys run in the order of the log, never two of a key at once."""
    worker, seen, running = Worker("mailer", topics=["orders"], concurrency=8), list[tuple[str, int]](), Counter[str]()
    feed, gate = bench.feed(), Gate()

    @worker.on
    async def confirm(event: Placed) -> None:
        running[event.order] += 1
        assert running[event.order] == 1
        await gate.passed()
        seen.append((event.order, event.number))
        running[event.order] -= 1

    for number in range(10):
        for order in range(20):
            feed.send(f"o{order}", Placed(order=f"o{order}", number=number))
    loop = bench.open(worker)
    bench.drive(loop, lambda: gate.waiting == 8)
    gate.open()
    bench.settle(loop)

    assert len(seen) == 200
    assert all([number for order, number in seen if order == f"o{key}"] == list(range(10)) for key in range(20))


def test_no_more_handlers_run_than_concurrency(bench: Bench) -> None:
    """Of ten records of ten keys, three run at a time."""
    worker, gate, feed = Worker("mailer", topics=["orders"], concurrency=3), Gate(), bench.feed()

    @worker.on
    async def confirm(event: Placed) -> None:
        await gate.passed()

    for order in range(10):
        feed.send(f"o{order}", Placed(order=f"o{order}"))
    loop = bench.open(worker)
    bench.drive(loop, lambda: gate.waiting == 3)
    for _ in range(5):
        loop.step(0.0)

    assert gate.waiting == 3
    assert loop.metrics()["jobs_in_flight"] == 10


@pytest.mark.parametrize(("order", "at_once"), [("key", 2), ("partition", 1), ("none", 4)])
def test_order_says_what_waits(bench: Bench, order: Literal["key", "partition", "none"], at_once: int) -> None:
    """Four records of two keys in one partition: by key two run at once, by partition one, without order all."""
    worker, gate, feed = Worker("mailer", topics=["orders"], concurrency=8, order=order), Gate(), bench.feed()

    @worker.on
    async def confirm(event: Placed) -> None:
        await gate.passed()

    for number in range(4):
        feed.send(f"o{number % 2}", Placed(order=f"o{number % 2}"))
    loop = bench.open(worker)
    bench.drive(loop, lambda: loop.metrics()["jobs_in_flight"] == 4 and gate.waiting == at_once)

    assert gate.waiting == at_once


def test_events_of_a_stream_run_in_order(bench: Bench) -> None:
    """In an events topic, whose keys are `stream/version`, the stream orders the records."""
    worker, gate, feed = Worker("mailer", topics=["orders.events"], concurrency=8), Gate(), bench.feed("orders.events")

    @worker.on
    async def confirm(event: Placed) -> None:
        await gate.passed()

    for version in range(3):
        feed.send(f"order/17/{version}", Placed(order="17"))
        feed.send(f"order/18/{version}", Placed(order="18"))
    loop = bench.open(worker)
    bench.drive(loop, lambda: loop.metrics()["jobs_in_flight"] == 6 and gate.waiting == 2)

    assert gate.waiting == 2


def test_a_waiting_head_holds_up_its_key_only(bench: Bench) -> None:
    """W3: while the head of one key waits an hour for its next attempt, other keys go on and its own followers wait."""
    retry = Retry(attempts=2, first=timedelta(hours=1), jitter=0.0)
    worker, done, feed = (
        Worker("mailer", topics=["orders"], concurrency=1, retry=retry),
        list[tuple[str, int]](),
        bench.feed(),
    )

    @worker.on
    async def confirm(event: Placed, context: Context) -> None:
        if (event.order, event.number, context.attempt) == ("a", 0, 1):
            raise ConnectionError("mail server is away")
        done.append((event.order, event.number))

    for number in range(2):
        for order in ("a", "b", "c"):
            feed.send(order, Placed(order=order, number=number))
    loop = bench.open(worker)
    bench.drive(loop, lambda: len(done) == 4)
    bench.settle(loop)
    assert done == [("b", 0), ("c", 0), ("b", 1), ("c", 1)]

    bench.clock.advance(timedelta(hours=1))
    bench.drive(loop, lambda: len(done) == 6)

    assert done[4:] == [("a", 0), ("a", 1)]


def test_too_much_in_flight_pauses_the_partition(bench: Bench) -> None:
    """W10: what is in flight stays bounded under a backlog, and fetching goes on when half of it is done."""
    worker = Worker("mailer", topics=["orders"], concurrency=4, limits=Limits(records=50))
    gate, done, feed = Gate(), list[int](), bench.feed()

    @worker.on
    async def confirm(event: Placed) -> None:
        await gate.passed()
        done.append(event.number)

    feed.send_all((f"o{number}", Placed(order=f"o{number}", number=number)) for number in range(2_000))
    loop = bench.open(worker)
    bench.drive(loop, lambda: loop.metrics()["partitions_paused"] == 1)
    for _ in range(20):
        loop.step(0.0)
    assert loop.metrics()["jobs_in_flight"] <= 550
    assert loop.metrics()["queue_length"] == 2_000

    gate.open()
    bench.settle(loop)

    assert sorted(done) == list(range(2_000))
