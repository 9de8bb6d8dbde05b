"""E2, S7: the cleaner of each engine runs to the end. What was erased is gone, everything alive survives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from eventstore.expected import ANY, NO_STREAM
from eventstore.log.local.log import LocalLog
from eventstore.log.records import Record, TopicPartition
from eventstore.processor.tombstones import TOMBSTONES_AT_ONCE
from eventstore.processor.topics import state_of
from eventstore.store import EventStore
from eventstore.streams import Recorded
from sagalog.broker import broker
from tests.eventstore.snapshots.ledgers import Ledger
from tests.eventstore.streams.accounts import Deposited, Opened, collect, deposits
from tests.waiting import eventually_async

Accounts = EventStore[Opened | Deposited]

EAGER = {
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0",
    "max.compaction.lag.ms": "100",
    "delete.retention.ms": "100",
    "file.delete.delay.ms": "100",
}
"""Settings with which Kafka's cleaner runs at once, and soon forgets tombstones and replaced segments."""
SECRET = "marked-as-erased-9b41"
KEPT = "marked-as-kept-77c0"
EVENTS = TOMBSTONES_AT_ONCE + 50


class Engine(NamedTuple):
    """A store on an engine, again and again, and how that engine's cleaner is brought to run."""

    make: Callable[[], Accounts]
    clean: Callable[[Accounts], Awaitable[None]]
    segments: Path | None
    """Where the log's bytes are, if they are files that can be looked into."""


async def _compacted(store: Accounts) -> None:
    log = store._running().host.log
    assert isinstance(log, LocalLog)
    for _ in range(2):
        log.compact(tombstone_age=timedelta())


async def _rolled(store: Accounts) -> None:
    """Kafka's cleaner runs by itself, but not on the newest segment: an append to each topic ends that one."""
    await store.append("rolling", deposits(0), expected=ANY)
    await store.delete("never", expected=ANY)


@pytest.fixture(params=["memory", "embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
async def engine(
    request: pytest.FixtureRequest, unique: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Engine]:
    """Each engine; Kafka with a folder of its own, whose files are looked into."""
    monkeypatch.chdir(tmp_path)
    name = unique("accounts")

    def on(log: str) -> Callable[[], Accounts]:
        return lambda: EventStore(name, events=[Opened, Deposited], log=log, partitions=1)

    match request.param:
        case "memory":
            yield Engine(on(f"memory://{name}"), _compacted, None)
        case "embedded":
            yield Engine(on(f"embedded://{tmp_path / 'log'}"), _compacted, None)
        case _:
            folder = tmp_path / "kafka"
            with broker(folder=folder, provider="local") as cluster:
                yield Engine(on(f"kafka://{cluster.bootstrap}"), _rolled, folder)


async def test_the_cleaner_leaves_what_is_alive_and_nothing_that_was_erased(engine: Engine) -> None:
    """A deleted stream, a truncated one and a whole one, before the cleaner, after it, and from the topics alone."""
    async with engine.make() as store:
        log = store._running().host.log
        for topic in (store.topic, state_of(store.name)):
            log.configure(topic, EAGER)
        for stream in ("deleted", "truncated", "whole"):
            await store.append(stream, [Opened(owner=SECRET if stream != "whole" else KEPT)], expected=NO_STREAM)
            await store.append(stream, deposits(*range(1, EVENTS)), expected=0)
        assert (await store.load(Ledger, "deleted")).owner == SECRET  # a snapshot holds it now
        alive = [await collect(store.read("truncated", after=EVENTS - 3)), await collect(store.read("whole"))]
        assert engine.segments is None or _holds(engine.segments, SECRET)

        await store.delete("deleted", expected=EVENTS - 1)
        await store.truncate("truncated", before=EVENTS - 2, expected=ANY)

        async def is_gone() -> bool:
            await engine.clean(store)
            found = _records(store)
            assert not [(one.key, one.offset, one.value is None) for one in found if _is_erased(one)]
            return engine.segments is None or not _holds(engine.segments, SECRET)

        await eventually_async(is_gone, 90)
        assert await _contents(store) == alive
        assert engine.segments is None or _holds(engine.segments, KEPT)

    async with engine.make() as restored:
        assert [one.key for one in _records(restored) if _is_erased(one)] == []
        assert await _contents(restored) == alive
        assert (await restored.append("deleted", deposits(1), expected=NO_STREAM)).version == EVENTS
        assert (await restored.append("truncated", deposits(1), expected=EVENTS - 1)).version == EVENTS
        assert [one.version async for one in restored.read("deleted")] == [EVENTS]


async def _contents(store: Accounts) -> list[list[Recorded[Opened | Deposited]]]:
    assert await collect(store.read("deleted")) == []
    return [await collect(store.read(stream)) for stream in ("truncated", "whole")]


def _is_erased(record: Record) -> bool:
    """Whether it is an erased event, or the tombstone of one."""
    stream, _, version = (record.key or b"").decode().rpartition("/")
    return stream == "deleted" or (stream == "truncated" and int(version) < EVENTS - 2)


def _records(store: Accounts) -> list[Record]:
    """Everything that the partition holds, as a read-uncommitted reader sees it from the start."""
    at, log, found = TopicPartition(store.topic, 0), store._running().host.log, list[Record]()
    end = log.end_positions([at], isolation="uncommitted")[at]
    reader = log.reader({at: 0}, isolation="uncommitted")
    try:
        while reader.position(at) < end:
            found += reader.read(5_000, 1.0)
    finally:
        reader.close()
    return found


def _holds(folder: Path, text: str) -> bool:
    """Whether a file of the folder holds the text."""
    return any(text.encode() in _bytes(path) for path in folder.rglob("*") if path.is_file())


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # the broker removes files while they are looked at
        return b""
