"""Re-keyed views on a real Kafka: a new version is done when its sources were copied, markers and kill −9 included."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from eventstore.clock import ManualClock
from eventstore.log import open_log
from eventstore.log.partition import partition_of
from eventstore.log.port import Log, Transactor
from eventstore.log.records import TopicPartition
from eventstore.registry import TopicRegistry
from schemas import Metadata, Serde
from tests.consumers.view.buyers import buyers
from tests.consumers.view.host import Process, Stepped, Streams, child, step_until
from tests.consumers.view.shop import Placed, Total
from tests.waiting import eventually, eventually_async

EVENTS, CUSTOMERS = 20_000, 20


class Bench:
    """A log, streams of orders, and what the rows of the versions should be."""

    def __init__(self, url: str, name: str, folder: Path, stack: ExitStack) -> None:
        self.url, self.folder, self.stack = url, folder, stack
        self.log: Log = open_log(url)
        stack.callback(self.log.close)
        self.serde = Serde(TopicRegistry(self.log), format="json")
        self.streams = Streams(self.log, self.serde, name)
        self.new: Any = buyers(self.streams.topic, 2)

    def process(self, *views: Any) -> Process:
        """A process in this one, until the test ends."""
        made = Process(self.log, self.serde, *views).start()
        self.stack.callback(made.stop)
        return made

    def stepped(self, **options: Any) -> Stepped:
        """A process of version 2 that the test steps by hand."""
        made = Stepped(self.log, self.serde, self.new, **options)
        self.stack.callback(made.stop)
        return made

    def unit(self) -> Transactor:
        """A transaction of somebody else's, open."""
        made = self.log.transactor(f"other.{self.streams.name}")
        self.stack.callback(made.close)
        made.begin()
        return made

    def place(self, unit: Transactor, topic: str, stream: str, customer: str) -> TopicPartition:
        """Write two events into an open transaction, until the log has the first; the other goes with the commit."""
        key = stream if topic == self.streams.topic else customer
        at = TopicPartition(topic, partition_of(key, 4))
        before = self.log.end_positions([at], isolation="uncommitted")[at]
        value = self.serde.encode(Placed(order=stream, customer=customer, cents=1))
        meta = Metadata(id=f"{stream}-{before}", type=Placed.__type_name__).encode()
        for number in (before, before + 1):
            unit.produce(topic, at.partition, f"{stream}/{number}".encode(), value, [("meta", meta)])
        eventually(lambda: self.log.end_positions([at], isolation="uncommitted")[at] > before)
        return at

    def child(self, slot: str, dies: str) -> AbstractContextManager[subprocess.Popen[str]]:
        """A process that runs version 2, killed at the end."""
        module, folder = "tests.consumers.view.buyers", str(self.folder / slot)
        return child(module, self.url, self.streams.topic, folder, slot, dies)


@pytest.fixture
def bench(kafka: str, unique: Callable[[str], str], tmp_path: Path) -> Iterator[Bench]:
    """A topic of this test's own."""
    with ExitStack() as stack:
        yield Bench(f"kafka://{kafka}", unique("orders"), tmp_path, stack)


@pytest.mark.parametrize("dies", ["copying", "viewing"])
async def test_a_new_version_is_whole_when_it_first_answers_whoever_dies(bench: Bench, dies: str) -> None:
    """V3: two processes make it, one is killed −9 on the way; every row that is read meanwhile has all events."""
    cents = Counter[str]()
    for number in range(EVENTS):
        cents[f"c{number % CUSTOMERS}"] += number
    bench.streams.fill(
        [
            (f"o{number % 500}", Placed(order=f"o{number % 500}", customer=f"c{number % CUSTOMERS}", cents=number))
            for number in range(EVENTS)
        ]
    )
    bench.process(buyers(bench.streams.topic, 1)).ready(60).settle(60)
    rows = bench.process().tables.queryable(bench.new.totals)
    wholes = {
        version: {customer: Total(count=EVENTS // CUSTOMERS * version, cents=cents[customer]) for customer in cents}
        for version in (1, 2)
    }

    async def look() -> bool:
        """Whether all rows are the new version's."""
        found = {key: row async for key, row in rows.scan()}
        for customer, row in found.items():
            assert_whole(row, wholes[1][customer], wholes[2][customer])
        assert_whole(found.keys(), cents.keys())
        return found == wholes[2]

    with bench.child("0", "never"), bench.child("1", dies) as dying:
        while dying.poll() is None:
            assert not await look()
        await eventually_async(look, 60)

    assert dying.returncode == -signal.SIGKILL


def assert_whole(found: object, *wanted: object) -> None:
    """An error that `eventually` does not take for "not yet"."""
    if found not in wanted:
        raise ValueError(f"{found!r} is none of {wanted!r}")


def test_a_view_reads_its_copy_past_a_marker_that_is_under_way(bench: Bench) -> None:
    """K4: the group may have passed its sources' ends before the copy has the marker of the same transaction."""
    unit = bench.unit()
    process = bench.stepped()
    copy = process.view.definition.topics[0]
    bench.place(unit, copy, "o1", "c1")

    process.view.open()
    step_until(lambda: process.view.metrics()["view_partitions"] == 4, process.view, wait=0.01)
    for _ in range(50):
        process.view.step(0.0)
        assert not process.view.is_ready()
    unit.commit()
    step_until(process.view.is_ready, process.view, wait=0.01)

    assert process.counted() == 2


def test_a_view_is_not_settled_while_a_marker_is_under_way(bench: Bench) -> None:
    """An append was acknowledged, its transaction's marker has not reached the partition: `settled` waits for it."""
    process = bench.stepped()
    process.view.open()
    step_until(process.view.is_settled, process.view, wait=0.01)
    unit = bench.unit()
    bench.place(unit, process.view.definition.topics[0], "o1", "c1")

    assert not process.view.is_settled()
    unit.commit()
    step_until(process.view.is_settled, process.view, wait=0.01)

    assert process.counted() == 2


def test_a_source_that_ends_with_a_marker_is_copied_at_once(bench: Bench) -> None:
    """The position passes the marker without waiting for the time at which positions are committed anyway."""
    unit = bench.unit()
    bench.place(unit, bench.streams.topic, "o1", "c1")
    unit.commit()
    unit.begin()
    bench.place(unit, bench.streams.topic, "o1", "c1")
    unit.abort()
    source = [TopicPartition(bench.streams.topic, number) for number in range(4)]
    eventually(lambda: bench.log.end_positions(source) == bench.log.end_positions(source, isolation="uncommitted"))
    process = bench.stepped(clock=ManualClock())

    process.copier.open()
    step_until(process.copier.is_ready, process.copier, wait=0.01)
    process.view.open()
    step_until(process.view.is_ready, process.view, wait=0.01)

    assert process.counted() == 2
