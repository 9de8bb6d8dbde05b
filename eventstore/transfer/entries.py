"""What a file of streams holds, whatever its form: a header, schemas and events, marks among them, and an end.

    header   the version of the format (2), where the events come from, and how far the export reaches
    mark     behind the header and behind each page of events: the trail up to here
    schema   before the first event that was written with it
    event    in the order of the topic: partition by partition, in each by offset, so the events of a stream in order
    end      how many events there are, their checksum, and the trail; a file without it is cut

An event is its *payload* (what follows the schema id on the wire, see `schemas.wire`) and its metadata as JSON, both
byte for byte, the latter without what only the log needs (`reply` and `done`, see `schemas.metadata`). In JSON lines
`event` repeats the payload's fields for people; nobody reads it back.

The checksum is the sum, modulo 2²⁵⁶, of the events' digests. Each is the SHA-256 of

    stream-length:u32 version:u64 timestamp_ms:i64 begins:u8 meta-length:u32 stream meta schema-digest payload

integers big-endian, the schema digest being the SHA-256 of `format 0x00 name 0x00 version 0x00 text`.
It says the same for the same events, whatever their schema ids and the order of the streams.

The trail is the SHA-256 of all that an export goes on from: the header as JSON, then in the order of the file

    schema   id:u32 schema-digest
    event    partition:u32 offset:u64 event-digest

An export that was interrupted goes on behind the last mark, if all marks are right. Both find accidents, not forgeries.
"""

from __future__ import annotations

import struct
from copy import copy
from hashlib import sha256
from typing import TypeAlias

import msgspec

from schemas import Schema
from schemas.schema import Format

FORMAT = 2
_PERSONAL = '"sagalog-personal"'
"""In schemas of either format, at each field of personal data."""
_EVENT = struct.Struct(">IQqBI")
_SCHEMA, _PLACE = struct.Struct(">I"), struct.Struct(">IQ")


class Header(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="export"):
    """Where the events come from. Positions are in their printable form."""

    format: int = FORMAT
    store: str
    generation: str
    """The id of the events topic, which differs when one of the same name was made anew."""
    after: str
    """The events before this position are not in the file; empty: none is left out."""
    until: str
    """How far the export reaches. The next one may go on from here."""
    prefix: str
    streams: list[str]
    """Only these streams; empty: all with the prefix."""


class SchemaEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="schema"):
    """A schema that events after it were written with."""

    id: int
    name: str
    version: int
    format: Format
    text: str

    @property
    def schema(self) -> Schema:
        """As registries know it."""
        return Schema(name=self.name, version=self.version, format=self.format, text=self.text)


class EventEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="kind", tag="event"):
    """An event, and where it stood."""

    stream: str
    version: int
    begins: bool
    """Whether it is the first one of its stream: version 0, or the first one that was not erased."""
    timestamp_ms: int
    type: str
    type_version: int
    meta: msgspec.Raw
    event: msgspec.Raw
    """The payload's fields for people, as JSON; null in Avro files, and where they cannot be read."""
    payload: bytes
    schema: int
    partition: int
    offset: int


class Mark(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="mark"):
    """Up to here the file is as it was written, if its entries have this trail."""

    events: int
    trail: str


class End(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="end"):
    """The last entry."""

    events: int
    checksum: str
    trail: str


Entry: TypeAlias = SchemaEntry | EventEntry | Mark | End


def declares_personal(schema: str) -> bool:
    """Whether events with a schema of this text may hold personal data."""
    return _PERSONAL in schema


class Content:
    """Counts events, sums up their digests, and follows the trail."""

    def __init__(self, header: Header) -> None:
        self.events, self._sum = 0, 0
        self._trail = sha256(msgspec.json.encode(header))
        self.has_personal = False
        """Whether there may be personal data among them."""
        self._schemas: dict[int, bytes] = {}

    def know(self, entry: SchemaEntry) -> None:
        """Take in a schema; before the events that were written with it."""
        parts = (entry.format, entry.name, str(entry.version), entry.text)
        digest = sha256("\0".join(parts).encode()).digest()
        self._trail.update(_SCHEMA.pack(entry.id) + digest)
        self.has_personal |= declares_personal(entry.text)
        self._schemas[entry.id] = digest

    def knows(self, schema: int) -> bool:
        """Whether a schema was taken in."""
        return schema in self._schemas

    def add(self, entry: EventEntry) -> None:
        """Take in an event."""
        stream, meta = entry.stream.encode(), bytes(entry.meta)
        head = _EVENT.pack(len(stream), entry.version, entry.timestamp_ms, entry.begins, len(meta))
        digest = sha256(b"".join((head, stream, meta, self._schemas[entry.schema], entry.payload))).digest()
        self._trail.update(_PLACE.pack(entry.partition, entry.offset) + digest)
        self._sum = (self._sum + int.from_bytes(digest, "big")) & ((1 << 256) - 1)
        self.events += 1

    def copy(self) -> Content:
        """The same, which goes on apart from this one."""
        other = copy(self)
        other._trail, other._schemas = self._trail.copy(), self._schemas.copy()
        return other

    @property
    def mark(self) -> Mark:
        """The entry that an export can go on behind."""
        return Mark(events=self.events, trail=self._trail.hexdigest())

    @property
    def end(self) -> End:
        """The entry that closes a file with these events."""
        return End(events=self.events, checksum=f"{self._sum:064x}", trail=self._trail.hexdigest())
