"""Appends with an expected version: how long one takes, and how many a second by 64 callers.

Each caller appends one small event after the other to a stream of its own and knows its version. The bare loop writes
as many records as there are callers in one transaction, with a group's positions, and one RocksDB row each. A
single-node Kafka acknowledges from the page cache. On an embedded engine the bare loop writes the records to RocksDB in
one batch, syncs it if the engine does, and then writes a row each to another one.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from rocksdict import WriteBatch

from benchmarks.bare import API_S, META, consumer_of, create, opened, transactor_of
from benchmarks.bare import commit as commit_bare
from benchmarks.commands import Deposited
from benchmarks.figures import Figure, Target
from benchmarks.setting import PARTITIONS, RUN, Setting
from consumers import Service
from eventstore import EventStore

CALLERS = 64
WANTED: Final[Mapping[str, int]] = {"embedded": 30_000, "memory": 30_000}
"""Appends a second by 64 callers, on engines where more is wanted than on Kafka and with a disk that is synced."""


def measure(setting: Setting) -> list[Figure]:
    """One caller, then 64."""
    seconds = 1.0 if setting.quick else 8.0
    loop = _bare if setting.bootstrap else _bare_folder
    bare = {} if setting.engine == "memory" else {each: loop(setting, each, seconds / 2) for each in (1, CALLERS)}
    ours = asyncio.run(_appends(setting, seconds))
    wanted = WANTED.get(setting.engine, 10_000)
    return [
        figure
        for callers, took in ours.items()
        for figure in _figures(callers, took, bare.get(callers), seconds, wanted)
    ]


def _figures(
    callers: int, took: list[float], bare: tuple[float, list[float]] | None, seconds: float, wanted: int
) -> Iterator[Figure]:
    label = "1 caller" if callers == 1 else f"{callers} callers"
    p50, p99 = _percentiles(took)
    bare_rate, bare_p50, bare_p99 = (None, None, None) if bare is None else (bare[0], *_percentiles(bare[1]))
    yield Figure(f"append p50, {label}", p50, "ms", bare_p50, Target(at_most=8) if callers == 1 else None)
    yield Figure(f"append p99, {label}", p99, "ms", bare_p99)
    yield Figure(
        f"appends, {label}", len(took) / seconds, "/s", bare_rate, None if callers == 1 else Target(at_least=wanted)
    )


def _percentiles(took: list[float]) -> tuple[float, float]:
    return statistics.median(took), statistics.quantiles(took, n=100)[98]


async def _appends(setting: Setting, seconds: float) -> dict[int, list[float]]:
    """Milliseconds of every append, by the number of callers."""
    store = EventStore(f"bench_{RUN}_accounts", events=[Deposited])
    found: dict[int, list[float]] = {}
    async with Service(f"bench-{RUN}", components=[store], log=setting.url, state=setting.state) as service:
        await service.settled()
        for callers in (1, CALLERS):
            names = [f"account-{callers}-{number}" for number in range(callers)]
            await asyncio.gather(*(_caller(store, f"warm-{name}", time.perf_counter() + 0.3) for name in names))
            end = time.perf_counter() + seconds
            took = await asyncio.gather(*(_caller(store, name, end) for name in names))
            found[callers] = [one for each in took for one in each]
    return found


async def _caller(store: EventStore[Deposited], stream: str, end: float) -> list[float]:
    took: list[float] = []
    version = -1
    while (began := time.perf_counter()) < end:
        appended = await store.append(stream, [Deposited(cents=version + 5)], expected=version)
        version = appended.version
        took.append((time.perf_counter() - began) * 1_000)
    return took


def _bare(setting: Setting, callers: int, seconds: float) -> tuple[float, list[float]]:
    """Records a second, and milliseconds of every transaction of so many records."""
    topic, took = f"bare-{RUN}-append-{callers}", list[float]()
    create(setting.bootstrap, topic)
    consumer, producer = consumer_of(setting.bootstrap, topic), transactor_of(setting.bootstrap, f"{topic}-tx")
    state = opened(Path(setting.folder) / topic)
    while len(consumer.assignment()) < PARTITIONS:
        consumer.poll(0.1)
    number, end = 0, time.perf_counter() + 1 + seconds
    while (began := time.perf_counter()) < end:
        producer.begin_transaction()
        for caller in range(callers):
            place = caller % PARTITIONS
            producer.produce(
                topic, b"a small event", b"account-%d/%d" % (caller, number), place, headers=[("meta", b"{}" * 60)]
            )
        commit_bare(producer, consumer, dict.fromkeys(range(min(callers, PARTITIONS)), number), topic)
        for caller in range(callers):
            state[b"account-%d/%d" % (caller, number)] = b"a small event"
        number += 1
        if began > end - seconds:
            took.append((time.perf_counter() - began) * 1_000)
    producer.flush(API_S)
    consumer.close()
    state.close()
    return callers * len(took) / seconds, took


def _bare_folder(setting: Setting, callers: int, seconds: float) -> tuple[float, list[float]]:
    """The same for an embedded engine: records a second, and milliseconds of so many."""
    took, is_synced = list[float](), setting.engine.endswith("fsync")
    log, state = (opened(Path(setting.folder) / f"bare-{name}-{callers}") for name in ("log", "state"))
    number, end = 0, time.perf_counter() + 0.5 + seconds
    while (began := time.perf_counter()) < end:
        records, rows = WriteBatch(raw_mode=True), WriteBatch(raw_mode=True)
        for caller in range(callers):
            key = b"account-%d/%d" % (caller, number)
            records.put(b"R%d/%d" % (caller, number), key + META + b"a small event")
            rows.put(key, META + b"a small event")
        log.write(records)
        if is_synced:
            log.flush_wal(True)
        state.write(rows)
        number += 1
        if began > end - seconds:
            took.append((time.perf_counter() - began) * 1_000)
    log.close()
    state.close()
    return callers * len(took) / seconds, took
