"""Read sagas' histories straight from the log, without a service that runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

from eventstore.event_records import RecordUnreadable, place_of
from eventstore.log import open_log
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.log.records import Record, TopicPartition
from eventstore.processor.topics import events_of
from eventstore.registry_choice import open_registry
from sagas import history
from sagas.errors import SagaNotFound
from sagas.timeline import Happened
from schemas import Event, Serde

RECORDS_AT_ONCE = 2_000
READ_SECONDS = 0.5

EVENTS: tuple[type[Event], ...] = tuple(
    each for each in vars(history).values() if isinstance(each, type) and issubclass(each, Event) and each is not Event
)
"""All types of events in a saga's history."""


async def saga_history(url: str, saga: str, key: str) -> list[Happened]:
    """All that happened to one saga.

    Raises:
        SagaNotFound: no saga was started under this key.
        LogError: the log cannot be read.
    """
    return await asyncio.to_thread(_history_at, url, saga, key)


def _history_at(url: str, saga: str, key: str) -> list[Happened]:
    log = open_log(url)
    try:
        return read_history(log, saga, key)
    finally:
        log.close()


def read_history(log: Log, saga: str, key: str) -> list[Happened]:
    """As `saga_history`, on an open log. Reads the partition of the key to its end."""
    topic = events_of(saga)
    described = log.describe([topic]).get(topic)
    if described is None:
        raise SagaNotFound(saga, key)
    at = TopicPartition(topic, partition_of(key, described.partitions))
    found = [happened for name, happened in read_histories(log, [at]) if name == key]
    if not found:
        raise SagaNotFound(saga, key)
    return found


def read_histories(log: Log, partitions: list[TopicPartition]) -> Iterator[tuple[str, Happened]]:
    """Key and event of everything in these partitions of a saga's events, in order per saga."""
    registry = open_registry(log)
    serde = Serde(registry, EVENTS)
    ends = log.end_positions(partitions)
    reader = log.reader(log.start_positions(partitions))
    try:
        while any(reader.position(at) < end for at, end in ends.items()):
            for record in reader.read(RECORDS_AT_ONCE, READ_SECONDS):
                if record.value is not None:
                    yield _happened(serde, record, record.value)
    finally:
        reader.close()
        registry.close()


def _happened(serde: Serde, record: Record, value: bytes) -> tuple[str, Happened]:
    saga, version = place_of(record)
    event = serde.decode(value)
    if not isinstance(event, Event):
        raise RecordUnreadable(record.topic, record.partition, record.offset, f"{event.__type_name__} is no event")
    return saga, Happened(version, datetime.fromtimestamp(record.timestamp_ms / 1000, UTC), event)
