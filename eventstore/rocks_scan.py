"""Read rows of RocksDB in the order of their keys, or against it.

A cursor of RocksDB ends where it cannot read on, as if there were no more rows, and rocksdict's iterators do not say
which it was: here, whoever comes to an end asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rocksdict import Rdict, RdictIter, ReadOptions

Named = Callable[[Exception], Exception]
"""The error to raise in place of RocksDB's."""


class Scan(Iterator[tuple[bytes, bytes]]):
    """Rows with start ≤ key < end as they are when it is made; `end` None: to the last. Of use until it is ended."""

    def __init__(
        self, database: Rdict, named: Named, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> None:
        """Raises what `named` gives."""
        options = ReadOptions()
        if end is not None and not reverse:
            options.set_iterate_upper_bound(end)
        self._named, self._down_to = named, start if reverse else None
        self._bound = options, end
        """Kept as long as the cursor: rocksdict 0.3.29 does not, and looks into it all the same."""
        self._cursor: RdictIter | None = None
        try:
            self._cursor = cursor = database.iter(options)
            if reverse:
                _seek_below(cursor, end)
            else:
                cursor.seek(start)
        except Exception as error:
            self._cursor = cursor = None
            raise named(error) from error

    def __next__(self) -> tuple[bytes, bytes]:
        cursor, down_to = self._cursor, self._down_to
        if cursor is None:
            raise self._named(RuntimeError("closed"))
        try:
            key: Any = cursor.key()
            if key is None:
                cursor.status()
            elif down_to is None:
                row = key, cursor.value()
                cursor.next()
                return row
            elif key >= down_to:
                row = key, cursor.value()
                cursor.prev()
                return row
        except Exception as error:
            self._cursor = cursor = None  # the error's traceback would keep RocksDB open
            raise self._named(error) from error
        raise StopIteration

    def end(self) -> None:
        """Let go of RocksDB."""
        self._cursor = None


def _seek_below(cursor: RdictIter, end: bytes | None) -> None:
    """To the last row before `end`; None: to the last. rocksdict 0.3.29 takes a lower bound for an upper one."""
    if end is None:
        cursor.seek_to_last()
        return
    cursor.seek_for_prev(end)
    if cursor.key() == end:
        cursor.prev()
