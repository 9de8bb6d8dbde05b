"""The local index of a partition: its streams' events and heads, by stream and version.

Row layout in the partition's state (all integers big-endian; every value begins with version byte 1):

    b"e" stream-bytes 0x00 version:u64   ->  1 timestamp_ms:i64 offset:i64 meta-length:u32 meta value
    b"h" stream-bytes                    ->  1 version:u64

The head of a stream counts erased events too; those are in no answer, whether their rows are still there or not (E2).

`meta` is the JSON of `schemas.Metadata` and `value` the event in Confluent wire format, as in the log. Stream ids may
not contain the character U+0000.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from eventstore.processor.counts import EntityCounts
from eventstore.processor.erasure import NOTHING_ERASED, Erasure, decode_erasure, erasure_key
from eventstore.processor.row_layout import RowDamaged, RowLayout
from eventstore.processor.snapshots import Ignored, Snapshot, Wanted, snapshot_key, usable
from eventstore.state.port import Row, State

_EVENT = RowLayout("an event", "qqI")
_HEAD = RowLayout("a stream's head", "Q")
_VERSION = struct.Struct(">Q")
packed_event, packed_version = _EVENT.packed, _VERSION.pack
"""What the rows of events begin with, and their keys end with: for loops, see `eventstore.processor.restore`."""


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """An event as the index holds it."""

    version: int
    timestamp_ms: int
    offset: int
    """Where it stands in the partition of the events topic; −1 if that was not recorded."""
    meta: bytes
    value: bytes


class StreamIndex:
    """Reads the streams of one partition; any thread may use it while the partition is served."""

    def __init__(self, state: State, counts: EntityCounts) -> None:
        self._state, self._counts = state, counts

    def head(self, stream: str) -> int:
        """The version of the stream's last event, an erased one included; −1 if it never had one."""
        row = self._state.get(b"h" + stream.encode())
        return -1 if row is None else version_of_head(row)

    def first(self, stream: str) -> int:
        """The first version that is not erased; 0 if nothing is."""
        return self._erased(stream).first

    def snapshot(self, stream: str, wanted: Wanted, until: int | None) -> Snapshot | None:
        """The stream's snapshot, if there is one that can be used and is of no version beyond `until` (E3)."""
        row = self._state.get(snapshot_key(stream.encode(), wanted.name))
        if row is None:
            return None
        found = usable(row, wanted.fingerprint, self._erased(stream))
        if isinstance(found, Ignored):
            self._counts.ignored(found)
            return None
        if until is not None and found.version > until:
            return None
        self._counts.used()
        return found

    def _erased(self, stream: str) -> Erasure:
        row = self._state.get(erasure_key(stream.encode()))
        return NOTHING_ERASED if row is None else decode_erasure(row)

    def read(
        self, stream: str, *, after: int = -1, until: int | None = None, backwards: bool = False
    ) -> Iterator[StoredEvent]:
        """Events with after < version ≤ until that are not erased, in order of version or against it."""
        return self.rows(stream, max(after + 1, self.first(stream)), until, backwards=backwards)

    def rows(
        self, stream: str, first: int, until: int | None = None, *, backwards: bool = False
    ) -> Iterator[StoredEvent]:
        """What the index holds with first ≤ version ≤ until, of erased events too."""
        prefix = b"e" + stream.encode() + b"\0"
        end = prefix + b"\xff" * 8 if until is None else prefix + _VERSION.pack(max(until + 1, 0))
        for key, value in self._state.scan(prefix + _VERSION.pack(first), end, reverse=backwards):
            yield stored_event(key, value)

    def streams(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Each stream whose id begins with `prefix`, with the version of its last event, in order of the id's bytes.

        Deleted ones are left out.
        """
        start = b"h" + prefix.encode()
        for key, value in self._state.scan(start, start + b"\xff" * 4):
            stream, version = _HEAD.text(key[1:]), version_of_head(value)
            if version >= self.first(stream):
                yield stream, version


def stored_event(key: bytes, value: bytes) -> StoredEvent:
    """The event of a row.

    Raises:
        RowDamaged: it is none.
    """
    timestamp_ms, offset, size = _EVENT.begin(value)
    body = _EVENT.size + size
    if body > len(value) or len(key) < _VERSION.size:
        raise RowDamaged("an event", "its end is missing")
    version = int(_VERSION.unpack_from(key, len(key) - 8)[0])
    return StoredEvent(version, timestamp_ms, offset, value[_EVENT.size : body], value[body:])


def event_key(stream: bytes, version: int) -> bytes:
    """Where an event is."""
    return b"e" + stream + b"\0" + _VERSION.pack(version)


def event_row(stream: bytes, version: int, timestamp_ms: int, offset: int, meta: bytes, value: bytes) -> Row:
    """The row of one event."""
    return event_key(stream, version), _EVENT.pack(timestamp_ms, offset, len(meta)) + meta + value


def head_row(stream: bytes, version: int) -> Row:
    """The row that says how far a stream goes."""
    return b"h" + stream, _HEAD.pack(version)


def version_of_head(value: bytes) -> int:
    """The version that a head's row says.

    Raises:
        RowDamaged: it says none.
    """
    return _HEAD.whole(value)[0]
