"""The stateful workload: count and sum per key of JSON events of 140 bytes, 10,000 keys, 4 partitions, by a view.

Both are timed from joining their group to the last event. The bare loop does it exactly once, with one output for each
event: it commits every 100 ms, and its transaction holds the outputs, one changelog record for each key that changed
and the group's positions; then it writes the rows to RocksDB. A view has no outputs, and needs no changelog, because
its topic is one: rows and positions are one write. What both computed is compared.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
from rocksdict import WriteBatch

from benchmarks.bare import API_S, Loop, commit, consumer_of, create, opened, transactor_of
from benchmarks.figures import Figure, Target
from benchmarks.setting import RUN, Setting, Stopwatch
from benchmarks.view import TOPIC, Measured, produce, run_view
from eventstore.log import open_log
from schemas import MemoryRegistry, Serde

COMMIT_S, LIMIT = 0.1, 10_000
Rows = dict[str, tuple[int, int]]


class _Measured(msgspec.Struct):
    sensor: str
    amount: int


def measure(setting: Setting) -> list[Figure]:
    """The bare loop, then the view."""
    count = setting.count(200_000, 5_000)
    serde = Serde(MemoryRegistry(), [Measured], format="json")
    log = open_log(setting.url)
    produce(log, serde, count)
    bare, expected = _bare(setting.bootstrap, setting.folder / "bare", count) if setting.bootstrap else (None, None)
    watch = Stopwatch()
    rows = run_view(setting.url, setting.folder / "view", count, serde)
    seconds, cpu = watch.seconds, watch.cpu
    log.close()
    assert expected in (None, rows), "the view and the bare loop disagree"
    aim = Target(ratio=0.5) if bare else Target(at_least=100_000)
    return [
        Figure("view, stateful workload", count / seconds, "/s", bare.per_second if bare else None, aim),
        Figure("processor time of an event", cpu / count * 1e6, "µs", bare.cpu_us if bare else None),
    ]


def _bare(bootstrap: str, folder: Path, count: int) -> tuple[Loop, Rows]:
    changelog, outputs = f"bare-{RUN}-changelog", f"bare-{RUN}-outputs"
    create(bootstrap, changelog, outputs)
    producer, state = transactor_of(bootstrap, f"{changelog}-tx"), opened(folder)
    decode, encode = msgspec.json.Decoder(_Measured).decode, msgspec.json.Encoder().encode
    rows: Rows = {}
    watch, seen = Stopwatch(), 0
    consumer = consumer_of(bootstrap, TOPIC)
    while seen < count:
        dirty: dict[str, int] = {}
        positions: dict[int, int] = {}
        producer.begin_transaction()
        began = time.perf_counter()
        while seen < count and time.perf_counter() - began < COMMIT_S:
            first = consumer.poll(0.01)
            for message in [first, *consumer.consume(LIMIT - 1, 0)] if first is not None else []:
                value, partition = message.value(), message.partition() or 0
                assert value is not None
                event = decode(value[5:])
                known, amount = rows.get(event.sensor, (0, 0))
                rows[event.sensor] = row = known + 1, amount + event.amount
                producer.produce(outputs, encode(row), event.sensor, partition)
                dirty[event.sensor] = partition
                positions[partition] = (message.offset() or 0) + 1
                seen += 1
        encoded = {sensor.encode(): encode(rows[sensor]) for sensor in dirty}
        for (key, value), partition in zip(encoded.items(), dirty.values(), strict=True):
            producer.produce(changelog, value, key, partition)
        if not positions:
            producer.abort_transaction(API_S)
            continue
        commit(producer, consumer, positions, TOPIC)
        batch = WriteBatch(raw_mode=True)
        for key, value in encoded.items():
            batch.put(key, value)
        state.write(batch)
    took = Loop(count / watch.seconds, watch.cpu / count * 1e6)
    consumer.close()
    state.close()
    return took, rows
