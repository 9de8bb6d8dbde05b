"""Loads of an aggregate: of 100 events, and of a long stream that has a snapshot.

1,000 streams of 100 small events are appended. Then the service starts anew, loads each stream once, so that nothing of
it was decoded or read by this process before, and loads the same streams again. A load reads the local index, decodes
each event and evolves by it; no decoded aggregate is kept between two loads. The operating system's page cache is
warm.

The long stream has 100,000 events. Its first load folds them all and leaves a snapshot; 100 more events follow, and
what is timed then is the snapshot and these.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.commands import Deposited
from benchmarks.figures import Figure, Target, p99
from benchmarks.setting import PEERS, RUN, Setting
from consumers import Service
from eventstore import Aggregate, EventStore, Snapshots, evolve

EVENTS, CENTS = 100, 5
LONG = "the-long-one"
_AT_ONCE = 1_000


class Sum(Aggregate[Deposited], name=f"bench_{RUN}_sum", snapshot=Snapshots(every=1_000)):
    """What is loaded."""

    cents: int = 0

    @evolve
    def deposited(self, event: Deposited) -> None:
        """Add it."""
        self.cents += event.cents


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is loaded."""

    streams: int
    long: int
    """Events of the long stream before its snapshot."""
    times: int
    """How often the long stream is loaded."""

    @classmethod
    def of(cls, setting: Setting) -> Sizes:
        """As the command line says."""
        return cls(20 if setting.quick else 1_000, setting.count(100_000, 2_000), 10 if setting.quick else 200)

    def names(self) -> list[str]:
        """The streams of 100 events."""
        return [f"account-{number:04}" for number in range(self.streams)]


@dataclass(frozen=True, slots=True)
class Loads:
    """Milliseconds of every load."""

    first: Sequence[float]
    again: Sequence[float]
    folded: float | None = None
    """The long stream without its snapshot."""
    long: Sequence[float] = ()
    """The long stream with it."""

    def figures(self, setting: Setting) -> Iterator[Figure]:
        """What people want to know. Aims are for our own engines."""
        aims = setting.engine not in PEERS
        yield Figure("load of 100 events, p50", statistics.median(self.first), "ms", target=_at_most(1, aims))
        yield Figure("load of 100 events, p99", p99(self.first), "ms")
        yield Figure("load of 100 events again, p50", statistics.median(self.again), "ms", target=_at_most(1, aims))
        if self.folded is not None:
            yield Figure("load of a long stream, all folded", self.folded, "ms")
        if self.long:
            snapshot = statistics.median(self.long)
            yield Figure("load of a long stream, snapshot, p50", snapshot, "ms", target=_at_most(5, aims))


def _at_most(milliseconds: float, aims: bool) -> Target | None:
    return Target(at_most=milliseconds) if aims else None


def measure(setting: Setting) -> list[Figure]:
    """On one of our engines."""
    return list(asyncio.run(_loads(setting, Sizes.of(setting))).figures(setting))


async def _loads(setting: Setting, sizes: Sizes) -> Loads:
    names = sizes.names()
    async with _running(setting) as store:
        for begin in range(0, len(names), 64):
            await asyncio.gather(*(_fill(store, name, EVENTS, -1) for name in names[begin : begin + 64]))
        await _fill(store, LONG, sizes.long, -1)
    async with _running(setting) as store:
        first = [await _load(store, name, EVENTS) for name in names]
        again = [await _load(store, name, EVENTS) for name in names]
        folded = await _load(store, LONG, sizes.long)
        await _fill(store, LONG, EVENTS, sizes.long - 1)
        long = [await _load(store, LONG, sizes.long + EVENTS) for _ in range(sizes.times)]
    return Loads(first, again, folded, long)


@asynccontextmanager
async def _running(setting: Setting) -> AsyncGenerator[EventStore[Deposited]]:
    store = EventStore(f"bench_{RUN}_loads", events=[Deposited])
    async with Service(f"bench-{RUN}-loads", components=[store], log=setting.url, state=setting.state) as service:
        await service.settled()
        yield store


async def _fill(store: EventStore[Deposited], stream: str, count: int, version: int) -> None:
    events = [Deposited(cents=CENTS)] * count
    for begin in range(0, count, _AT_ONCE):
        appended = await store.append(stream, events[begin : begin + _AT_ONCE], expected=version)
        version = appended.version


async def _load(store: EventStore[Deposited], stream: str, events: int) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    found = await store.load(Sum, stream)
    took = (time.perf_counter() - began) * 1_000
    assert found.cents == events * CENTS, f"{stream} has {found.cents} cents"
    return took
