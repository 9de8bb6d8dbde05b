"""Appends by 1, 16 and 64 writers, and loads, on one of our engines or on another event store.

Ours have asyncio tasks as writers, the others threads, because their calls block.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import cast

from benchmarks import loads
from benchmarks.commands import Deposited
from benchmarks.figures import Figure, Target, p99
from benchmarks.loads import CENTS, EVENTS, LONG, Loads, Sizes
from benchmarks.peers.store import PeerStore
from benchmarks.peers.writing import WARM_UP_S, Appends, by_threads
from benchmarks.setting import PEERS, RUN, Engine, Peer, Setting
from consumers import Service
from eventstore import EventStore

WRITERS = (1, 16, 64)
_SYNCED: dict[Engine, str] = {
    "kafka": "nothing (page cache of one node)",
    "embedded": "nothing (page cache)",
    "embedded-fsync": "each group of appends",
    "memory": "nothing",
}
_AIMS: dict[Engine, float] = {"kafka": 10_000, "embedded": 30_000, "embedded-fsync": 10_000}


def measure(setting: Setting) -> list[Figure]:
    """Everything of one store."""
    if setting.engine in PEERS:
        with opened(setting.engine, setting) as store:
            return [*figures_of(store, setting)]
    engine = cast("Engine", setting.engine)
    took = asyncio.run(_appends(setting, _seconds(setting)))
    appends = [each for writers in WRITERS for each in _figures(writers, took[writers], setting, _SYNCED[engine])]
    return [*appends, *loads.measure(setting)]


def opened(peer: Peer, setting: Setting) -> AbstractContextManager[PeerStore]:
    """The store. Its module is imported only now, because it may not be installed."""
    if peer == "umadb":
        from benchmarks.peers.uma import on_umadb

        return on_umadb(setting.folder)
    from benchmarks.peers.library import on_postgresql, on_sqlite

    return on_sqlite(setting.folder) if peer == "eventsourcing-sqlite" else on_postgresql(setting.folder)


def figures_of(store: PeerStore, setting: Setting) -> Iterator[Figure]:
    """Everything of another store."""
    for writers in WRITERS:
        names = [f"account-{writers}-{number}" for number in range(writers)]
        took = by_threads([store.writer(name) for name in names], _seconds(setting))
        yield from _figures(writers, took, setting, store.synced)
    yield from _loads(store, Sizes.of(setting)).figures(setting)


def _seconds(setting: Setting) -> float:
    return 1.0 if setting.quick else 8.0


def _figures(writers: int, found: Appends, setting: Setting, synced: str) -> Iterator[Figure]:
    label = "1 writer" if writers == 1 else f"{writers} writers"
    aim = _AIMS.get(cast("Engine", setting.engine)) if writers == 64 else None
    target = None if aim is None else Target(at_least=aim)
    yield Figure(f"appends, {label}", len(found.took) / found.seconds, "/s", target=target, synced=synced)
    yield Figure(f"append p50, {label}", statistics.median(found.took), "ms", synced=synced)
    yield Figure(f"append p99, {label}", p99(found.took), "ms", synced=synced)


async def _appends(setting: Setting, seconds: float) -> dict[int, Appends]:
    """Appends of ours, by the number of writers."""
    store = EventStore(f"bench_{RUN}_beside", events=[Deposited])
    found: dict[int, Appends] = {}
    async with Service(f"bench-{RUN}-beside", components=[store], log=setting.url, state=setting.state) as service:
        await service.settled()
        for writers in WRITERS:
            names = [f"account-{writers}-{number}" for number in range(writers)]
            found[writers] = await _writers(store, names, seconds)
    return found


async def _writers(store: EventStore[Deposited], names: Sequence[str], seconds: float) -> Appends:
    versions = dict.fromkeys(names, -1)
    await asyncio.gather(*(_writer(store, versions, name, WARM_UP_S) for name in names))
    began = time.perf_counter()
    each = await asyncio.gather(*(_writer(store, versions, name, seconds) for name in names))
    return Appends([one for took in each for one in took], time.perf_counter() - began)


async def _writer(store: EventStore[Deposited], versions: dict[str, int], stream: str, seconds: float) -> list[float]:
    took: list[float] = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        appended = await store.append(stream, [Deposited(cents=CENTS)], expected=versions[stream])
        versions[stream] = appended.version
        took.append((time.perf_counter() - began) * 1_000)
    return took


def _loads(store: PeerStore, sizes: Sizes) -> Loads:
    """Milliseconds of the loads of another store."""
    names = sizes.names()
    for name in names:
        store.fill(name, EVENTS)
    store.reopen()
    first = [_load(store, name, EVENTS) for name in names]
    again = [_load(store, name, EVENTS) for name in names]
    store.fill(LONG, sizes.long)
    folded = _load(store, LONG, sizes.long)
    if not store.take_snapshot(LONG):
        return Loads(first, again, folded)
    store.fill(LONG, EVENTS, since=sizes.long)
    return Loads(first, again, folded, [_load(store, LONG, sizes.long + EVENTS) for _ in range(sizes.times)])


def _load(store: PeerStore, stream: str, events: int) -> float:
    began = time.perf_counter()
    cents = store.load(stream)
    took = (time.perf_counter() - began) * 1_000
    assert cents == events * CENTS, f"{stream} has {cents} cents"
    return took
