"""Workers on a real Kafka: killed, stopped, and many keys at once."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from consumers import dlq
from consumers.errors import Permanent
from consumers.worker import Worker
from eventstore.clock import SystemClock
from eventstore.log import open_log
from eventstore.log.records import TopicPartition
from eventstore.registry import TopicRegistry
from schemas import Metadata, Serde
from tests.consumers.host import Feed, TestHost, running
from tests.consumers.worker import noting
from tests.consumers.worker.bench import Placed
from tests.waiting import eventually

ROOT = Path(__file__).parents[3]


@pytest.fixture
def host(kafka: str, unique: Callable[[str], str]) -> Iterator[TestHost]:
    """A host on the real Kafka, of a service of this test's own."""
    log = open_log(f"kafka://{kafka}")
    yield TestHost(log=log, service=unique("shop"), serde=Serde(TopicRegistry(log), [Placed]), clock=SystemClock())
    log.close()


class Program:
    """A process that runs the noting worker."""

    def __init__(self, kafka: str, topic: str, host: TestHost, file: Path) -> None:
        command = [sys.executable, noting.__file__, kafka, topic, host.service, str(file)]
        self.process = subprocess.Popen(command, env={"PYTHONPATH": str(ROOT)})

    def end(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        self.process.wait(20)


def noted(file: Path) -> list[tuple[str, str, int]]:
    """What the programs handled, whole lines only: (pid, key, number)."""
    lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
    return [(pid, key, int(number)) for pid, key, number in (line.decode().split() for line in lines)]


def has_noted(file: Path, count: int) -> bool:
    """Whether more than `count` were handled."""
    return len(noted(file)) > count


def orders(count: int, keys: int) -> Iterator[tuple[str, Placed]]:
    """So many orders, numbered through, of so many keys in turn."""
    for number in range(count):
        yield f"o{number % keys}", Placed(order=f"o{number % keys}", number=number)


def in_order(numbers: list[int]) -> bool:
    """Whether they never go back."""
    return numbers == sorted(numbers)


def test_a_killed_worker_loses_nothing_and_keeps_order(kafka: str, host: TestHost, topic: str, tmp_path: Path) -> None:
    """Two processes share a load; one is killed −9 in the midst. All is handled, each key in order, little twice."""
    feed, file = Feed(host, topic, partitions=4), tmp_path / "notes"
    with ExitStack() as stack:
        programs = [Program(kafka, topic, host, file) for _ in range(2)]
        for program in programs:
            stack.callback(program.end, signal.SIGKILL)
        total = feed.send_all(orders(20_000, 400))
        victim = eventually(lambda: next(iter({pid for pid, _, _ in noted(file)[500:]}), None), timeout=30)
        next(program for program in programs if str(program.process.pid) == victim).end(signal.SIGKILL)
        eventually(lambda: len({(key, number) for _, key, number in noted(file)}) == total, timeout=60)

    handled = noted(file)
    per_process = defaultdict[tuple[str, str], list[int]](list)
    per_key = defaultdict[str, list[int]](list)
    for pid, key, number in handled:
        per_process[pid, key].append(number)
        if number not in per_key[key]:
            per_key[key].append(number)
    assert all(in_order(numbers) for numbers in per_key.values())
    assert all(in_order(numbers) for numbers in per_process.values())
    assert len(handled) - total < 5_000


def test_a_stopped_worker_that_comes_back_loses_nothing(kafka: str, host: TestHost, topic: str, tmp_path: Path) -> None:
    """A process is stopped (SIGSTOP) beyond its session and goes on later: the other takes over, then both work."""
    feed, file = Feed(host, topic, partitions=4), tmp_path / "notes"

    def both_work(since: int) -> bool:
        feed.send_all(orders(100, 100))
        return len({pid for pid, _, _ in noted(file)[since:]}) == 2

    with ExitStack() as stack:
        stopped, other = (Program(kafka, topic, host, file) for _ in range(2))
        for program in (stopped, other):
            stack.callback(program.end, signal.SIGKILL)
        eventually(lambda: both_work(0), timeout=30)
        total = feed.send_all(orders(20_000, 400))
        stopped.process.send_signal(signal.SIGSTOP)
        eventually(lambda: len({number for _, _, number in noted(file)}) == total, timeout=60)
        stopped.process.send_signal(signal.SIGCONT)
        since = len(noted(file))
        eventually(lambda: both_work(since), timeout=60)

        assert stopped.process.poll() is None
        assert other.process.poll() is None


def test_a_rolling_restart_repeats_nothing(kafka: str, host: TestHost, topic: str, tmp_path: Path) -> None:
    """W15: workers are stopped and replaced under load by SIGTERM; every record is handled exactly once, in order."""
    feed, file = Feed(host, topic, partitions=4), tmp_path / "notes"
    total = feed.send_all(orders(15_000, 300))
    with ExitStack() as stack:
        old = [Program(kafka, topic, host, file) for _ in range(2)]
        for program in old:
            stack.callback(program.end, signal.SIGKILL)
        for count, program in enumerate(old, 1):
            eventually(partial(has_noted, file, 2_000 * count), timeout=30)
            new = Program(kafka, topic, host, file)
            stack.callback(new.end, signal.SIGKILL)
            program.end(signal.SIGTERM)
        eventually(lambda: len({(key, number) for _, key, number in noted(file)}) == total, timeout=60)

    per_key = defaultdict[str, list[int]](list)
    for _, key, number in noted(file):
        per_key[key].append(number)
    assert Counter((key, number) for _, key, number in noted(file)).most_common(1)[0][1] == 1
    assert all(in_order(numbers) for numbers in per_key.values())


def test_a_thousand_keys_run_at_once_in_order(host: TestHost, topic: str) -> None:
    """W1: 1,000 keys × 10 records × 0–5 ms on one partition, twenty at a time, in at most 2.3 s, each key in order."""
    feed, worker = Feed(host, topic), Worker("mailer", topics=[topic], concurrency=20)
    seen, began = defaultdict[str, list[int]](list), list[float]()

    @worker.on
    async def confirm(event: Placed) -> None:
        if not began:
            began.append(time.monotonic())
        await asyncio.sleep(random.random() * 0.005)
        seen[event.order].append(event.number)

    feed.send_all(orders(10_000, 1_000))
    with running(worker.__component__().loops[0](host), host) as driver:
        eventually(driver.loop.is_settled, timeout=30)
        took = time.monotonic() - began[0]

    assert driver.error is None
    assert len(seen) == 1_000
    assert all(len(numbers) == 10 and in_order(numbers) for numbers in seen.values())
    assert took <= 2.3 * _slowness()


def test_a_worker_that_has_nothing_to_do_has_no_queue(host: TestHost, topic: str) -> None:
    """The marker of the transaction that brought the last record is nothing that waits."""
    worker, done = Worker("mailer", topics=[topic]), list[str]()

    @worker.on
    async def confirm(event: Placed) -> None:
        done.append(event.order)

    Feed(host, topic, 1)
    unit = host.log.transactor(f"{host.service}.feeding")
    unit.begin()
    meta = Metadata(id=f"{topic}-1", type=Placed.__type_name__).encode()
    unit.produce(topic, 0, b"a", host.serde.encode(Placed(order="a")), [("meta", meta)])
    unit.commit()
    unit.close()

    with running(worker.__component__().loops[0](host), host) as driver:
        eventually(lambda: done == ["a"], 20)
        eventually(lambda: driver.loop.metrics()["queue_length"] == 0, 10)

    assert driver.error is None


def test_dead_letters_come_back_through_the_log(host: TestHost, topic: str) -> None:
    """A record that fails for good is dead-lettered, redriven while the worker runs, and then handled."""
    feed, worker, done, broken = Feed(host, topic), Worker("mailer", topics=[topic]), list[str](), [True]

    @worker.on
    async def confirm(event: Placed) -> None:
        if broken[0]:
            raise Permanent("no such address")
        done.append(event.order)

    feed.send("a", Placed(order="a"))
    with running(worker.__component__().loops[0](host), host):
        choice = dlq.Choice(topic=topic)
        eventually(lambda: topic + f".{host.service}.mailer.dlq" in host.log.describe())
        eventually(lambda: [dlq.entity_of(letter) for letter in dlq.find(host.log, choice)] == ["a"])
        broken[0] = False
        dlq.redrive(host.log, choice)
        eventually(lambda: done == ["a"])

    assert list(dlq.find(host.log, choice)) == []
    place = TopicPartition(topic, 0)
    position = host.log.group_positions(f"{host.service}.mailer", [place])[place]
    assert position is not None
    assert position.offset == 1


def _slowness() -> float:
    """How much slower than asked a busy machine sleeps, so that the bound speaks of the worker."""
    began = time.monotonic()
    asyncio.run(_sleeps(100))
    return max(1.0, (time.monotonic() - began) / 0.25)


async def _sleeps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0.0025)
