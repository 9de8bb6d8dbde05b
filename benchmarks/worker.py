"""A worker's durable no-op records a second beside a bare consume-and-commit loop, and its latency at low load.

`python -m benchmarks.worker [--records 200000] [--json]` uses KAFKA_BOOTSTRAP, or a Kafka of its own.

Both read the same topic of four partitions from its start. The bare loop polls batches of 500 and commits what it
read every 100 ms; the worker does the same and besides finds type and handler, decodes, keeps the order of 10,000
keys, runs an async handler that returns at once, and acknowledges out of order. `answering` sends one reply per
record besides, as a participant does. Latency is from the producer's call to the handler's start.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from consumers.answering import Waits
from consumers.delivery import Delivery
from consumers.worker import Worker
from consumers.worker_loop import WorkerLoop
from eventstore.clock import Clock, SystemClock
from eventstore.component import Host
from eventstore.log import open_log
from eventstore.log.partition import partition_of
from eventstore.log.port import Log, Producer
from eventstore.log.records import Position, Topic, TopicPartition
from eventstore.registry import TopicRegistry
from sagalog.broker import broker
from schemas import Event, Message, Metadata, Serde

PARTITIONS, KEYS, LATENCIES = 4, 10_000, 300


class Done(Event, name="benchmark.done"):
    """A small event."""

    order: str
    customer: str
    cents: int


@dataclass
class BenchHost:
    """What a service would give to the worker."""

    log: Log
    serde: Serde
    service: str
    slot: str = "0"
    state: Any = None
    clock: Clock = field(default_factory=SystemClock)
    address: str = ""

    def resource(self, wanted: type[Any]) -> Any:
        """Nothing is provided."""
        raise LookupError(wanted)


class Replies:
    """Answers every record with one of the same size."""

    topics: Sequence[Topic] = ()
    messages: Sequence[type[Message]] = ()

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._producer: Producer | None = None

    def open(self, host: Host, group: str, producer: Producer) -> None:
        """See `Answering`."""
        self._producer = producer

    def assigned(self, partition: TopicPartition) -> None:
        """See `Answering`."""

    def restore(self, partition: TopicPartition, seconds: float) -> bool:
        """See `Answering`."""
        return True

    def revoked(self, partition: TopicPartition) -> None:
        """See `Answering`."""

    def before(self, delivery: Delivery) -> Waits | None:
        """See `Answering`."""
        return None

    def answered(self, delivery: Delivery, value: object) -> Waits:
        """See `Answering`."""
        record = delivery.record
        assert self._producer is not None
        sent: Future[int] = self._producer.send(self._topic, record.partition, record.key, record.value, record.headers)
        return (sent,)

    def failed(self, delivery: Delivery, error: BaseException) -> Waits | None:
        """See `Answering`."""
        return None

    def close(self) -> None:
        """See `Answering`."""


class Listener:
    """Starts every partition of the bare loop at its start."""

    def __init__(self) -> None:
        self.new: list[TopicPartition] = []

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Note them."""
        self.new.extend(partitions)

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Nothing to do."""

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Nothing to do."""


def fill(log: Log, serde: Serde, topic: str, count: int) -> None:
    """Write so many records."""
    log.create([Topic(name=topic, partitions=PARTITIONS)])
    producer = log.producer()
    keys = [f"order-{number}" for number in range(KEYS)]
    raw = [(partition_of(key, PARTITIONS), key.encode(), serde.encode(_event(key))) for key in keys]
    for number in range(count):
        partition, key, value = raw[number % KEYS]
        meta = Metadata(id=str(number), type=Done.__type_name__).encode()
        producer.produce(topic, partition, key, value, (("meta", meta),))
    producer.flush(120)
    producer.close()


def _event(key: str) -> Done:
    return Done(order=key, customer="somebody of that name", cents=1_234)


def bare(log: Log, topic: str, count: int) -> float:
    """Records a second of a loop that only reads and commits."""
    listener = Listener()
    consumer = log.group(f"bare-{os.urandom(4).hex()}", [topic], listener)
    positions: dict[TopicPartition, Position] = {}
    seen, began, committed = 0, 0.0, 0.0
    while seen < count:
        batch = consumer.poll(500, 0.1)
        while listener.new:
            consumer.start(listener.new.pop(), 0)
        for record in batch.records:
            positions[TopicPartition(record.topic, record.partition)] = Position(record.offset + 1)
        seen += len(batch.records)
        now = time.perf_counter()
        began = began or (now if seen else 0.0)
        if positions and (now - committed > 0.1 or seen == count):
            committed = now
            consumer.commit(positions)
            positions.clear()
    took = time.perf_counter() - began
    consumer.close()
    return count / took


def worker(host: BenchHost, topic: str, count: int, replies: Replies | None = None) -> tuple[float, float]:
    """Records a second of a worker, and its processor time per record in µs."""
    made, seen = Worker(f"w{os.urandom(4).hex()}", topics=[topic], concurrency=20, answering=replies), [0]

    @made.on
    async def no_op(_: Done) -> None:
        seen[0] += 1

    with opened(made, host) as loop:
        while not seen[0]:
            loop.step(0.1)
        first, began, cpu = seen[0], time.perf_counter(), time.process_time()
        while seen[0] < count or loop.metrics()["jobs_in_flight"]:
            loop.step(0.1)
        took, used = time.perf_counter() - began, time.process_time() - cpu
    return (count - first) / took, used / (count - first) * 1e6


def latency(host: BenchHost, topic: str) -> tuple[float, float]:
    """p50 and p99, in ms, from the producer's call to the handler's start, one record at a time."""
    made, started = Worker(f"l{os.urandom(4).hex()}", topics=[topic], concurrency=20), list[float]()

    @made.on
    async def no_op(_: Done) -> None:
        started.append(time.perf_counter())

    host.log.create([Topic(name=topic, partitions=PARTITIONS)])
    producer, value, took = host.log.producer(), host.serde.encode(_event("k")), list[float]()
    with opened(made, host) as loop:
        while not loop.is_settled():
            loop.step(0.1)
        for number in range(LATENCIES):
            began = time.perf_counter()
            producer.produce(topic, number % PARTITIONS, b"k", value, (("meta", b'{"v":1,"id":"1"}'),))
            while len(started) <= number:
                loop.step(0.1)
            took.append((started[-1] - began) * 1000)
    producer.close()
    return statistics.median(took), statistics.quantiles(took, n=100)[98]


@contextmanager
def opened(made: Worker, host: BenchHost) -> Generator[WorkerLoop]:
    """The worker's loop, open."""
    loop = WorkerLoop(made, host)
    loop.open()
    try:
        yield loop
    finally:
        loop.stop(host.clock.monotonic() + 5)


def measure(bootstrap: str, count: int) -> dict[str, float]:
    """All figures."""
    log = open_log(f"kafka://{bootstrap}")
    run = os.urandom(4).hex()
    host = BenchHost(log, Serde(TopicRegistry(log), [Done]), f"bench-{run}")
    fill(log, host.serde, f"bench-{run}", count)
    log.create([Topic(name=f"bench-{run}-replies", partitions=PARTITIONS)])
    loop = bare(log, f"bench-{run}", count)
    rate, cpu = worker(host, f"bench-{run}", count)
    answered, answered_cpu = worker(host, f"bench-{run}", count, Replies(f"bench-{run}-replies"))
    p50, p99 = latency(host, f"bench-{run}-latency")
    log.close()
    return {
        "bare_per_second": loop,
        "worker_per_second": rate,
        "worker_cpu_us": cpu,
        "answering_per_second": answered,
        "answering_cpu_us": answered_cpu,
        "latency_p50_ms": p50,
        "latency_p99_ms": p99,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with broker() as cluster:
        figures = measure(cluster.bootstrap, options.records)
    if options.json:
        print(json.dumps(figures))
        return
    for line in _lines(figures):
        print(line)


def _lines(figures: dict[str, float]) -> Iterator[str]:
    ratio = figures["worker_per_second"] / figures["bare_per_second"]
    yield f"bare consume and commit  {figures['bare_per_second']:>10,.0f} records/s"
    yield f"worker, durable no-op    {figures['worker_per_second']:>10,.0f} records/s  {ratio:.2f} of the bare loop"
    yield f"                         {figures['worker_cpu_us']:>10.1f} µs CPU each"
    yield f"worker, a reply each     {figures['answering_per_second']:>10,.0f} records/s"
    yield f"                         {figures['answering_cpu_us']:>10.1f} µs CPU each"
    yield f"latency, one at a time   {figures['latency_p50_ms']:>10.1f} ms p50, {figures['latency_p99_ms']:.1f} ms p99"


if __name__ == "__main__":
    main()
