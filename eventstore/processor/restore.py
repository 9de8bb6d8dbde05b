"""Turn records of a processor's journal topics into the rows of its state (K1).

The two topics are read side by side, in no order between them: where both speak of the same timer, the higher step
wins; what is erased of a stream stays erased, and its head stands, whatever is read of its events (E2).
"""

from __future__ import annotations

from eventstore.event_records import RecordUnreadable, meta_of, stream_and_version, stream_text
from eventstore.log.records import Record
from eventstore.processor.erasure import PREFIX as ERASED
from eventstore.processor.erasure import decode_erasure
from eventstore.processor.guard import UNDONE, decode_stage, stage_of
from eventstore.processor.index import event_key, event_row, head_row, version_of_head
from eventstore.processor.rows import (
    CLEARED,
    Outcome,
    SyncedTo,
    Timer,
    encode_outcome,
    encode_timer,
    outcome_key,
    step_of,
    synced_row,
    timer_key,
)
from eventstore.processor.snapshots import PREFIX as SNAPSHOT
from eventstore.processor.snapshots import version_of_snapshot
from eventstore.processor.topics import DEDUPLICATION_WINDOW_MS
from eventstore.state.port import Row, State
from schemas import Handled, Metadata

ROWS_AT_ONCE = 2_000
"""Rows per write: a write holds the interpreter."""
HEADS_KEPT = 200_000
"""Streams whose last version is kept in memory while restoring."""


class Restore:
    """Restores one partition's state, record by record."""

    def __init__(self, state: State, synced: SyncedTo, now_ms: int) -> None:
        self._state, self._began_ms = state, now_ms
        self._rows: dict[bytes, bytes | None] = {}
        self._heads: dict[bytes, int] = {}
        self._step, self._events, self._journal, _ = synced

    @property
    def positions(self) -> tuple[int, int]:
        """The next positions in the events topic and in the state topic."""
        return self._events, self._journal

    def event(self, record: Record) -> None:
        """Take in a record of the events topic."""
        self._events = record.offset + 1
        stream, version = stream_and_version(record)
        if record.value is None:
            self._rows[event_key(stream, version)] = None
            self._flush_if_large()
            return
        meta = meta_of(record)
        key, value = event_row(stream, version, record.timestamp_ms, record.offset, meta, record.value)
        self._rows[key] = value
        self._head(stream, version)
        if b'"done":' in meta:
            metadata = Metadata.decode(meta)
            if metadata.done is not None:
                self._handled(stream_text(record, stream), metadata, metadata.done, record.timestamp_ms)
        self._flush_if_large()

    def journaled(self, record: Record) -> None:
        """Take in a record of the state topic: its key and value are a row."""
        self._journal = record.offset + 1
        key, value = record.key, record.value
        if key is None:
            raise RecordUnreadable(record.topic, record.partition, record.offset, "it has no key")
        if key[:1] == b"t" and value is not None:
            self._newer(key, value)
        elif key[:1] == ERASED and value is not None:
            self._newer(key, value)
            self._head(key[1:], decode_erasure(value).head)
        elif key[:1] == b"g" and value is not None:
            self._further(key, value)
        elif key[:1] == SNAPSHOT and value is not None:
            self._later(key, value)
        else:
            if key[:1] == b"d" and value is not None:
                self._step = max(self._step, step_of(value))
            self._rows[key] = value
        self._flush_if_large()

    def flush(self, events: int, journal: int, now_ms: int) -> SyncedTo:
        """Write what was taken in, and that everything before these positions was."""
        self._events, self._journal = max(self._events, events), max(self._journal, journal)
        synced = SyncedTo(self._step, self._events, self._journal, now_ms)
        self._state.write([*self._rows.items(), synced_row(synced)])
        self._rows = {}
        return synced

    def _handled(self, key: str, metadata: Metadata, done: Handled, time_ms: int) -> None:
        self._step = max(self._step, done.step)
        if time_ms > self._began_ms - DEDUPLICATION_WINDOW_MS:
            self._rows[outcome_key(done.input)] = encode_outcome(Outcome(done.step, time_ms, done.answer))
        for name in done.cancelled:
            self._newer(timer_key(key, name), encode_timer(Timer(done.step, CLEARED, b"")))
        for name, due_ms, payload in done.timers:
            self._newer(timer_key(key, name), encode_timer(Timer(done.step, due_ms, payload)))
        row = stage_of(metadata)
        if row is not None:
            self._further(*row)

    def _newer(self, key: bytes, value: bytes) -> None:
        step = step_of(value)
        self._step = max(self._step, step)
        known = self._current(key)
        if known is None or step_of(known) <= step:
            self._rows[key] = value

    def _further(self, key: bytes, value: bytes | None) -> None:
        """A saga's step never goes back to an earlier stage (P2), whichever topic speaks of it last."""
        if value is not None and decode_stage(value) >= self._stage(key):
            self._rows[key] = value

    def _stage(self, key: bytes) -> int:
        row = self._current(key)
        return 0 if row is None else min(decode_stage(row), UNDONE)

    def _later(self, key: bytes, value: bytes) -> None:
        """Of two snapshots of an entity the one of the higher version stands (E3)."""
        known = self._current(key)
        if known is None or version_of_snapshot(known) <= version_of_snapshot(value):
            self._rows[key] = value

    def _head(self, stream: bytes, version: int) -> None:
        """Versions of a stream ascend within its partition; what was read before this restore may lie beyond."""
        known = self._heads.get(stream)
        if known is None:
            row = self._state.get(head_row(stream, 0)[0])
            known = -1 if row is None else version_of_head(row)
        if version > known:
            known = version
            key, value = head_row(stream, version)
            self._rows[key] = value
        self._heads[stream] = known
        if len(self._heads) > HEADS_KEPT:
            self._heads.clear()

    def _current(self, key: bytes) -> bytes | None:
        if key in self._rows:
            return self._rows[key]
        return self._state.get(key)

    def _flush_if_large(self) -> None:
        if len(self._rows) >= ROWS_AT_ONCE:
            rows: list[Row] = [*self._rows.items()]
            synced = SyncedTo(self._step, self._events, self._journal, self._began_ms)
            self._state.write([*rows, synced_row(synced)])
            self._rows = {}
