"""Look at the streams of a store, straight from the topic: nobody has to serve it, and no type has to be known."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import msgspec

from eventstore.bounds import Bounds
from eventstore.erased import ErasedStreams
from eventstore.event_records import stream_and_version, stream_text
from eventstore.log import Log
from eventstore.log.errors import TopicMissing
from eventstore.log.partition import partition_of
from eventstore.log.records import TopicPartition
from eventstore.processor.topics import events_of
from eventstore.scanning import Scan
from eventstore.streams import check_stream_id
from eventstore.topic_reading import TopicStream
from eventstore.transfer.event_schemas import EventSchemas
from eventstore.transfer.exporting import fields_of, kept_metadata
from schemas import Registry


@dataclass(slots=True)
class Summary:
    """A stream in a few numbers."""

    stream: str
    events: int
    first: int
    last: int
    timestamp_ms: int
    """When the last event was recorded."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An event for people."""

    version: int
    timestamp_ms: int
    type: str
    type_version: int
    metadata: Any
    fields: Any
    """None if they cannot be read."""


def summaries(
    log: Log, store: str, *, prefix: str = "", progress: Callable[[int], object] = lambda _: None
) -> list[Summary]:
    """All streams that have events, by id. Memory: one of them each.

    Raises:
        TopicMissing: nobody ever ran the store on this log.
        ReadStalled: the log has records that could not be read in time.
    """
    topic, start = events_of(store), prefix.encode()
    starts = dict.fromkeys(range(_partitions(log, topic)), 0)
    found: dict[bytes, Summary] = {}
    with closing(ErasedStreams(log, topic, starts)) as erased, closing(Scan(log, topic, starts)) as scan:
        while not scan.is_done:
            records = scan.page()
            for record in records:
                stream, version = stream_and_version(record)
                if record.value is None or not stream.startswith(start) or erased.hides(record):
                    continue
                summary = found.setdefault(stream, Summary(stream_text(record, stream), 0, version, version, 0))
                summary.events += 1
                summary.last, summary.timestamp_ms = version, record.timestamp_ms
            progress(len(records))
    return [found[stream] for stream in sorted(found)]


def events_of_stream(
    log: Log, registry: Registry, store: str, stream: str, *, after: int = -1, limit: int | None = None
) -> list[Shown]:
    """The events of a stream with a version above `after`.

    Raises:
        TopicMissing: nobody ever ran the store on this log.
        ValueError: the stream's id is none.
        UnknownSchema, SchemaOfOtherType: the registry has not the schema of an event: it is the wrong one.
    """
    check_stream_id(stream)
    topic = events_of(store)
    at = TopicPartition(topic, partition_of(stream, _partitions(log, topic)))
    rows = [row for page in TopicStream(log, at, stream).pages(Bounds(after=after, limit=limit)) for row in page]
    shown: list[Shown] = []
    schemas = EventSchemas(registry)
    for row in rows:
        schema, read = schemas.of(row.value, row.meta)
        metadata, fields = (msgspec.json.decode(raw) for raw in (kept_metadata(row.meta), fields_of(row.value, read)))
        shown.append(Shown(row.version, row.timestamp_ms, schema.name, schema.version, metadata, fields))
    return shown


def _partitions(log: Log, topic: str) -> int:
    found = log.describe([topic]).get(topic)
    if found is None:
        raise TopicMissing(topic)
    return found.partitions
