"""A state whose small writes are written together.

To RocksDB, thousands of rows at once cost half of what the same rows cost in tens, and of a key that changes often,
such as the head of a busy stream, one row is written instead of many. So what is written is kept in memory until there
is enough of it, or somebody scans. It is read at once. Few rows are written at once: there is no haste then that would
be worth it.

A kill of the process takes what was written last, whole writes of it: 2,000 rows at most, and none if the last write
was small. Who uses this restores that from the log, as a row that says how far the state goes is part of every write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from threading import Lock

import structlog

from eventstore.state.errors import StateError
from eventstore.state.port import Row, State

log = structlog.get_logger()

ROWS = 2_000
"""Rows that are written at once: more would keep other threads waiting."""
FEW = 16
"""Rows that are not worth waiting for more."""
_ELSEWHERE = b"\0 not in memory"


class BufferedState:
    """Sorted rows of one partition: those of another state, and what is not in it yet."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._rows: dict[bytes, bytes | None] = {}
        self._lock = Lock()
        self._failure: Exception | None = None
        """Why rows could not be written. Then no others may be, for they come after these."""

    def get(self, key: bytes) -> bytes | None:
        value = self._rows.get(key, _ELSEWHERE)
        return self._state.get(key) if value is _ELSEWHERE else value

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        rows = self._rows
        if not rows:
            return self._state.get_many(keys)
        found = [rows.get(key, _ELSEWHERE) for key in keys]
        missing = [key for key, value in zip(keys, found, strict=True) if value is _ELSEWHERE]
        others = iter(self._state.get_many(missing))
        return [next(others) if value is _ELSEWHERE else value for value in found]

    def write(self, rows: Sequence[Row] | Mapping[bytes, bytes | None]) -> None:
        """All rows or none; a kill of the process may take them, unless they are few.

        Raises:
            StateDiskFull: nothing was written, now or any more. What was written before is still read.
        """
        with self._lock:
            self._check()
            self._rows.update(rows)
            if len(self._rows) >= ROWS or len(rows) < FEW:
                self._drain()

    def load(self, rows: Mapping[bytes, bytes | None]) -> None:
        self.flush()
        self._state.load(rows)

    def flush(self) -> None:
        with self._lock:
            self._drain()
        self._state.flush()

    def scan(self, start: bytes, end: bytes | None = None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        if self._rows:
            with self._lock:
                self._drain()
        return self._state.scan(start, end, reverse=reverse)

    def close(self) -> None:
        try:
            if self._failure is None:
                with self._lock:
                    self._drain()
        except StateError as error:
            log.warning("state_not_flushed", error=str(error), why="the rows are restored from the log")
        finally:
            self._rows = {}
            self._state.close()

    def _drain(self) -> None:
        """Write everything. It stays here until it is there, for those who read meanwhile."""
        self._check()
        rows = self._rows
        if not rows:
            return
        try:
            self._state.write([*rows.items()])
        except Exception as error:
            self._failure = error
            raise
        self._rows = {}

    def _check(self) -> None:
        if self._failure is not None:
            raise StateError(f"the state takes nothing more since rows could not be written: {self._failure}")
