"""A log in memory, messages, and a loop that is stepped by hand under a hand-set clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from consumers.worker import Worker
from consumers.worker_loop import WorkerLoop
from eventstore.clock import ManualClock
from eventstore.log.port import Log
from eventstore.log.records import Record, TopicPartition
from schemas import Event
from tests.consumers.host import Feed, TestHost


class Placed(Event, name="order.placed"):
    order: str
    number: int = 0


class Paid(Event, name="order.paid"):
    order: str


@dataclass
class Bench:
    """Runs workers by hand on one log."""

    host: TestHost
    clock: ManualClock
    loops: list[WorkerLoop] = field(default_factory=list[WorkerLoop])

    def feed(self, topic: str = "orders", partitions: int = 1) -> Feed:
        self.host.serde.register([Placed, Paid])
        return Feed(self.host, topic, partitions)

    def open(self, worker: Worker) -> WorkerLoop:
        """The worker's loop, with its partitions taken."""
        plan = worker.__component__()
        self.host.serde.register(plan.messages)
        loop = WorkerLoop(worker, self.host)
        self.loops.append(loop)
        loop.open()
        return loop

    def drive(self, loop: WorkerLoop, until: Callable[[], object], timeout: float = 10.0) -> None:
        """Step until it is so; fail if it is not within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not until():
            assert time.monotonic() < deadline, f"not so within {timeout:g} s: {loop.metrics()}"
            loop.step(0.002)

    def settle(self, loop: WorkerLoop) -> None:
        """Step until all that is there is handled, and commit."""
        self.drive(loop, loop.is_settled)
        self.commit(loop)

    def commit(self, loop: WorkerLoop) -> None:
        """Step once with the time for a commit come."""
        self.clock.advance(timedelta(seconds=0.2))
        loop.step(0.0)

    def stop(self, loop: WorkerLoop, drain: float = 5.0) -> None:
        self.loops.remove(loop)
        loop.stop(self.clock.monotonic() + drain)

    def records(self, topic: str, partitions: int = 1) -> list[Record]:
        """All records of a topic."""
        return read_all(self.host.log, topic, partitions)

    def position(self, topic: str, partition: int = 0, group: str = "shop.mailer") -> int | None:
        """The position that the group has committed."""
        place = TopicPartition(topic, partition)
        found = self.host.log.group_positions(group, [place])[place]
        return None if found is None else found.offset


def read_all(log: Log, topic: str, partitions: int = 1) -> list[Record]:
    """All records of a topic, as a committed reader sees them."""
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    ends = log.end_positions(places)
    reader = log.reader(dict.fromkeys(places, 0))
    found: list[Record] = []
    while any(reader.position(place) < ends[place] for place in places):
        found += reader.read(1_000, 1.0)
    reader.close()
    return found


class Gate:
    """What handlers wait at until the test opens it."""

    def __init__(self) -> None:
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self.is_open = False

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return sum(not future.done() for _, future in list(self._waiting))

    async def passed(self) -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append((loop, future))
        if not self.is_open:
            await future

    def open(self) -> None:
        self.is_open = True
        for loop, future in list(self._waiting):
            loop.call_soon_threadsafe(_resolve, future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
