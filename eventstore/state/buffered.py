"""A state whose small writes are written together.

To RocksDB, thousands of rows at once cost half of what the same rows cost in tens, and of a key that changes often,
such as the head of a busy stream, one row is written instead of many. So what is written is kept in memory until its
thread has nothing else to do (`relieve`) and there is enough of it, until it is a tenth of a second old, or somebody
scans. It is read at once. Few rows are written at once: there is no haste then that would be worth it.

A kill of the process takes what was written last, whole writes of it: a tenth of a second's, 8,000 rows at most, and
none if the last write was small. Who uses this restores that from the log, as a row that says how far the state goes is
part of every write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock

import structlog

from eventstore.state.errors import StateError
from eventstore.state.port import Row, State

log = structlog.get_logger()

MUCH = 2_000
"""Rows that are worth writing together; many more at once would keep other threads waiting."""
MOST = 8_000
"""Rows that are written at once even if nothing else waits just then: they are not to fill the memory."""
LATEST_SECONDS = 0.1
"""How old rows may become here, if `settle` is called now and then."""
SOON_SECONDS = 0.08
"""How old rows are that will be late soon."""
FEW = 16
"""Rows that are not worth waiting for more."""
_ELSEWHERE = b"\0 not in memory"


class BufferedState:
    """Sorted rows of one partition: those of another state, and what is not in it yet."""

    def __init__(self, state: State, monotonic: Callable[[], float]) -> None:
        """`monotonic`: seconds since some instant."""
        self._state, self._monotonic = state, monotonic
        self._since = 0.0
        """When the oldest row came."""
        self._rows: dict[bytes, bytes | None] = {}
        self._lock = Lock()
        self._failure: Exception | None = None
        """Why rows could not be written. Then no others may be, for they come after these."""
        self._untold: Exception | None = None
        """The same, while nobody was told."""

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
            if not self._rows:
                self._since = self._monotonic()
            self._rows.update(rows)
            if len(self._rows) >= MOST or len(rows) < FEW or self._is_late():
                self._drain()

    def relieve(self) -> None:
        """Write what is there, if it is much or would be late soon: for a moment in which this thread would only wait.

        Raises nothing: what went wrong is raised by the next write.
        """
        if len(self._rows) < MUCH and not (self._rows and self._is_late(SOON_SECONDS)):
            return
        with self._lock:
            try:
                self._drain()
            except Exception as error:  # noqa: BLE001 - kept for the next write, which is where somebody expects it
                self._untold = error

    def check(self) -> None:
        self._state.check()

    def settle(self) -> None:
        """Write what is late.

        Raises:
            StateDiskFull: nothing was written.
        """
        if self._rows and self._is_late():
            with self._lock:
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
            if self._failure is None or self._untold is not None:
                with self._lock:
                    self._drain()
        except StateError as error:
            log.warning("state_not_flushed", error=str(error), why="the rows are restored from the log")
        finally:
            self._rows = {}
            self._state.close()

    def _is_late(self, seconds: float = LATEST_SECONDS) -> bool:
        return self._monotonic() - self._since >= seconds

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
        if self._untold is not None:
            error, self._untold = self._untold, None
            raise error
        if self._failure is not None:
            raise StateError(f"the state takes nothing more since rows could not be written: {self._failure}")
