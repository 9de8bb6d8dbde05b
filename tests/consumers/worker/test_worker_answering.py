"""The seam where a worker's records get answers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from datetime import timedelta

import pytest

from consumers.answering import Waits
from consumers.delivery import Delivery
from consumers.retry import Retry
from consumers.worker import Worker
from eventstore.component import Host
from eventstore.log.errors import BrokerUnreachable, LogError
from eventstore.log.port import Producer
from eventstore.log.records import Topic, TopicPartition
from schemas import Command, Message, Reply
from tests.consumers.host import Feed
from tests.consumers.worker.bench import Bench

PLACE = TopicPartition("hotels.inbox", 0)


class Booked(Reply):
    ref: str


class Book(Command[Booked], to="hotels", key="trip"):
    trip: str


class Notes:
    """An `Answering` that notes what it is told, and writes no answer before the test lets it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []
        self.futures: list[Future[int]] = []
        self.guarded: set[str] = set()
        self.slices = 0

    @property
    def topics(self) -> Sequence[Topic]:
        return [Topic(name="hotels.inbox", partitions=1, retention_ms=1_000_000)]

    @property
    def messages(self) -> Sequence[type[Message]]:
        return [Booked]

    def open(self, host: Host, group: str, producer: Producer) -> None:
        self.told.append(("open", group))

    def assigned(self, partition: TopicPartition) -> None:
        self.told.append(("assigned", partition))

    def restore(self, partition: TopicPartition, seconds: float) -> bool:
        self.slices += 1
        return self.slices >= 3

    def revoked(self, partition: TopicPartition) -> None:
        self.told.append(("revoked", partition))

    def before(self, delivery: Delivery) -> Waits | None:
        return self._wait() if delivery.key in self.guarded else None

    def answered(self, delivery: Delivery, value: object) -> Waits:
        self.told.append(("answered", (delivery.metadata.id, value)))
        return self._wait()

    def failed(self, delivery: Delivery, error: BaseException) -> Waits | None:
        self.told.append(("failed", type(error)))
        return None if delivery.message is None else self._wait()

    def close(self) -> None:
        self.told.append(("close", None))

    def _wait(self) -> Waits:
        self.futures.append(Future())
        return [self.futures[-1]]


def booking(bench: Bench, notes: Notes, *, fails: bool = False) -> tuple[Worker, Feed, list[str]]:
    """A participant with its inbox, and what its handler ran for."""
    worker = Worker("hotels", answering=notes, retry=Retry(attempts=2, first=timedelta(seconds=1), jitter=0))
    ran = list[str]()

    @worker.on
    async def book(command: Book) -> Booked:
        ran.append(command.trip)
        if fails:
            raise ConnectionError("the hotel does not answer")
        return Booked(ref=f"H-{command.trip}")

    bench.host.serde.register(worker.__component__().messages)
    return worker, Feed(bench.host, "hotels.inbox"), ran


def test_a_record_is_acknowledged_when_its_answer_is_in_the_log(bench: Bench) -> None:
    """The position passes a record only when the answer's future is done.

    The key's next record does not wait for it.
    """
    notes = Notes()
    worker, feed, ran = booking(bench, notes)
    loop = bench.open(worker)
    feed.send("1", Book(trip="1"))
    feed.send("1", Book(trip="1"))
    bench.drive(loop, lambda: len(notes.futures) == 2)
    bench.commit(loop)
    before = bench.position("hotels.inbox", group="shop.hotels")
    for future in notes.futures:
        future.set_result(0)
    bench.settle(loop)

    assert before == 0
    assert ran == ["1", "1"]
    assert ("answered", ("hotels.inbox-1", Booked(ref="H-1"))) in notes.told
    assert bench.position("hotels.inbox", group="shop.hotels") == 2


def test_nothing_is_delivered_before_the_partition_is_restored(bench: Bench) -> None:
    """`restore` is called until it says True, then records come; `revoked` and `close` end it."""
    notes = Notes()
    worker, feed, ran = booking(bench, notes)
    feed.send("1", Book(trip="1"))
    loop = bench.open(worker)
    bench.drive(loop, lambda: notes.slices == 2)
    assert not loop.is_ready()
    assert ran == []
    bench.drive(loop, lambda: bool(notes.futures))
    notes.futures[0].set_result(0)
    bench.settle(loop)
    bench.stop(loop)

    names = [(name, what) for name, what in notes.told if name != "answered"]
    assert names == [("open", "shop.hotels"), ("assigned", PLACE), ("revoked", PLACE), ("close", None)]


def test_the_guard_stands_in_for_the_handler(bench: Bench) -> None:
    """When `before` answers, the handler does not run, and the record waits for that answer only."""
    notes = Notes()
    notes.guarded.add("1")
    worker, feed, ran = booking(bench, notes)
    feed.send("1", Book(trip="1"))
    loop = bench.open(worker)
    bench.drive(loop, lambda: bool(notes.futures))
    notes.futures[0].set_result(0)
    bench.settle(loop)

    assert ran == []
    assert bench.position("hotels.inbox", group="shop.hotels") == 1


def test_a_final_failure_is_answered_instead_of_dead_lettered(bench: Bench) -> None:
    """After the last attempt `failed` is asked once; what it answers replaces the dead letter."""
    notes = Notes()
    worker, feed, ran = booking(bench, notes, fails=True)
    feed.send("1", Book(trip="1"))
    loop = bench.open(worker)
    bench.drive(loop, lambda: len(ran) == 1 and loop.is_settled())
    bench.clock.advance(timedelta(seconds=1))
    bench.drive(loop, lambda: bool(notes.futures))
    notes.futures[0].set_result(0)
    bench.settle(loop)

    assert ran == ["1", "1"]
    assert [what for name, what in notes.told if name == "failed"] == [ConnectionError]
    assert bench.records("hotels.inbox.shop.hotels.dlq") == []


def test_what_cannot_be_answered_is_dead_lettered(bench: Bench) -> None:
    """When `failed` returns None, as for bytes that say nothing of a caller, there is a dead letter."""
    notes = Notes()
    worker, feed, _ = booking(bench, notes)
    feed.send("1", b"hello")
    loop = bench.open(worker)
    bench.settle(loop)

    assert len(bench.records("hotels.inbox.shop.hotels.dlq")) == 1


def test_an_answer_that_is_lost_stops_the_worker(bench: Bench) -> None:
    """A send that fails later is raised by the loop, and the record is not acknowledged."""
    notes = Notes()
    worker, feed, _ = booking(bench, notes)
    feed.send("1", Book(trip="1"))
    loop = bench.open(worker)
    bench.drive(loop, lambda: bool(notes.futures))
    notes.futures[0].set_exception(BrokerUnreachable("h:9092", "gone"))

    with pytest.raises(LogError, match="gone"):
        bench.drive(loop, lambda: False)
    bench.stop(loop)

    assert bench.position("hotels.inbox", group="shop.hotels") == 0
