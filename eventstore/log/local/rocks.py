"""The store of `embedded://`: one RocksDB for topics, records and group positions.

An append or a unit is one write batch, so it is there as a whole or not at all. The write-ahead log makes it survive
kill −9 of the process; `fsync` also a power failure: then an acknowledgement waits until the log is on disk. Readers
may see a record a moment before that; whatever they write in consequence comes later in the same write-ahead log.

Where the write-ahead log cannot be read to its end, the log ends before that place: a power failure leaves it so, and
what was not synced is gone. A disk that changes bytes there does the same to what was; nobody can tell the two apart,
so the log says it by `embedded_tail_lost` whenever it is opened like that. Not promised: to notice that the file was
cut off, or taken away.

Byte layout, version 1. Integers are big-endian; every value begins with the version byte 1, then:

=========================================================  ==========================================================
key                                                        value
=========================================================  ==========================================================
`F`                                                        nothing: the format of the folder
`T` topic number u32                                       msgpack array: the fields of `TopicRow`
`R` topic number u32, partition u32, offset u64            msgpack array: timestamp in ms, key, value, header pairs
`B` topic number u32, partition u32                        u64 low, end, clean: written when the partition is tidied
`G` topic number u32, partition u32, group in UTF-8        msgpack array: offset, metadata
=========================================================  ==========================================================

The end of a partition is the larger of its `B` row's and the offset after its last record.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar, cast

import msgspec
import structlog
from rocksdict import DBCompressionType, DBRecoveryMode, Options, Rdict, WriteBatch

from eventstore.log.errors import EmbeddedBroken, OutcomeUnknown
from eventstore.log.local.rows import (
    BOUNDS,
    FORMAT,
    PARTITION,
    RowUnreadable,
    decode_bounds,
    decode_position,
    decode_record,
    decode_topic,
    group_of,
)
from eventstore.log.local.store import Entry, Partition, Store, TopicRow
from eventstore.log.records import Position, Record, TopicPartition
from eventstore.rocks_scan import Scan

_MIB = 1 << 20
_RECENT = 2_048
"""Records per partition that are kept decoded, for readers at its end."""
_ROWS_PER_BATCH = 2_000

CORRUPTION = "Corruption"
"""What RocksDB's errors begin with when bytes are not as they were written."""

T = TypeVar("T")
log = structlog.get_logger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_offset = struct.Struct(">Q").pack


class RocksPartition(Partition):
    """A partition in RocksDB, its last records also in memory."""

    __slots__ = ("_database", "_recent", "_upper", "bounds_key", "prefix")

    def __init__(self, database: Rdict, row: TopicRow, number: int) -> None:
        super().__init__(row, number)
        self._database = database
        self.prefix = PARTITION.pack(b"R", row.number, number)
        self.bounds_key = PARTITION.pack(b"B", row.number, number)
        self._upper = PARTITION.pack(b"R", row.number, number + 1)
        self._recent: list[Entry] = []
        """The last ones, up to the end."""
        try:
            bounds = cast("bytes | None", database.get(self.bounds_key))
        except Exception as error:
            raise self._broken(error) from error
        if bounds is not None:
            try:
                self.low, self.end, self.clean = decode_bounds(bounds)
            except RowUnreadable as error:
                raise self._broken(error) from error
        self.end = max(self.end, self._after_last())
        self.dirty = self.tombstones = self.end - self.clean

    def read(self, position: int, limit: int) -> list[Record]:
        at = position - self.end + len(self._recent)
        if at >= 0:
            name, number, found = self.name, self.number, self._recent[at : at + limit]
            return [Record(name, number, offset, *entry) for offset, entry in enumerate(found, position)]
        return list(islice(self._stored(position), limit))

    def remove(self, offsets: Sequence[int], low: int) -> None:
        self._recent = []
        batch = WriteBatch(raw_mode=True)
        batch.put(self.bounds_key, FORMAT + BOUNDS.pack(low, self.end, self.clean))
        if low > self.low:
            batch.delete_range(self.prefix + self.low.to_bytes(8, "big"), self.prefix + low.to_bytes(8, "big"))
        self._database.write(batch)
        for at in range(0, len(offsets), _ROWS_PER_BATCH):
            batch = WriteBatch(raw_mode=True)
            for offset in offsets[at : at + _ROWS_PER_BATCH]:
                batch.delete(self.prefix + offset.to_bytes(8, "big"))
            self._database.write(batch)

    def save_bounds(self) -> None:
        self._database.put(self.bounds_key, FORMAT + BOUNDS.pack(self.low, self.end, self.clean))

    def remember(self, entries: Sequence[Entry]) -> None:
        """Keep what is appended for readers at the end."""
        self._recent += entries
        if len(self._recent) > 2 * _RECENT:
            del self._recent[:-_RECENT]

    def _stored(self, position: int) -> Iterator[Record]:
        rows = Scan(self._database, self._broken, self.prefix + position.to_bytes(8, "big"), self._upper)
        name, number = self.name, self.number
        for key, value in rows:
            try:
                stored = decode_record(value)
            except RowUnreadable as error:
                raise self._broken(error) from error
            yield Record(
                name,
                number,
                int.from_bytes(key[9:], "big"),
                stored.timestamp_ms,
                stored.key,
                stored.value,
                stored.headers,
            )

    def _after_last(self) -> int:
        for key, _ in Scan(self._database, self._broken, self.prefix, self._upper, reverse=True):
            return int.from_bytes(key[9:], "big") + 1
        return 0

    def _broken(self, error: Exception) -> EmbeddedBroken:
        return EmbeddedBroken(self._database.path(), f"{self.name}[{self.number}]: {error}")


class RocksStore(Store):
    """Everything in one RocksDB folder, which this process has locked."""

    def __init__(self, folder: Path, *, fsync: bool = False) -> None:
        self.folder, self._fsync = folder, fsync
        self._failure: str | None = None
        self._numbers: dict[str, int] = {}
        _check_is_whole(folder)
        try:
            self._database = _opened(folder)
            known = cast("bytes | None", self._database.get(b"F"))
            if known is None:
                self._database.put(b"F", FORMAT)
        except Exception as error:
            raise EmbeddedBroken(str(folder), str(error)) from error
        if known not in (None, FORMAT):
            raise EmbeddedBroken(str(folder), f"its format is {known!r}, this program knows {FORMAT!r}")

    def topics(self) -> list[TopicRow]:
        return [self._read(decode_topic, value) for _, value in self._rows(b"T", b"U")]

    def positions(self) -> Iterable[tuple[str, TopicPartition, Position]]:
        names = {row.number: row.name for row in self.topics()}
        for key, value in self._rows(b"G", b"H"):
            number, partition, group = self._read(group_of, key)
            if number not in names:
                raise EmbeddedBroken(str(self.folder), f"a position of {group} is in a topic that is not there")
            yield group, TopicPartition(names[number], partition), self._read(decode_position, value)

    def _read(self, decode: Callable[[bytes], T], data: bytes) -> T:
        try:
            return decode(data)
        except RowUnreadable as error:
            raise EmbeddedBroken(str(self.folder), str(error)) from error

    def save_topic(self, row: TopicRow) -> None:
        batch = WriteBatch(raw_mode=True)
        batch.put(_topic_key(row.number), FORMAT + _encode(row))
        self._write(batch)
        self.sync()

    def drop_topic(self, row: TopicRow, groups: Iterable[str]) -> None:
        batch = WriteBatch(raw_mode=True)
        batch.delete(_topic_key(row.number))
        for kind in (b"R", b"B", b"G"):
            batch.delete_range(kind + row.number.to_bytes(4, "big"), kind + (row.number + 1).to_bytes(4, "big"))
        self._write(batch)
        self.sync()

    def open_partition(self, row: TopicRow, number: int) -> RocksPartition:
        self._numbers[row.name] = row.number
        return RocksPartition(self._database, row, number)

    def append(
        self,
        writes: Iterable[tuple[Partition, Sequence[Entry]]],
        group: str = "",
        positions: Mapping[TopicPartition, Position] | None = None,
    ) -> None:
        batch = WriteBatch(raw_mode=True)
        put, written = batch.put, list[tuple[RocksPartition, Sequence[Entry]]]()
        for partition, entries in writes:
            assert isinstance(partition, RocksPartition)
            written.append((partition, entries))
            prefix = partition.prefix
            for offset, entry in enumerate(entries, partition.end):
                put(prefix + _offset(offset), FORMAT + _encode(entry))
        if positions:
            for (topic, number), position in positions.items():
                key = PARTITION.pack(b"G", self._numbers[topic], number) + group.encode()
                put(key, FORMAT + _encode((position.offset, position.metadata)))
        self._write(batch)
        for partition, entries in written:
            partition.remember(entries)

    def sync(self) -> None:
        if self._fsync:
            try:
                self._database.flush_wal(True)
            except Exception as error:
                raise self._failed(error) from error

    def squeeze(self, row: TopicRow) -> None:
        """Flushing ends the write-ahead log that holds them, compaction the files."""
        self._database.flush()
        self._database.compact_range(PARTITION.pack(b"R", row.number, 0), PARTITION.pack(b"R", row.number + 1, 0))

    def close(self) -> None:
        self._database.close()

    def _write(self, batch: WriteBatch) -> None:
        if self._failure is not None:
            raise EmbeddedBroken(str(self.folder), self._failure)
        try:
            self._database.write(batch)
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> OutcomeUnknown:
        """After a failed write nobody knows what the next opener will find: nothing more is written."""
        self._failure = str(error)
        return OutcomeUnknown(
            f"writing to {self.folder} failed ({error}): start again, the log then tells what was written"
        )

    def _rows(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        return Scan(self._database, lambda error: EmbeddedBroken(str(self.folder), str(error)), start, end)


def _topic_key(number: int) -> bytes:
    return b"T" + number.to_bytes(4, "big")


def _check_is_whole(folder: Path) -> None:
    """Without its file CURRENT RocksDB would begin anew in the folder, and remove what is there.

    Raises:
        EmbeddedBroken: that file alone is missing.
    """
    if not (folder / "CURRENT").exists() and any(each.suffix in (".sst", ".log") for each in folder.glob("*")):
        raise EmbeddedBroken(str(folder), "its file CURRENT is missing")


def _opened(folder: Path) -> Rdict:
    """The database; without what stands behind a place in the write-ahead log that cannot be read, which is told."""
    try:
        return Rdict(str(folder), _options(DBRecoveryMode.tolerate_corrupted_tail_records()))
    except Exception as error:
        if not str(error).startswith(CORRUPTION):
            raise
        database = Rdict(str(folder), _options(DBRecoveryMode.point_in_time()))
        log.error(
            "embedded_tail_lost", folder=str(folder), why=str(error),
            next="after a power failure: nothing; else look at the disk, and put back a copy if something is missing",
        )  # fmt: skip
        return database


def _options(recovery: DBRecoveryMode) -> Options:
    options = Options(raw_mode=True)
    options.set_wal_recovery_mode(recovery)
    options.create_if_missing(True)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(32 * _MIB)
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(1)
    options.set_stats_dump_period_sec(0)
    return options
