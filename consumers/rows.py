"""Rows of one table in one partition, as the view's handlers see them.

Reads see the handlers' own writes. Nothing reaches the state before the partition's next write, which holds all rows
that changed and the position they belong to (V2, V4); what is dropped before it never happened.

Decoded rows are kept in two generations of bounded size: a row that is used moves to the young one, and the old one is
forgotten when the young one is full.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, overload

from typing_extensions import TypeVar

from consumers.keys import after_prefix, routing_key
from consumers.view_errors import KeyElsewhere
from eventstore.log.partition import partition_of
from eventstore.state.port import Row, State

if TYPE_CHECKING:
    from consumers.table import Table

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")

CACHED_ROWS: Final = 10_000
"""Decoded rows per generation, table and partition."""

_MISSING: Final[Any] = object()


class Place(Protocol):
    """Where a table's rows lie: the partition that is being computed."""

    number: int
    partitions: int
    pending: int
    """How many rows changed since the last write, over all tables."""

    @property
    def state(self) -> State: ...

    def record_key(self) -> str:
        """The key of the record that is being handled."""
        ...


def table_prefix(name: str) -> bytes:
    """What the state's keys of a table's rows begin with: layout version 1, `r`, the table's name, 0."""
    return b"\x01r" + name.encode() + b"\0"


class Rows(Generic[K, V]):
    """A table as its own view's handlers see it: synchronous, mutable, and only this partition's part of it."""

    def __init__(self, table: Table[K, V], place: Place) -> None:
        self._table, self._place = table, place
        self._prefix = table_prefix(table.name)
        self._exact = table.values.exact
        self._young: dict[K, V | None] = {}
        self._old: dict[K, V | None] = {}
        self._dirty: dict[K, None] = {}

    @overload
    def get(self, key: K, /) -> V | None: ...
    @overload
    def get(self, key: K, default: V, /) -> V: ...
    @overload
    def get(self, key: K, default: D, /) -> V | D: ...
    def get(self, key: K, default: Any = None, /) -> Any:
        """The row, or `default`.

        Raises:
            KeyElsewhere: the key belongs to another partition, and the table has no merge=.
            BadRowKey: the key is not of the table's key type.
        """
        row = self._young.get(key, _MISSING)
        if row is _MISSING:
            row = self._load(key)
        return default if row is None else row

    def __getitem__(self, key: K, /) -> V:
        """The row. Raises KeyError, and what `get` raises."""
        row = self.get(key)
        if row is None:
            raise KeyError(key)
        return row

    def __contains__(self, key: K, /) -> bool:
        return self.get(key) is not None

    def __setitem__(self, key: K, row: V, /) -> None:
        """Set the row.

        Raises:
            KeyElsewhere: the key belongs to another partition, and the table has no merge=.
            BadRow: the row is not of the table's row type.
            BadRowKey: the key is not of the table's key type.
        """
        if type(row) is not self._exact:
            row = self._table.values.checked(row)
        if key in self._dirty:
            self._young[key] = row
        else:
            self._put(key, row)

    def __delitem__(self, key: K, /) -> None:
        """Delete the row. Raises KeyError if there is none."""
        if self.get(key) is None:
            raise KeyError(key)
        self._put(key, None)

    def pop(self, key: K, /) -> V | None:
        """Delete the row and return it; None if there is none."""
        row = self.get(key)
        if row is not None:
            self._put(key, None)
        return row

    def scan(
        self, *, prefix: K | tuple[Any, ...] | None = None, start: K | None = None, end: K | None = None
    ) -> Iterator[tuple[K, V]]:
        """This partition's rows in key order: those that begin with `prefix`, and start ≤ key < end.

        Rows are of the moment it was called: what is written while it is read does not show.
        """
        low, high = bounds(self._table, prefix, start, end)
        changed = self._changed_between(low, high)
        stored = self._place.state.scan(low, high)
        return iter(list(self._overlaid(stored, changed)))

    def _load(self, key: K) -> V | None:
        row = self._old.pop(key, _MISSING)
        if row is _MISSING:
            self._check(key)
            data = self._place.state.get(self._prefix + self._table.keys.encode(key))
            row = None if data is None else self._table.values.decode(data)
        self._young[key] = row
        found: V | None = row
        return found

    def _put(self, key: K, row: V | None) -> None:
        if key not in self._dirty:
            if key not in self._young:
                self._check(key)
                self._old.pop(key, None)
            self._dirty[key] = None
            self._place.pending += 1
        self._young[key] = row

    def _check(self, key: K) -> None:
        """Rule V1: a row lies in the partition of its key, or is merged when it is read."""
        self._table.keys.encode(key)
        if self._table.merge is not None:
            return
        belongs = partition_of(routing_key(key), self._place.partitions)
        if belongs != self._place.number:
            raise KeyElsewhere(
                f"{self._table.view.__name__}.{self._table.name}",
                key,
                partition=self._place.number,
                belongs=belongs,
                record_key=self._place.record_key(),
            )

    def _changed_between(self, low: bytes, high: bytes | None) -> list[tuple[bytes, K]]:
        encode, prefix = self._table.keys.encode, self._prefix
        changed = ((prefix + encode(key), key) for key in self._dirty)
        return sorted((data, key) for data, key in changed if data >= low and (high is None or data < high))

    def _overlaid(self, stored: Iterator[tuple[bytes, bytes]], changed: list[tuple[bytes, K]]) -> Iterator[tuple[K, V]]:
        merged = {data: None for data, _ in changed} | dict(stored)
        overlay = dict(changed)
        for data in sorted(merged):
            if data in overlay:
                key = overlay[data]
                row = self._young[key]
            else:
                value = merged[data]
                assert value is not None, "only changed rows have no stored value"
                key, row = self._table.keys.decode(data[len(self._prefix) :]), self._table.values.decode(value)
            if row is not None:
                yield key, row

    # The partition's side.

    def changes(self) -> list[Row]:
        """The rows that changed since the last write."""
        encode, prefix, values, young = (
            self._table.keys.encode_known,
            self._prefix,
            self._table.values.encode,
            self._young,
        )
        return [(prefix + encode(key), None if (row := young[key]) is None else values(row)) for key in self._dirty]

    def written(self) -> None:
        """The changes are in the state now."""
        self._dirty.clear()
        if len(self._young) > CACHED_ROWS:
            self._old, self._young = self._young, {}

    def drop(self) -> None:
        """Forget what was not written."""
        self._dirty.clear()
        self._young.clear()
        self._old.clear()


def bounds(
    table: Table[K, V], prefix: K | tuple[Any, ...] | None, start: K | None, end: K | None
) -> tuple[bytes, bytes | None]:
    """The state's keys between which the rows of a scan lie.

    Raises:
        BadRowKey: no key of the table begins like that, or is one of these.
    """
    stem = table_prefix(table.name)
    low = stem + (table.keys.prefix(prefix) if prefix is not None else b"")
    high = after_prefix(low)
    if start is not None:
        low = max(low, stem + table.keys.encode(start))
    if end is not None:
        limit = stem + table.keys.encode(end)
        high = limit if high is None else min(high, limit)
    return low, high
