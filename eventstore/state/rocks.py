"""State in RocksDB: one folder per name, below a root (rule K13).

Writes go through RocksDB's write-ahead log without fsync: they survive kill −9 of the process, and what a power failure
takes is replayed from the log. What is loaded does not go through it: a kill takes what was not flushed to files, which
happens in the order in which it was loaded.

Layout of `<root>/<name>/`, version 1:

=============  ========================================================================================================
`lock`         held (flock) by the owner
`identity`     JSON `{"v": 1, "identity": "…"}`, what the rows were derived from; another version or identity, or none:
               the rows are discarded
`rows/`        RocksDB, keys and values as given
=============  ========================================================================================================

While `<name>` is locked by another process (a stopped neighbour), `<name>~1`, `<name>~2`, … serve, each emptied when it
is opened. They are removed by the next one who opens `<name>` itself.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import cast
from weakref import WeakSet

import structlog
from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteBufferManager,
    WriteOptions,
)

from eventstore.folder_lock import FolderLock, why_unusable
from eventstore.rocks_scan import Scan
from eventstore.state.errors import StateCorrupt, StateDiskFull, StateError, StateFolderUnusable
from eventstore.state.port import Row
from eventstore.state.rocks_folder import discard_when_opened, remove_unless_locked, spares, start_over, stored_identity

log = structlog.get_logger(__name__)

LOCKED_S = 1.0
"""How long to wait for a lock before a fresh folder is used."""

CORRUPTION = "Corruption"
"""What RocksDB's errors begin with when bytes are not as they were written."""
OPEN_HERE = "lock hold by current process"
"""What RocksDB says of rows that this process still has open: their reader is about to let go of them."""
_MIB = 1 << 20
_UNLOGGED = WriteOptions()
"""For rows in the order of their keys: each is looked for from where the one before is."""
_UNLOGGED.disable_wal = True  # type: ignore[method-assign,assignment] # a property, whatever its stub says
_UNLOGGED.memtable_insert_hint_per_batch = True


class RocksState:
    """Rows of one partition in RocksDB."""

    def __init__(self, folder: Path, lock: FolderLock, database: Rdict) -> None:
        self.folder = folder
        self._lock, self._database = lock, database
        self._corruption: StateError | None = None
        """What RocksDB could not read. Nothing is written any more, so that whoever writes here opens the rows anew."""
        self._scans: WeakSet[Scan] = WeakSet()
        self._closed = False

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._database.get(key)
        except Exception as error:
            raise self._named(error) from error
        return value

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        if not keys:
            return []
        try:
            return cast("list[bytes | None]", self._database.get(list(keys)))
        except Exception as error:
            raise self._named(error) from error

    def write(self, rows: Sequence[Row]) -> None:
        self.check()
        try:
            self._database.write(_batch(rows))
        except Exception as error:
            raise self._named(error) from error

    def load(self, rows: Mapping[bytes, bytes | None]) -> None:
        try:
            self._database.write(_batch_in_order(rows), _UNLOGGED)
        except Exception as error:
            raise self._named(error) from error

    def flush(self) -> None:
        try:
            self._database.flush()
        except Exception as error:
            raise self._named(error) from error

    def scan(self, start: bytes, end: bytes | None = None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        scan = Scan(self._database, self._named, start, end, reverse=reverse)
        self._scans.add(scan)
        return scan

    def check(self) -> None:
        if self._corruption is not None:
            raise self._corruption

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for scan in list(self._scans):
            scan.end()
        try:
            self._database.close()
        except Exception as error:  # noqa: BLE001 - RocksDB repeats here what a write had said; the log has the rows
            log.warning("state_not_flushed", folder=str(self.folder), error=str(error))
        finally:
            self._lock.release()

    def _named(self, error: Exception) -> StateError:
        if self._closed:
            return StateError(f"the state in {self.folder} was closed")
        named = _named(self.folder, error)
        if str(error).startswith(CORRUPTION) and self._corruption is None:
            self._corruption = named
            discard_when_opened(self.folder, str(error))
        return named


def _batch(rows: Iterable[Row]) -> WriteBatch:
    batch = WriteBatch(raw_mode=True)
    put, delete = batch.put, batch.delete
    for key, value in rows:
        if value is None:
            delete(key)
        else:
            put(key, value)
    return batch


def _batch_in_order(rows: Mapping[bytes, bytes | None]) -> WriteBatch:
    """As `_batch`, in the order of the keys; without a call of ours for each row."""
    keys = sorted(rows)
    if None in rows.values():
        return _batch((key, rows[key]) for key in keys)
    batch = WriteBatch(raw_mode=True)
    deque(map(batch.put, keys, map(rows.__getitem__, keys)), maxlen=0)
    return batch


class RocksStateEngine:
    """Opens RocksDB folders below a root. They share one block cache and one budget for write buffers."""

    def __init__(self, root: str | Path, *, cache_bytes: int = 64 * _MIB, write_buffers_bytes: int = 64 * _MIB) -> None:
        self.root = Path(root)
        self._cache = Cache(cache_bytes)
        self._buffers = WriteBufferManager(write_buffers_bytes, False)

    def open(self, name: str, identity: str) -> RocksState:
        folder = self._folder(name)
        try:
            return self._open_first_free(folder, identity)
        except OSError as error:
            raise _named(folder, error) from error

    def discard(self, name: str) -> None:
        folder = self._folder(name)
        for each in (folder, *spares(folder)):
            remove_unless_locked(each)

    def _folder(self, name: str) -> Path:
        parts = name.split("/")
        if any(part in ("", ".", "..") or "~" in part for part in parts):
            raise ValueError(f"{name!r} is no name of a state: use names separated by single slashes, without ~")
        return self.root.joinpath(*parts)

    def _open_first_free(self, folder: Path, identity: str) -> RocksState:
        lock = FolderLock.acquire(folder / "lock", LOCKED_S)
        if lock is not None:
            for spare in spares(folder):
                remove_unless_locked(spare)
            return self._open_locked(folder, lock, identity)
        for number in count(1):
            spare = folder.with_name(f"{folder.name}~{number}")
            lock = FolderLock.acquire(spare / "lock", 0)
            if lock is not None:
                log.warning("state_folder_locked", folder=str(folder), used_instead=str(spare))
                shutil.rmtree(spare / "rows", ignore_errors=True)
                return self._open_locked(spare, lock, identity)
        raise AssertionError("numbers do not end")

    def _open_locked(self, folder: Path, lock: FolderLock, identity: str) -> RocksState:
        try:
            stored = stored_identity(folder)
            if stored != identity:
                if stored is not None:
                    why = "it was made by other code, or of other topics"
                    log.warning("state_discarded", folder=str(folder), why=why, was=stored, wanted=identity)
                start_over(folder, identity)
            return RocksState(folder, lock, self._open_or_start_over(folder, identity))
        except BaseException:
            lock.release()
            raise

    def _open_or_start_over(self, folder: Path, identity: str) -> Rdict:
        try:
            return self._open_rows(folder)
        except Exception as error:
            named = _named(folder, error)
            if isinstance(named, StateDiskFull) or OPEN_HERE in str(error):
                raise named from error
            log.warning("state_discarded", folder=str(folder), why=str(error))
        start_over(folder, identity)
        try:
            return self._open_rows(folder)
        except Exception as error:
            raise _named(folder, error) from error

    def _open_rows(self, folder: Path) -> Rdict:
        tables = BlockBasedOptions()
        tables.set_block_cache(self._cache)
        tables.set_bloom_filter(10, False)
        tables.set_cache_index_and_filter_blocks(True)
        tables.set_pin_l0_filter_and_index_blocks_in_cache(True)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_block_based_table_factory(tables)
        options.set_write_buffer_manager(self._buffers)
        options.set_write_buffer_size(16 * _MIB)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_max_background_jobs(2)
        options.set_keep_log_file_num(1)
        options.set_stats_dump_period_sec(0)
        return Rdict(str(folder / "rows"), options)


def _named(folder: Path, error: Exception) -> StateError:
    """The error of ours for one of RocksDB or the file system."""
    if isinstance(error, StateError):
        return error
    if "No space left on device" in str(error) or "Disk quota exceeded" in str(error):
        return StateDiskFull(str(folder))
    if isinstance(error, OSError) and (why := why_unusable(folder, error, "give another folder in state= or --state")):
        return StateFolderUnusable(str(folder), why)
    return StateCorrupt(str(folder), str(error))
