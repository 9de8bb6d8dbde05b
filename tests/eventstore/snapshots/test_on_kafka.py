"""E3 on a real Kafka."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from eventstore.log.port import Log
from eventstore.log.records import TopicPartition
from eventstore.processor.snapshots import snapshot_key
from eventstore.processor.topics import state_of
from eventstore.store import EventStore
from tests.eventstore.processor.counters import records_of
from tests.eventstore.snapshots.ledgers import fill, loaded
from tests.eventstore.streams.accounts import Deposited, Opened, deposits
from tests.waiting import eventually

pytestmark = pytest.mark.kafka

EAGER = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0", "max.compaction.lag.ms": "100"}


async def test_a_wiped_folder_comes_back_with_the_newest_snapshot(
    kafka: str, unique: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compaction keeps one per key; a later process that has nothing but the topics folds no event."""
    monkeypatch.chdir(tmp_path)
    name = unique("accounts")

    def make() -> EventStore[Opened | Deposited]:
        return EventStore(name, events=[Opened, Deposited], log=f"kafka://{kafka}", partitions=1)

    async with make() as store:
        log = store._running().host.log
        log.configure(state_of(name), EAGER)
        for _ in range(3):
            await fill(store, 150)
            await loaded(store._reader())
        assert written(log, name) > 3

        def is_compacted() -> bool:
            producer = log.producer()  # Kafka cleans no segment before a record comes behind it
            producer.produce(state_of(name), 0, b"d-nobody", None, ())
            producer.flush()
            producer.close()
            return kept(log, name) == 1

        eventually(is_compacted, 60)

    shutil.rmtree(tmp_path / ".sagalog")
    async with make() as store:
        assert await loaded(store._reader()) == (450, 449, 0)
        await store.append("a", deposits(7), expected=449)
        assert await loaded(store._reader(), consistent=True) == (457, 450, 1)


def kept(log: Log, name: str) -> int:
    """How many snapshots of the stream the topic holds."""
    return [record.key for record in records_of(log, state_of(name))].count(snapshot_key(b"a", "ledger"))


def written(log: Log, name: str) -> int:
    """How many records the topic ever took."""
    at = TopicPartition(state_of(name), 0)
    return log.end_positions([at])[at]
