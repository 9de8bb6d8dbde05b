"""Turn records of a processor's journal topics into the rows of its state (K1).

The two topics are read side by side, in no order between them: where both speak of the same timer, the higher step
wins; what is erased of a stream stays erased, and its head stands, whatever is read of its events (E2).

Rows are kept until there are many, and then loaded with the positions that they go up to: a kill takes some of the
newest rows with their positions, and those records are read again. Heads are written last, once per stream.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import msgspec

from eventstore.event_records import VERSION_DIGITS, RecordUnreadable, meta_of, stream_and_version, stream_text
from eventstore.log.records import Record
from eventstore.processor.erasure import PREFIX as ERASED
from eventstore.processor.erasure import decode_erasure
from eventstore.processor.guard import UNDONE, decode_stage, stage_of
from eventstore.processor.index import head_row, packed_event, packed_version, version_of_head
from eventstore.processor.row_layout import RowDamaged
from eventstore.processor.rows import (
    CLEARED,
    Outcome,
    SyncedTo,
    Timer,
    encode_outcome,
    encode_timer,
    outcome_key,
    packed_outcome,
    step_of,
    synced_row,
    timer_key,
)
from eventstore.processor.snapshots import PREFIX as SNAPSHOT
from eventstore.processor.snapshots import version_of_snapshot
from eventstore.processor.topics import DEDUPLICATION_WINDOW_MS
from eventstore.state.port import State
from schemas import Metadata, Undecodable

ROWS_AT_ONCE = 80_000
"""Rows that all restores of a loop keep together until they load them; heads of busy streams are among them once."""
BYTES_AT_ONCE = 32 << 20
"""Bytes that the events of those may have."""
HEADS_KNOWN = 20_000
"""Of so many streams, and those of one portion, a restore knows the heads that it wrote."""
FEWEST_ROWS, FEWEST_BYTES = 1_000, 256 << 10
"""What one restore may keep, however many there are."""


class _Done(msgspec.Struct, frozen=True, gc=False):
    """`schemas.Handled`, read fast."""

    step: int
    input: str
    answer: bytes | None = None
    timers: list[tuple[str, int, bytes]] | None = None
    cancelled: list[str] | None = None
    content: int = 0


class _Told(msgspec.Struct, frozen=True, tag_field="v", tag=1, gc=False):
    """What is needed of `schemas.Metadata`."""

    attributes: dict[str, str] | None = None
    done: _Done | None = None


_told = msgspec.json.Decoder(_Told).decode


class Restore:
    """Restores one partition's state from where it stands."""

    def __init__(self, state: State, synced: SyncedTo, now_ms: int) -> None:
        self._state = state
        self._rows: dict[bytes, bytes | None] = {}
        self._heads: dict[bytes, int] = {}
        """The highest versions of streams that were read since rows were written last."""
        self._written_heads: dict[bytes, int] = {}
        """What the rows say of streams' heads, as far as it is known."""
        self._step, self._events, self._journal, synced_ms = synced
        self._now_ms = now_ms
        self.in_sync_ms = synced_ms or now_ms
        """When everything that there was had been read; or, of rows that never had everything, when that began."""
        self._is_loading = False
        """Whether rows were loaded that a kill may still take."""
        self._bytes = 0
        self.share(1)

    @property
    def positions(self) -> tuple[int, int]:
        """The next positions in the events topic and in the state topic."""
        return self._events, self._journal

    def share(self, restores: int) -> None:
        """So many restores keep rows at the same time."""
        self._most_rows = max(FEWEST_ROWS, ROWS_AT_ONCE // restores)
        self._most_bytes = max(FEWEST_BYTES, BYTES_AT_ONCE // restores)

    def events(self, records: Sequence[Record]) -> None:
        """Take in records of the events topic, in their order."""
        try:
            self._take_events(records)
        except struct.error as error:
            raise RowDamaged("an event", str(error)) from error
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise Undecodable("metadata", str(error)) from error
        if records:
            self._events = records[-1].offset + 1
            self._load_if_many()

    def _take_events(self, records: Sequence[Record]) -> None:
        """What a restore spends its time in: each call in here counts."""
        rows, heads, step, size = self._rows, self._heads, self._step, self._bytes
        remembered_ms = self._now_ms - DEDUPLICATION_WINDOW_MS
        for record in records:
            value, time_ms, headers = record.value, record.timestamp_ms, record.headers
            stream, _, number = (record.key or b"").rpartition(b"/")
            if not number.isdigit() or len(number) > VERSION_DIGITS:
                stream_and_version(record)  # which raises
            version = int(number)
            key = b"e%b\0%b" % (stream, packed_version(version))
            if value is None:
                rows[key] = None
                continue
            meta = headers[0][1] if headers and headers[0][0] == "meta" else meta_of(record)
            rows[key] = row = packed_event(time_ms, record.offset, len(meta)) + meta + value
            size += len(row)
            if version > heads.get(stream, -1):
                heads[stream] = version
            if meta.rfind(b'"done":') < 0 or (done := (told := _told(meta)).done) is None:
                continue
            if done.step > step:  # noqa: PLR1730 - max() is a call
                step = done.step
            if time_ms > remembered_ms:
                answer = done.answer
                rows[b"d" + done.input.encode()] = (
                    packed_outcome(done.step, time_ms, 0)
                    if answer is None
                    else packed_outcome(done.step, time_ms, 1) + answer
                )
            if done.timers or done.cancelled or told.attributes or done.content:
                self._handled(record, stream, meta)
        self._step, self._bytes = max(self._step, step), size

    def journaled(self, records: Sequence[Record]) -> None:
        """Take in records of the state topic, in their order: their keys and values are rows."""
        for record in records:
            key, value = record.key, record.value
            if key is None:
                raise RecordUnreadable(record.topic, record.partition, record.offset, "it has no key")
            if value is None:
                self._rows[key] = None
            else:
                self._row(key, value)
                self._bytes += len(value)
        if records:
            self._journal = records[-1].offset + 1
            self._load_if_many()

    def reached(self, events: int, journal: int) -> None:
        """The journals were read so far, and there was nothing more than what was taken in."""
        self._events, self._journal = max(self._events, events), max(self._journal, journal)

    def forget(self, keys: Iterable[bytes]) -> None:
        """These rows are of no use any more."""
        self._rows.update(dict.fromkeys(keys))

    def in_sync(self, as_of_ms: int) -> None:
        """Everything that there was at that time was taken in."""
        self.in_sync_ms = self._now_ms = max(self.in_sync_ms, as_of_ms)

    def write(self) -> SyncedTo:
        """Write what was taken in, and how far that goes: from now on it survives a kill of the process."""
        synced = SyncedTo(self._step, self._events, self._journal, self.in_sync_ms)
        if self._is_loading:
            self._load()
            self._state.flush()
            self._is_loading = False
        else:
            self._state.write([*self._take_rows(synced).items()])
        return synced

    def finish(self, now_ms: int) -> SyncedTo:
        """As `write`; it is in sync as of now."""
        self.in_sync(now_ms)
        synced = self.write()
        self._written_heads = {}
        return synced

    def _load_if_many(self) -> None:
        if len(self._rows) >= self._most_rows or self._bytes >= self._most_bytes:
            self._load()

    def _load(self) -> None:
        self._is_loading = True
        self._state.load(self._take_rows(SyncedTo(self._step, self._events, self._journal, self.in_sync_ms)))

    def _take_rows(self, synced: SyncedTo) -> dict[bytes, bytes | None]:
        """What is to be written now."""
        rows, self._rows, self._bytes = self._rows, {}, 0
        heads, self._heads = self._heads, {}
        written = self._known_heads(heads)
        for stream, version in heads.items():
            if version > written[stream]:
                written[stream] = version
                key, value = head_row(stream, version)
                rows[key] = value
        key, value = synced_row(synced)
        rows[key] = value
        return rows

    def _known_heads(self, wanted: Iterable[bytes]) -> dict[bytes, int]:
        """What the rows say of these streams' heads, and of others'; −1: nothing."""
        known = self._written_heads
        if len(known) > HEADS_KNOWN:
            known.clear()
        streams = [stream for stream in wanted if stream not in known]
        rows = self._state.get_many([head_row(stream, 0)[0] for stream in streams])
        known.update(zip(streams, (-1 if row is None else version_of_head(row) for row in rows), strict=True))
        return known

    def _row(self, key: bytes, value: bytes) -> None:
        """A row that the state topic has."""
        kind = key[:1]
        if kind == b"t":
            self._newer(key, value)
        elif kind == ERASED:
            self._newer(key, value)
            self._head(key[1:], decode_erasure(value).head)
        elif kind == b"g":
            self._further(key, value)
        elif kind == SNAPSHOT:
            self._later(key, value)
        else:
            if kind == b"d":
                self._step = max(self._step, step_of(value))
            self._rows[key] = value

    def _handled(self, record: Record, stream: bytes, meta: bytes) -> None:
        """What the last event of a commit says beside the outcome: timers, and the stage of a saga's step."""
        key, metadata = stream_text(record, stream), Metadata.decode(meta)
        done = metadata.done
        assert done is not None, "it was read before"
        if done.content and (at := outcome_key(done.input)) in self._rows:
            outcome = Outcome(done.step, record.timestamp_ms, done.answer, False, done.content)
            self._rows[at] = encode_outcome(outcome)
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
        """Versions of a stream ascend within its partition; what was read before may lie beyond."""
        self._heads[stream] = max(version, self._heads.get(stream, -1))

    def _current(self, key: bytes) -> bytes | None:
        if key in self._rows:
            return self._rows[key]
        return self._state.get(key)
