"""The bare loop of the stateful workload: count and sum per key, exactly once, with an output for each record.

It commits every 100 ms. A transaction holds the outputs, one changelog record for each key that changed and the group's
positions; what is written then to RocksDB is a row for each of these keys.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from confluent_kafka import Consumer, Producer
from rocksdict import Rdict, WriteBatch

from benchmarks.bare import API_S, Loop, commit, consumer_of, create, opened, transactor_of
from benchmarks.setting import Stopwatch

COMMIT_S, LIMIT = 0.1, 10_000
Totals = dict[str, tuple[int, int]]
"""Count and sum by sensor."""


class _Measured(msgspec.Struct):
    sensor: str
    amount: int


def totals_loop(
    bootstrap: str, folder: Path, topic: str, count: int, *, has_joining: bool = False
) -> tuple[Loop, Totals]:
    """How fast it was, and what it computed: timed from its first commit, or from before it joins its group."""
    outputs, changelog = f"{topic}-bare-outputs", f"{topic}-bare-changelog"
    create(bootstrap, outputs, changelog)
    producer, state, totals = transactor_of(bootstrap, f"{topic}-bare"), opened(folder), Totals()
    watch, before = Stopwatch(), 0
    consumer = consumer_of(bootstrap, topic)
    seen, is_first = 0, not has_joining
    while seen < count:
        step = _Transaction(consumer, producer, totals, outputs)
        seen += step.handle(count - seen)
        if not step.positions:
            producer.abort_transaction(API_S)
            continue
        step.commit(topic, changelog, state)
        if is_first:
            watch, before, is_first = Stopwatch(), seen, False
    took = Loop((count - before) / watch.seconds, watch.cpu / max(1, count - before) * 1e6)
    consumer.close()
    state.close()
    return took, totals


@dataclass(slots=True)
class _Transaction:
    consumer: Consumer
    producer: Producer
    totals: Totals
    outputs: str
    dirty: dict[str, int] = field(default_factory=dict[str, int])
    """The partition of each sensor that changed."""
    positions: dict[int, int] = field(default_factory=dict[int, int])

    def handle(self, most: int) -> int:
        """Records for a tenth of a second; how many."""
        decode, encode = msgspec.json.Decoder(_Measured).decode, msgspec.json.Encoder().encode
        consumer, produce, totals, outputs = self.consumer, self.producer.produce, self.totals, self.outputs
        dirty, positions, seen = self.dirty, self.positions, 0
        self.producer.begin_transaction()
        began = time.perf_counter()
        while seen < most and time.perf_counter() - began < COMMIT_S:
            first = consumer.poll(0.01)
            for message in [first, *consumer.consume(LIMIT - 1, 0)] if first is not None else []:
                value, partition = message.value(), message.partition() or 0
                assert value is not None
                event = decode(value[5:])
                known, amount = totals.get(event.sensor, (0, 0))
                totals[event.sensor] = row = known + 1, amount + event.amount
                produce(outputs, encode(row), event.sensor, partition)
                dirty[event.sensor] = partition
                positions[partition] = (message.offset() or 0) + 1
                seen += 1
        return seen

    def commit(self, topic: str, changelog: str, state: Rdict) -> None:
        """Changelog, positions, rows."""
        encode: Callable[[object], bytes] = msgspec.json.Encoder().encode
        batch = WriteBatch(raw_mode=True)
        for sensor, partition in self.dirty.items():
            key, value = sensor.encode(), encode(self.totals[sensor])
            self.producer.produce(changelog, value, key, partition)
            batch.put(key, value)
        commit(self.producer, self.consumer, self.positions, topic)
        state.write(batch)
