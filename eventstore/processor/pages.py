"""Pages of a stream: rows of its index up to a number of events and bytes, and the bytes they travel as.

Layout of packed rows (integers big-endian): version byte 1, then for each event

    version:u64 timestamp_ms:i64 offset:i64 meta-length:u32 value-length:u32 meta value
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from eventstore.processor.index import StoredEvent, StreamIndex
from eventstore.processor.snapshots import Snapshot, Wanted
from schemas import Undecodable

_VERSION = b"\x01"
_ROW = struct.Struct(">QqqII")
ROW_BYTES = _ROW.size
"""What each event takes beside its metadata and its value."""


class ErasedMeanwhile(Exception):
    """Some of the events that were still to be read were erased while others had been read."""


class Page(NamedTuple):
    """Consecutive events of a stream, in the order that was asked for."""

    rows: Sequence[StoredEvent]
    head: int
    """The version of the stream's last event when the page was read; −1 if it had none."""
    is_last: bool
    """Whether nothing that was asked for comes after it."""
    snapshot: Snapshot | None = None
    """What the rows go on from, where that was asked for."""
    alone: int | None = None
    """The version of the one event that had to be read where it stands in the log, in `rows` unless it went before."""

    @property
    def last(self) -> int:
        """The version that the next page goes on from. Not of a page that is the last."""
        return self.rows[-1].version if self.alone is None else self.alone

    def lacks(self, after: int, until: int | None) -> bool:
        """Whether events were erased between the one that was read last, `after`, and this page, or in its place.

        −1: none was read.
        """
        if after < 0:
            return False
        if self.rows:
            return self.rows[0].version != after + 1
        return after < (self.head if until is None else min(self.head, until))


def read_page(
    index: StreamIndex,
    stream: str,
    *,
    after: int,
    until: int | None,
    backwards: bool,
    events: int,
    page_bytes: int,
    wanted: Wanted | None = None,
) -> Page:
    """The first of the events with after < version ≤ until: as many as are asked for and fit, at least one.

    With a snapshot that is `wanted` and there, those after it: together they are the stream as it was at one moment,
    whoever erases it meanwhile.
    """
    snapshot = None if wanted is None else index.snapshot(stream, wanted, until)
    if snapshot is not None:
        room = page_bytes - len(snapshot.state)
        page = _page(index, stream, max(after, snapshot.version), until, backwards, events, room)
        if _goes_on(page, snapshot, until):
            return page._replace(snapshot=snapshot)
    return _page(index, stream, after, until, backwards, events, page_bytes)


def _goes_on(page: Page, snapshot: Snapshot, until: int | None) -> bool:
    if page.rows:
        return page.rows[0].version == snapshot.version + 1
    return snapshot.version == (page.head if until is None else min(page.head, until))


def _page(
    index: StreamIndex, stream: str, after: int, until: int | None, backwards: bool, events: int, page_bytes: int
) -> Page:
    head = index.head(stream)
    rows: list[StoredEvent] = []
    room = page_bytes
    if events > 0:
        for row in index.read(stream, after=after, until=until, backwards=backwards):
            room -= size_of(row)
            if rows and (room < 0 or len(rows) == events):
                return Page(rows, head, False)
            rows.append(row)
    return Page(rows, head, True)


def size_of(row: StoredEvent) -> int:
    """What an event takes of a page."""
    return ROW_BYTES + len(row.meta) + len(row.value)


def packed(rows: Sequence[StoredEvent]) -> bytes:
    """The bytes of a page's rows."""
    parts = [_VERSION]
    for row in rows:
        parts.append(_ROW.pack(row.version, row.timestamp_ms, row.offset, len(row.meta), len(row.value)))
        parts.append(row.meta)
        parts.append(row.value)
    return b"".join(parts)


def unpacked(data: bytes) -> list[StoredEvent]:
    """The rows that the bytes are.

    Raises:
        Undecodable: they are no rows, or of another layout version.
    """
    if data[:1] != _VERSION:
        raise Undecodable("a page of events", f"its layout is {data[:1]!r}, this code knows {_VERSION!r}")
    rows: list[StoredEvent] = []
    at = 1
    while at < len(data):
        if at + ROW_BYTES > len(data):
            raise Undecodable("a page of events", "it ends within an event")
        version, timestamp_ms, offset, meta, value = _ROW.unpack_from(data, at)
        start = at + ROW_BYTES
        at = start + meta + value
        if at > len(data):
            raise Undecodable("a page of events", "it ends within an event")
        rows.append(StoredEvent(version, timestamp_ms, offset, data[start : start + meta], data[start + meta : at]))
    return rows
