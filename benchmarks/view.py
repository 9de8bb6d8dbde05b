"""The stateful workload by a view, beside a bare confluent-kafka + rocksdict loop, in one run.

Count and sum per key: JSON events of about 140 bytes, 10,000 keys, 4 partitions. Both read the same topic from its
start, write rows and positions to RocksDB in batches, and end when they have seen all events. Run it: `python -m
benchmarks.view [--events N] [--json]`.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import msgspec
from confluent_kafka import Consumer, TopicPartition
from pydantic import BaseModel
from rocksdict import Options, Rdict, WriteBatch

from consumers.table import Table
from consumers.view import View, on
from consumers.view_loop import ViewLoop
from eventstore.log import open_log
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.log.records import Topic
from eventstore.process_host import make_host
from sagalog.broker import broker
from schemas import Event, MemoryRegistry, Metadata, Serde

TOPIC, PARTITIONS, KEYS = f"measured-{os.urandom(3).hex()}.events", 4, 10_000
BATCH_ROWS = 1_000


class Measured(Event, name="measured"):
    """About 140 bytes as JSON."""

    sensor: str
    amount: int
    site: str
    unit: str
    quality: str
    note: str


class Total(BaseModel, frozen=True):
    """A row."""

    count: int = 0
    amount: int = 0


class Totals(View, topics=[TOPIC]):
    """What is measured."""

    by_sensor: Table[str, Total]

    @on
    def measured(self, event: Measured) -> None:
        row = self.by_sensor.get(event.sensor)
        if row is None:
            self.by_sensor[event.sensor] = Total(count=1, amount=event.amount)
        else:
            self.by_sensor[event.sensor] = Total(count=row.count + 1, amount=row.amount + event.amount)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run gave."""

    events: int
    bare_events_per_s: float
    bare_us_per_event: float
    """Processor time of the process, its client's threads included."""
    view_events_per_s: float
    view_us_per_event: float
    ratio: float


def produce(log: Log, serde: Serde, events: int) -> None:
    """Write the events, spread over the keys."""
    log.create([Topic(name=TOPIC, partitions=PARTITIONS)])
    places = {f"sensor-{n:05}": partition_of(f"sensor-{n:05}", PARTITIONS) for n in range(KEYS)}
    sensors, random = list(places), Random(1)
    producer = log.producer()
    for number in range(events):
        sensor = sensors[random.randrange(KEYS)]
        event = Measured(
            sensor=sensor, amount=number % 1_000, site="north-07", unit="kWh", quality="good", note="automatic reading"
        )
        meta = Metadata(id=f"{number:08}").encode()
        producer.produce(TOPIC, places[sensor], f"{sensor}/{number}".encode(), serde.encode(event), [("meta", meta)])
        if number % 1_000 == 0:
            producer.poll(0)
    producer.flush(120)
    producer.close()


def run_bare(bootstrap: str, folder: Path, events: int) -> dict[str, tuple[int, int]]:
    """The least that does the same."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bare",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "queued.min.messages": 100_000,
            "fetch.queue.backoff.ms": 1,
        }
    )
    consumer.assign([TopicPartition(TOPIC, number, 0) for number in range(PARTITIONS)])
    state = Rdict(str(folder), Options(raw_mode=True))
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
    rows: dict[str, tuple[int, int]] = {}
    seen = 0
    while seen < events:
        dirty: dict[str, None] = {}
        positions: dict[int, int] = {}
        for message in consumer.consume(BATCH_ROWS, 0.5):
            value = message.value()
            assert value is not None
            event = decode(value[5:])
            count, amount = rows.get(event["sensor"], (0, 0))
            rows[event["sensor"]] = count + 1, amount + event["amount"]
            dirty[event["sensor"]] = None
            positions[message.partition() or 0] = (message.offset() or 0) + 1
            seen += 1
        batch = WriteBatch(raw_mode=True)
        for sensor in dirty:
            batch.put(sensor.encode(), encode(rows[sensor]))
        for partition, position in positions.items():
            batch.put(b"p%d" % partition, b"%d" % position)
        state.write(batch)
    state.close()
    consumer.close()
    return rows


def run_view(url: str, folder: Path, events: int, serde: Serde) -> dict[str, tuple[int, int]]:
    """The view, as a service runs it, on this thread."""
    log = open_log(url)
    host = make_host("bench", log, state=str(folder))
    object.__setattr__(host, "serde", serde)
    loop = ViewLoop(Totals.__view__, host)
    loop.open()
    while not (loop.is_ready() and loop.metrics()["view_events_total"] >= events):
        loop.step(0.1)
    rows = {key: (row.count, row.amount) for number in range(PARTITIONS) for key, row in _rows(loop, number)}
    loop.stop(time.monotonic() + 5)
    log.close()
    return rows


def _rows(loop: ViewLoop, number: int) -> list[tuple[str, Total]]:
    partition = loop.partition(number)
    assert partition is not None
    table = Totals.by_sensor
    stem = len(b"\x01rby_sensor\0")
    found = partition.scan(b"\x01r", b"\x01s", KEYS)
    return [(table.keys.decode(key[stem:]), table.values.decode(value)) for key, value in found]


def measure(events: int) -> Figures:
    """Run both on a broker of their own, compare what they computed, and give the figures."""
    with broker() as cluster, TemporaryDirectory() as folder:
        url = f"kafka://{cluster.bootstrap}"
        log = open_log(url)
        serde = Serde(MemoryRegistry(), [Measured], format="json")
        produce(log, serde, events)
        log.close()
        bare, bare_s, bare_cpu = _timed(lambda: run_bare(cluster.bootstrap, Path(folder) / "bare", events))
        view, view_s, view_cpu = _timed(lambda: run_view(url, Path(folder) / "view", events, serde))
        assert bare == view, "the view and the bare loop disagree"
    return Figures(
        events=events,
        bare_events_per_s=round(events / bare_s),
        bare_us_per_event=round(bare_cpu / events * 1e6, 2),
        view_events_per_s=round(events / view_s),
        view_us_per_event=round(view_cpu / events * 1e6, 2),
        ratio=round(bare_s / view_s, 2),
    )


def _timed(call: Callable[[], dict[str, tuple[int, int]]]) -> tuple[dict[str, tuple[int, int]], float, float]:
    began, cpu = time.perf_counter(), time.process_time()
    found = call()
    return found, time.perf_counter() - began, time.process_time() - cpu


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = measure(arguments.events)
    if arguments.json:
        print(json.dumps(asdict(figures)))
        return
    for name, value in asdict(figures).items():
        print(f"{name:22} {value:>12,}")


if __name__ == "__main__":
    main()
