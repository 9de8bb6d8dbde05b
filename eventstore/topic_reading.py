"""Find one stream in its partition of the topic: for a process that cannot ask the partition's owner.

The same events in the same order as from the owner's index, in time proportional to the partition. Memory is bounded by
a page of the log (and by 8 bytes an event where a stream is read backwards).
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Sequence
from dataclasses import replace

from eventstore.bounds import PAGE_EVENTS, Bounds
from eventstore.erased import first_kept
from eventstore.event_records import meta_of, stream_and_version
from eventstore.log.port import Log
from eventstore.log.records import Record, TopicPartition
from eventstore.processor.index import StoredEvent
from eventstore.scanning import Scan


class TopicStream:
    """One stream's records. Generators: one list per step, also empty ones."""

    def __init__(self, log: Log, at: TopicPartition, stream: str) -> None:
        self._log, self._at, self._stream, self._prefix = log, at, stream, stream.encode() + b"/"

    def pages(self, bounds: Bounds) -> Generator[Sequence[StoredEvent], None, None]:
        """The events within the bounds that are not erased: what is, is asked first (E2)."""
        bounds = replace(bounds, after=max(bounds.after, first_kept(self._log, self._at, self._stream) - 1))
        if not bounds.are_empty:
            yield from self._backwards(bounds) if bounds.backwards else self._forwards(bounds)

    def at(self, offset: int) -> list[StoredEvent]:
        """The one event that stands at this offset; none if it was erased and the log cleaned."""
        return [row for page in self._matching(offset, offset + 1, Bounds()) for row in page]

    def _forwards(self, bounds: Bounds) -> Generator[Sequence[StoredEvent], None, None]:
        left = bounds.limit
        for matching in self._matching(0, None, bounds):
            kept = bounds.cut(matching)
            taken = kept if left is None else kept[:left]
            yield taken
            left = None if left is None else left - len(taken)
            if left == 0 or len(kept) < len(matching) or (taken and taken[-1].version == bounds.until):
                return

    def _backwards(self, bounds: Bounds) -> Generator[Sequence[StoredEvent], None, None]:
        offsets = array("q")
        for matching in self._matching(0, None, bounds):
            offsets.extend(row.offset for row in matching)
            yield []
        if bounds.limit is not None:
            offsets = offsets[max(0, len(offsets) - bounds.limit) :]
        for last in range(len(offsets), 0, -PAGE_EVENTS):
            chunk = offsets[max(0, last - PAGE_EVENTS) : last]
            yield [row for page in self._matching(chunk[0], chunk[-1] + 1, bounds) for row in page][::-1]

    def _matching(self, start: int, end: int | None, bounds: Bounds) -> Generator[list[StoredEvent], None, None]:
        scan = Scan(self._log, self._at.topic, {self._at.partition: start}, end=end)
        try:
            while not scan.is_done:
                rows = [stored_of(record) for record in scan.page() if self._is_mine(record)]
                yield [row for row in rows if bounds.holds(row.version)]
        finally:
            scan.close()

    def _is_mine(self, record: Record) -> bool:
        key = record.key
        if key is None or record.value is None or not key.startswith(self._prefix):
            return False
        return key[len(self._prefix) :].isdigit()


def stored_of(record: Record) -> StoredEvent:
    """An event's record as the index would hold it.

    Raises:
        RecordUnreadable: it is no event's.
    """
    _, version = stream_and_version(record)
    return StoredEvent(version, record.timestamp_ms, record.offset, meta_of(record), record.value or b"")
