"""Export streams to a file, straight from the topic: nobody has to serve the store, and no type has to be known.

The file holds what could be read when the export began, less what was erased (E2), and is gone through once: memory is
bounded by a page of the log and the ids of erased streams. An export that was interrupted goes on where its file was
whole last, up to where it was to reach from the start; a complete file is left as it is, and so is a damaged one.

Personal data stays sealed: what the file holds of a subject that is forgotten later cannot be read either (E4).

Not promised: that a stream which is truncated or deleted between the beginning of an export and the end of a later call
that goes on with it can be imported; the import says so.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from eventstore.erased import ErasedStreams
from eventstore.errors import PositionRefused
from eventstore.event_records import meta_of, place_of, stream_text
from eventstore.log import Log, open_log
from eventstore.log.errors import TopicMissing
from eventstore.log.partition import partition_of
from eventstore.log.records import Record, TopicDescription, TopicPartition
from eventstore.processor.topics import check_store_name, events_of
from eventstore.registry_choice import open_registry
from eventstore.scanning import Scan
from eventstore.streams import Position
from eventstore.transfer.entries import Content, EventEntry, Header, SchemaEntry
from eventstore.transfer.errors import FileNotWritten
from eventstore.transfer.event_schemas import EventSchemas
from eventstore.transfer.files import FileFormat, FileWriter, Written, form_of, held, resumed, writer
from schemas import Schema
from schemas.codec import Read
from schemas.wire import HEADER_BYTES, schema_id_of

_NULL = msgspec.Raw(b"null")
_people = msgspec.json.Encoder(enc_hook=str).encode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export did."""

    path: Path
    events: int
    """How many events the file holds."""
    added: int
    """How many of them this call wrote."""
    position: Position
    """How far the file reaches: `after` of the next export."""
    checksum: str
    """The same for the same events, in whatever log (see `eventstore.transfer.entries`)."""
    has_personal: bool
    """Whether there may be personal data among them: sealed, under keys that the file does not hold."""


def export_streams(
    log: Log | str,
    store: str,
    to: str | Path,
    *,
    prefix: str = "",
    streams: Sequence[str] = (),
    after: Position | str | None = None,
    format: FileFormat | None = None,
    registry: str | None = None,
    progress: Callable[[int], object] | None = None,
) -> Exported:
    """Write the events of a store, or of any processor, to a file; goes on with one that was interrupted.

    `log`: open, or its URL. `prefix`, `streams`: only of streams whose id begins so, or that are named. `after`: only
    events beyond this position, such as the one an earlier export reached. `format`: None: that of the file which is
    there; of a new one Avro if the name ends in `.avro`, else JSON lines. `registry`: the URL of that which the service
    uses; None: the variable SAGALOG_REGISTRY, else the one in the log. `progress` is told how many more events were
    written.

    Raises:
        TopicMissing, LogMissing: nobody ever ran the store on this log; there is no log.
        PositionRefused: the log cannot be read on from `after`.
        ExportDiffers, ExportUnreadable: the file that is there is of another export; or it is none, or damaged.
        ExportInUse: another export is writing to it.
        UnknownSchema, SchemaOfOtherType: the registry has not the schema of an event: it is the wrong one.
        ReadStalled: the log has records that could not be read in time.
        FileUnusable: the file cannot be opened.
        ValueError: the store's name or `after` is none.
        FileNotWritten: it cannot be written on, as on a full disk; the next call goes on with it.
    """
    check_store_name(store)
    position = Position.parse(after) if isinstance(after, str) else after
    with _opened(log) as opened:
        topic = opened.describe([events_of(store)]).get(events_of(store))
        if topic is None:
            raise TopicMissing(events_of(store))
        header = _header(opened, topic, position or Position(), prefix, sorted(set(streams)))
        with held(Path(to)):
            return _Export(opened, topic, Path(to), header, format).run(registry, progress or (lambda _: None))


@contextmanager
def _opened(log: Log | str) -> Generator[Log]:
    if not isinstance(log, str):
        yield log
        return
    opened = open_log(log, must_exist=True)
    try:
        yield opened
    finally:
        opened.close()


def _header(log: Log, topic: TopicDescription, after: Position, prefix: str, streams: list[str]) -> Header:
    partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    if after.generation and after.generation != topic.id:
        raise PositionRefused(topic.name, after, f"it is of generation {after.generation}, the topic is {topic.id}")
    ends = log.end_positions(partitions, isolation="uncommitted")
    for number, offset in after.offsets:
        if offset > ends.get(TopicPartition(topic.name, number), -1):
            raise PositionRefused(topic.name, after, f"partition {number} does not go so far")
    until = Position.of({at.partition: end for at, end in ends.items()}, topic.id)
    return Header(
        store=topic.name.removesuffix(events_of("")),
        generation=topic.id,
        after=str(after) if after.offsets else "",
        until=str(until),
        prefix=prefix,
        streams=streams,
    )


class _Export:
    def __init__(
        self, log: Log, topic: TopicDescription, path: Path, wanted: Header, format_: FileFormat | None
    ) -> None:
        self._log, self._topic, self._path = log, topic, path
        is_there = path.exists() and path.stat().st_size > 0
        new = Written(form_of(path, format_), wanted, Content(wanted))
        self._written = resumed(path, wanted, format_) if is_there else new
        self._header = self._written.header
        self._until = Position.parse(self._header.until)
        self._after = Position.parse(self._header.after) if self._header.after else Position()
        self._prefix, self._streams = self._header.prefix.encode(), {one.encode() for one in self._header.streams}

    def run(self, registry: str | None, progress: Callable[[int], object]) -> Exported:
        """Write what is missing."""
        before = self._written.content.events
        if not self._written.is_complete:
            try:
                self._write(registry, progress)
            except OSError as error:
                raise FileNotWritten(self._path, error) from error
        content = self._written.content
        end = content.end
        return Exported(self._path, end.events, end.events - before, self._until, end.checksum, content.has_personal)

    def _write(self, registry: str | None, progress: Callable[[int], object]) -> None:
        file = writer(self._path, self._written.form, None if self._written.is_begun else self._header)
        with closing(file):
            if not self._written.is_begun:
                file.write(self._written.content.mark)
                file.flush()
            self._copy(file, registry, progress)
            file.write(self._written.content.end)

    def _copy(self, file: FileWriter, url: str | None, progress: Callable[[int], object]) -> None:
        starts = self._starts()
        with (
            closing(ErasedStreams(self._log, self._topic.name, starts)) as erased,
            open_registry(self._log, url) as registry,
        ):
            schemas = EventSchemas(registry)
            for partition, start in starts.items():
                scan = Scan(self._log, self._topic.name, {partition: start}, end=self._until.offset(partition))
                with closing(scan):
                    while not scan.is_done:
                        progress(self._page(scan.page(), file, erased, schemas))

    def _starts(self) -> dict[int, int]:
        """Where to go on in the partitions that are left."""
        last, count = self._written.last, self._topic.partitions
        chosen = {partition_of(stream, count) for stream in self._header.streams} or range(count)
        starts = {number: self._after.offset(number) for number in sorted(chosen)}
        if last is not None:
            starts = {number: start for number, start in starts.items() if number >= last.partition}
            starts[last.partition] = last.offset + 1
        return starts

    def _page(self, records: list[Record], file: FileWriter, erased: ErasedStreams, schemas: EventSchemas) -> int:
        content, count = self._written.content, 0
        for record in records:
            stream = (record.key or b"").rpartition(b"/")[0]
            if record.value is None or not self._is_chosen(stream) or erased.hides(record):
                continue
            schema, read = schemas.of(record.value, meta_of(record))
            if not content.knows(id_ := schema_id_of(record.value)):
                entry = SchemaEntry(
                    id=id_, name=schema.name, version=schema.version, format=schema.format, text=schema.text
                )
                content.know(entry)
                file.write(entry)
            first = erased.first(stream_text(record, stream))
            event = event_of(record, schema, first, read if file.is_for_people else None)
            content.add(event)
            file.write(event)
            count += 1
        if count:
            file.write(content.mark)
        file.flush()
        return count

    def _is_chosen(self, stream: bytes) -> bool:
        return stream.startswith(self._prefix) and (not self._streams or stream in self._streams)


def event_of(record: Record, schema: Schema, first: int, read: Read | None) -> EventEntry:
    """The entry of a record. `first`: the first version of its stream that is not erased. `read`: for people."""
    stream, version = place_of(record)
    value = record.value or b""
    return EventEntry(
        stream=stream,
        version=version,
        begins=version == first,
        timestamp_ms=record.timestamp_ms,
        type=schema.name,
        type_version=schema.version,
        meta=kept_metadata(meta_of(record)),
        event=_NULL if read is None else fields_of(value, read),
        payload=value[HEADER_BYTES:],
        schema=schema_id_of(value),
        partition=record.partition,
        offset=record.offset,
    )


def fields_of(value: bytes, read: Read) -> msgspec.Raw:
    """The fields of a value, as JSON; null if they cannot be read: the bytes are what counts."""
    try:
        fields: Any = read(value)
        return msgspec.Raw(_people(fields))
    except Exception:  # noqa: BLE001 - whatever is wrong with the bytes, they are exported as they are
        return _NULL


def kept_metadata(meta: bytes) -> msgspec.Raw:
    """An event's metadata without what only the log it stands in needs."""
    if b'"done":' not in meta and b'"reply":' not in meta:
        return msgspec.Raw(meta)
    members = _members(meta)
    members.pop("done", None)
    members.pop("reply", None)
    return msgspec.Raw(msgspec.json.encode(members))
