"""W1: the broker keeps the later commit record when plain and transactional ones are mixed, so nobody mixes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from consumers import dlq
from consumers.errors import Permanent
from consumers.retry import Retry
from consumers.worker import Worker
from eventstore.log.records import TopicPartition
from tests.consumers.committers import Committers
from tests.consumers.worker.bench import Bench, Placed
from tests.consumers.worker.test_worker_answering import Book, Notes, booking

ORDERS, REDRIVE = TopicPartition("orders", 0), TopicPartition("orders.shop.mailer.redrive", 0)


@pytest.fixture
def committers(monkeypatch: pytest.MonkeyPatch) -> Committers:
    """Who commits how."""
    return Committers(monkeypatch)


@pytest.fixture
def transactors(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The transactional ids that were opened."""
    opened, real = list[str](), bench.host.log.transactor

    def transactor(transactional_id: str) -> Any:
        opened.append(transactional_id)
        return real(transactional_id)

    monkeypatch.setattr(bench.host.log, "transactor", transactor)
    return opened


def hopeless() -> tuple[Worker, list[str]]:
    """A worker that fails once, then gives up: a retry and a dead letter."""
    worker, tried = Worker("mailer", topics=["orders"], retry=Retry(first=timedelta(seconds=1), jitter=0)), list[str]()

    @worker.on
    async def confirm(event: Placed) -> None:
        tried.append(event.order)
        raise ConnectionError("away") if len(tried) == 1 else Permanent("no such address")

    return worker, tried


def test_a_worker_that_retries_dead_letters_and_redrives_commits_plainly(
    bench: Bench, committers: Committers, transactors: list[str]
) -> None:
    """W1: what it writes is in the log before its position passes, and no transaction of it names a position."""
    worker, tried = hopeless()
    feed = bench.feed()
    feed.send("a", Placed(order="a"))
    loop = bench.open(worker)
    bench.drive(loop, lambda: len(tried) == 1 and loop.is_settled())
    bench.clock.advance(timedelta(seconds=2))
    bench.drive(loop, lambda: bool(bench.records("orders.shop.mailer.dlq")))
    bench.settle(loop)
    dlq.redrive(bench.host.log, dlq.ALL, clock=bench.clock)
    bench.settle(loop)
    bench.stop(loop)

    assert tried == ["a", "a", "a"]
    assert {at: set(how) for at, how in committers.of("shop.mailer").items()} == {
        ORDERS: {"plain"},
        REDRIVE: {"plain"},
    }
    assert transactors == []


def test_a_worker_that_answers_commits_plainly(bench: Bench, committers: Committers, transactors: list[str]) -> None:
    """W1: answers are acknowledged before the position passes; they are in no transaction with it."""
    notes = Notes()
    worker, feed, ran = booking(bench, notes)
    loop = bench.open(worker)
    feed.send("1", Book(trip="1"))
    bench.drive(loop, lambda: bool(notes.futures))
    notes.futures[0].set_result(0)
    bench.settle(loop)
    bench.stop(loop)

    assert ran == ["1"]
    assert {how for each in committers.of("shop.hotels").values() for how in each} == {"plain"}
    assert transactors == []
