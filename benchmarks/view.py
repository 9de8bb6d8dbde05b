"""The view of the stateful workload, and its events: JSON of about 140 bytes, 10,000 keys, 4 partitions."""

from __future__ import annotations

import os
import time
from pathlib import Path
from random import Random

from pydantic import BaseModel

from benchmarks.readings import KEYS, SENSORS, Reading, reading
from consumers.table import Table
from consumers.view import View, on
from consumers.view_loop import ViewLoop
from eventstore.hosting import collect_less_often
from eventstore.log import open_log
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.log.records import Topic
from eventstore.process_host import make_host
from schemas import Event, Metadata, Serde

TOPIC, PARTITIONS = f"measured-{os.urandom(3).hex()}.events", 4


class Measured(Reading, Event, name="measured"):
    """A sensor was read."""


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


def produce(log: Log, serde: Serde, events: int) -> None:
    """Write the events, spread over the keys."""
    log.create([Topic(name=TOPIC, partitions=PARTITIONS)])
    places, random = {sensor: partition_of(sensor, PARTITIONS) for sensor in SENSORS}, Random(1)
    producer = log.producer()
    for number in range(events):
        sensor = SENSORS[random.randrange(KEYS)]
        event = reading(Measured, sensor, number % 1_000)
        meta = Metadata(id=f"{number:08}").encode()
        producer.produce(TOPIC, places[sensor], f"{sensor}/{number}".encode(), serde.encode(event), [("meta", meta)])
        if number % 1_000 == 0:
            producer.poll(0)
    producer.flush(120)
    producer.close()


def run_view(url: str, folder: Path, events: int, serde: Serde) -> dict[str, tuple[int, int]]:
    """The view, as a service runs it, on this thread."""
    collect_less_often()
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
