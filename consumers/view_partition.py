"""One partition of a view: its rows, how far it came, and the reads of it.

Rows of the state (rule K13: it holds nothing that the log does not); integers are big-endian:

    01 "r" table 00 key       ->  a row (see `consumers.keys` and `consumers.values`)
    01 "p" topic              ->  01 position:u64, the next offset to handle

A write holds all rows that a run of records changed and the position after it, so a row is never ahead of the position
or behind it (V2, V4). The loop's thread computes; any thread may read.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

import structlog

from consumers.rekeying import original_key
from consumers.rows import Rows
from consumers.view_errors import NotOwnedHere, ViewError, ViewStopped
from eventstore.errors import EventStoreError
from eventstore.event_records import meta_of, place_of
from eventstore.log.records import Record
from eventstore.processor.row_layout import RowLayout
from eventstore.raised import traceback_of
from eventstore.state.port import Row, State
from eventstore.streams import Position, Recorded
from schemas import Event, Metadata, Serde
from schemas.error_text import error_reason

if TYPE_CHECKING:
    from consumers.view import Handling, View, ViewDefinition

MAX_ROWS: Final = 2_000
"""A state write holds the interpreter lock: about so many rows at most, unless one record changes more (V4)."""

_POSITION = RowLayout("a view's position", "Q")
_MISSING: Final[Any] = object()
_HEAD: Final = 5
"""Bytes of a value that say its schema."""

log = structlog.get_logger(__name__)


class Dispatch:
    """Finds the handler of a record by its schema, without decoding."""

    def __init__(self, definition: ViewDefinition, serde: Serde) -> None:
        self._serde = serde
        self._by_name = {event.__type_name__: handling for event, handling in definition.handlers.items()}
        self.known: dict[bytes, Handling | None] = {}

    def find(self, value: bytes) -> Handling | None:
        """The handler of a type; None if the view does not name it.

        Raises:
            SchemaError: the bytes are no message, or the registry does not know their schema.
        """
        handling = self._by_name.get(self._serde.type_of(value).name)
        self.known[value[:_HEAD]] = handling
        return handling


class ViewPartition:
    """Computes and serves one partition of a view."""

    def __init__(
        self,
        definition: ViewDefinition,
        dispatch: Dispatch,
        serde: Serde,
        *,
        number: int,
        partitions: int,
        state: State,
    ) -> None:
        self.number, self.partitions = number, partitions
        self.pending = 0
        self.applied = self.skipped = self.written = 0
        self.is_live = False
        self.error: ViewStopped | None = None
        self._definition, self._dispatch, self._serde, self._state = definition, dispatch, serde, state
        self._record: Record | None = None
        self._lock = threading.Lock()
        self._is_closed = False
        self._waiting: list[tuple[str, int, Future[None]]] = []
        self._positions = {topic: self._stored(topic) for topic in definition.topics}
        self._visible = dict(self._positions)
        self._is_behind = False
        self._rows: dict[str, Rows[Any, Any]] = {name: Rows(one, self) for name, one in definition.tables.items()}
        self._view: View = definition.view.__new__(definition.view)
        vars(self._view).update(self._rows)

    # What rows see of it.

    @property
    def state(self) -> State:
        """The state of this partition."""
        return self._state

    def record_key(self) -> str:
        """The key of the record that is being handled."""
        record = self._record
        return "" if record is None else (record.key or b"").decode(errors="replace")

    # The loop's side.

    @property
    def positions(self) -> Mapping[str, int]:
        """The next offset to handle, by topic."""
        return self._positions

    @property
    def has_changes(self) -> bool:
        """Whether something was handled since the last write."""
        return self._is_behind

    def apply(self, topic: str, records: Sequence[Record]) -> None:
        """Handle records of this partition, in order. Those before the position are passed over.

        A record that fails stops the partition: what was not written is dropped, and `error` says why.

        Raises:
            StateError: the rows could not be written; open the partition anew.
        """
        if self.error is not None or not records:
            return
        position = self._positions[topic]
        if records[0].offset < position:
            records = [record for record in records if record.offset >= position]
        try:
            self._handle(topic, records)
        except EventStoreError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a handler raises stops the partition, named
            self._stop(error)

    def _handle(self, topic: str, records: Sequence[Record]) -> None:
        known, decode, view, skipped = self._dispatch.known, self._serde.decode, self._view, 0
        for record in records:
            self._record = record
            value = record.value
            handling = None if value is None else known.get(value[:_HEAD], _MISSING)
            if handling is _MISSING:
                handling = self._dispatch.find(cast("bytes", value))
            if handling is None:
                skipped += 1
                continue
            event = decode(cast("bytes", value))
            if handling.wants_recorded:
                handling.call(view, event, _recorded(record, event))
            else:
                handling.call(view, event)
            if self.pending >= MAX_ROWS:
                self._advance(topic, record.offset + 1)
                self.flush()
        self.skipped += skipped
        self.applied += len(records) - skipped
        if records:
            self._advance(topic, records[-1].offset + 1)

    def advance(self, topic: str, position: int) -> None:
        """Everything before `position` was read: what was not handed in is no record."""
        if self.error is None and position > self._positions[topic]:
            self._advance(topic, position)

    def _advance(self, topic: str, position: int) -> None:
        self._positions[topic] = position
        self._is_behind = True

    def flush(self) -> None:
        """Write what changed, with the positions, in one write.

        Raises:
            StateDiskFull: nothing was written.
        """
        if self.error is not None or not self._is_behind:
            return
        try:
            changes = [row for rows in self._rows.values() for row in rows.changes()]
        except (
            ViewError
        ) as error:  # a row that has no bytes; which of the records since the last write set it is not known
            self._stop(error)
            return
        self._state.write([*changes, *self._position_rows()])
        for rows in self._rows.values():
            rows.written()
        self.written += len(changes)
        self.pending = 0
        self._is_behind = False
        with self._lock:
            self._visible = dict(self._positions)
            has_readers = bool(self._waiting)
        if has_readers:
            self._wake()

    def _position_rows(self) -> list[Row]:
        return [(_position_key(topic), _POSITION.pack(position)) for topic, position in self._positions.items()]

    def _stop(self, error: Exception) -> None:
        record = self._record
        assert record is not None, "a record failed"
        for rows in self._rows.values():
            rows.drop()
        self.pending, self._is_behind = 0, False
        where = f"{record.topic}[{record.partition}]@{record.offset}"
        what = error_reason(error)
        self.error = ViewStopped(self._definition.full_name, self.number, record=where, error=what)
        self.error.__cause__ = error
        self._positions = dict(self._visible)
        log.error("view_stopped", view=self._definition.full_name, partition=self.number, record=where, error=what)
        log.debug("view_stopped_at", view=self._definition.full_name, partition=self.number, **traceback_of(error))
        self._wake()

    def close(self) -> None:
        """Write what changed, unless it stopped, and release the state."""
        try:
            self.flush()
        finally:
            with self._lock:
                self._is_closed = True
                self.is_live = False
                self._state.close()
            self._wake()

    def _stored(self, topic: str) -> int:
        row = self._state.get(_position_key(topic))
        return 0 if row is None else int(_POSITION.whole(row)[0])

    # The readers' side.

    def position(self, topic: str) -> int:
        """How far readers see the topic handled."""
        return self._visible[topic]

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of keys of the state.

        Raises:
            ViewStopped: a handler failed here.
            NotOwnedHere: it is not served (any more, or yet).
        """
        with self._lock:
            self._check_served()
            return [self._state.get(key) for key in keys]

    def scan(self, start: bytes, end: bytes | None, limit: int, *, reverse: bool = False) -> list[tuple[bytes, bytes]]:
        """Up to `limit` rows of the state with start ≤ key < end. Raises what `get` raises."""
        with self._lock:
            self._check_served()
            return list(islice(self._state.scan(start, end, reverse=reverse), limit))

    def reached(self, topic: str, position: int) -> Future[None]:
        """Resolved when readers see the topic handled up to `position`, or when that will not happen here."""
        future: Future[None] = Future()
        with self._lock:
            if self._visible.get(topic, position) >= position or self._is_closed or self.error is not None:
                future.set_result(None)
            else:
                self._waiting.append((topic, position, future))
        return future

    def _wake(self) -> None:
        with self._lock:
            over = self._is_closed or self.error is not None
            due = [one for one in self._waiting if over or self._visible[one[0]] >= one[1]]
            self._waiting = [one for one in self._waiting if one not in due]
        for _, _, future in due:
            if future.set_running_or_notify_cancel():
                future.set_result(None)

    def _check_served(self) -> None:
        if self.error is not None:
            raise self.error
        if self._is_closed or not self.is_live:
            raise NotOwnedHere(self._definition.name, self._definition.version, self.number)


def _position_key(topic: str) -> bytes:
    return b"\x01p" + topic.encode()


def _recorded(record: Record, event: Any) -> Recorded[Event]:
    stream, version = place_of(record, original_key(record))
    return Recorded(
        event,
        version,
        stream,
        Metadata.decode(meta_of(record)),
        datetime.fromtimestamp(record.timestamp_ms / 1000, UTC),
        Position.at(record.partition, record.offset + 1),
    )
