"""State in a dictionary, with a list of its keys that is put in order when somebody scans.

Few new keys since the last scan are inserted one by one, many by sorting again (which is linear on a list in two
ordered parts): no dependency is worth its weight here. A scan sees the rows as they were when it began.

The engine keeps what was written when a state is closed, so that a test can close and open it again.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from weakref import WeakSet

from eventstore.state.port import Row

_FEW = 32
_CHUNK = 256


class MemoryState:
    """Sorted rows in memory."""

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []
        """All keys but those in `_new`, in order, and perhaps some that are gone."""
        self._new: set[bytes] = set()
        self._gone: set[bytes] = set()
        self._scans: WeakSet[_Scan] = WeakSet()
        self._lock = threading.RLock()

    def get(self, key: bytes) -> bytes | None:
        return self._rows.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        with self._lock:
            return list(map(self._rows.get, keys))

    def write(self, rows: Sequence[Row]) -> None:
        with self._lock:
            for scan in list(self._scans):
                scan.detach()
            for key, value in rows:
                if value is None:
                    self._remove(key)
                else:
                    if key not in self._rows:
                        self._add(key)
                    self._rows[key] = value

    def load(self, rows: Mapping[bytes, bytes | None]) -> None:
        self.write([*rows.items()])

    def flush(self) -> None:
        """Memory is not kept anyway."""

    def scan(self, start: bytes, end: bytes | None = None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        with self._lock:
            keys = self._ordered()
            low = bisect_left(keys, start)
            high = len(keys) if end is None else bisect_left(keys, end)
            scan = _Scan(self._rows, keys, low, max(low, high), reverse, self._lock)
            self._scans.add(scan)
            return scan

    def check(self) -> None:
        """Memory is not checked."""

    def close(self) -> None:
        """The rows stay with the engine."""

    def _add(self, key: bytes) -> None:
        if key in self._gone:
            self._gone.remove(key)
        else:
            self._new.add(key)

    def _remove(self, key: bytes) -> None:
        if self._rows.pop(key, None) is None:
            return
        if key in self._new:
            self._new.remove(key)
        else:
            self._gone.add(key)

    def _ordered(self) -> list[bytes]:
        if self._gone:
            self._keys = [key for key in self._keys if key not in self._gone]
            self._gone.clear()
        if self._new:
            if len(self._new) <= _FEW:
                for key in self._new:
                    insort(self._keys, key)
            else:
                self._keys = [*self._keys, *sorted(self._new)]
                self._keys.sort()
            self._new.clear()
        return self._keys


class _Scan(Iterator[tuple[bytes, bytes]]):
    """Rows from a range, copied out only when somebody writes meanwhile."""

    def __init__(
        self, rows: dict[bytes, bytes], keys: list[bytes], low: int, high: int, reverse: bool, lock: threading.RLock
    ) -> None:
        self._rows, self._keys, self._lock = rows, keys, lock
        self._low, self._high, self._reverse = low, high, reverse
        self._ready: list[tuple[bytes, bytes]] = []
        """What comes next, the nearest last."""

    def __next__(self) -> tuple[bytes, bytes]:
        if not self._ready:
            with self._lock:
                self._fill(_CHUNK)
            if not self._ready:
                raise StopIteration
        return self._ready.pop()

    def detach(self) -> None:
        """Copy the rest of the range: the rows are about to change."""
        self._fill(self._high - self._low)

    def _fill(self, count: int) -> None:
        if self._low >= self._high:
            return
        if self._reverse:
            low = max(self._low, self._high - count)
            keys, self._high = self._keys[low : self._high], low
        else:
            high = min(self._high, self._low + count)
            keys, self._low = self._keys[self._low : high][::-1], high
        rows = self._rows
        self._ready = [(key, rows[key]) for key in keys] + self._ready


class MemoryStateEngine:
    """Keeps states by name for as long as it lives."""

    def __init__(self) -> None:
        self._states: dict[str, tuple[str, MemoryState]] = {}
        self._lock = threading.Lock()

    def open(self, name: str, identity: str) -> MemoryState:
        with self._lock:
            known = self._states.get(name)
            if known is None or known[0] != identity:
                known = self._states[name] = (identity, MemoryState())
            return known[1]

    def discard(self, name: str) -> None:
        with self._lock:
            self._states.pop(name, None)
