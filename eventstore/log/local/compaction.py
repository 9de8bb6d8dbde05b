"""Remove what a partition need not keep: earlier records of a key, old tombstones, records past their retention.

As Kafka's cleaner does it: learn the last offset of each key in the part that is not clean yet (so many keys at a time,
to bound memory), then walk the partition from its start and remove what a later record of the same key replaces. A
tombstone goes when an earlier run has seen it already *and* it is old enough, so that a reader that is restoring meets
it. Where keys are unique, nothing is walked while there is no tombstone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from eventstore.log.local.store import FIRST_TIDY, Partition
from eventstore.log.records import Record

MAX_KEYS = 200_000
"""Keys learned in one pass."""

TOMBSTONE_MS = 24 * 3600 * 1000
"""How long a tombstone stays at least, as Kafka's delete.retention.ms."""

_SLICE = 2_000


def expired_before(partition: Partition, now_ms: int) -> int:
    """The offset before which all records are past the topic's retention."""
    keep_ms = partition.row.retention_ms
    low = partition.low
    if keep_ms is None or partition.compacted:
        return low
    for record in _records(partition, low):
        if record.timestamp_ms >= now_ms - keep_ms:
            return record.offset
        low = record.offset + 1
    return low


def compact(partition: Partition, now_ms: int, *, tombstone_ms: int) -> tuple[int, int]:
    """Remove superseded records and seen tombstones of a compacted partition; returns how many went, how many stay."""
    seen, removed = partition.clean, 0
    if partition.row.has_unique_keys and not partition.tombstones:
        partition.clean = partition.end
        return 0, 0
    while True:
        last, upto = _learn(partition)
        gone, kept, partition.tombstones = _remove(partition, _superseded(last, seen, now_ms - tombstone_ms))
        removed += gone
        partition.clean = upto
        if upto >= partition.end:
            return removed, kept


def tidy(partition: Partition, now_ms: int, *, tombstone_ms: int = TOMBSTONE_MS) -> None:
    """Do what is due after many appends, and say when to come back.

    The next time is after as many appends as records were walked over, or four times as many if there was little to
    remove: so the walk costs less than an append, also on a topic whose keys never repeat.
    """
    appended = partition.dirty
    if partition.compacted:
        removed, kept = compact(partition, now_ms, tombstone_ms=tombstone_ms)
    else:
        removed, kept = _expire(partition, now_ms), 0
    partition.clean, partition.dirty = partition.end, 0
    partition.save_bounds()
    partition.tidy_at = max(FIRST_TIDY, kept) * (1 if removed > appended // 4 else 4)


def _expire(partition: Partition, now_ms: int) -> int:
    low = expired_before(partition, now_ms)
    removed = low - partition.low
    if removed:
        partition.remove((), low)
        partition.low = low
    return removed


def _learn(partition: Partition) -> tuple[dict[bytes | None, int], int]:
    """The last offset of each key from the clean part's end on, and how far that was learned."""
    last: dict[bytes | None, int] = {}
    upto = partition.clean
    for record in _records(partition, upto):
        if len(last) >= MAX_KEYS and record.key not in last:
            return last, record.offset
        last[record.key] = record.offset
    return last, partition.end


def _superseded(last: dict[bytes | None, int], seen: int, deadline_ms: int) -> Callable[[Record], bool]:
    def is_superseded(record: Record) -> bool:
        if last.get(record.key, -1) > record.offset:
            return True
        return record.value is None and record.offset < seen and record.timestamp_ms <= deadline_ms

    return is_superseded


def _remove(partition: Partition, unwanted: Callable[[Record], bool]) -> tuple[int, int, int]:
    """Returns how many went, how many stay, and how many of these are tombstones."""
    offsets, kept, tombstones = list[int](), 0, 0
    for record in _records(partition, partition.low):
        if unwanted(record):
            offsets.append(record.offset)
        else:
            kept += 1
            tombstones += record.value is None
    if offsets:
        partition.remove(offsets, partition.low)
    return len(offsets), kept, tombstones


def _records(partition: Partition, position: int) -> Iterator[Record]:
    while found := partition.read(position, _SLICE):
        yield from found
        position = found[-1].offset + 1
