"""Tombstones of what is erased in one partition: which are to be written, and what is kept of the events that go (E2).

They are written in batches, by the partition's owner, in the unit's transactions; the record that says what is erased
also says how far they are, so the next owner goes on.

Kafka's cleaner leaves a partition's newest segment alone, and a segment ends when something is appended after its time.
So that a partition which nobody writes to is cleaned, too, the last tombstone is written once more when that time is
over. Which one, and when it was written, is a row and a record until that was done (integers big-endian):

    b"r"    ->  1 written_ms:i64 version:u64 stream-bytes
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from eventstore.processor.erasure import NOTHING_ERASED, PREFIX, Erasure, decode_erasure, encode_erasure, erasure_key
from eventstore.processor.guard import stage_of
from eventstore.processor.row_layout import RowLayout
from eventstore.processor.rows import decode_outcome, encode_outcome, outcome_key, timer_key
from eventstore.processor.topics import SEGMENT_MS
from eventstore.state.port import Row, State
from schemas import Metadata

TOMBSTONES_AT_ONCE = 500
"""Tombstones that one batch writes at most for one partition."""
ROLL_AFTER_MS = SEGMENT_MS + 60 * 60 * 1000
"""How long after the last tombstone of a partition it is written again: its segment has ended by then."""
LAST_KEY = b"r"
_LAST = RowLayout("the last tombstone", "qQ")


class LastTombstone(NamedTuple):
    """The tombstone that a partition wrote last."""

    written_ms: int
    stream: bytes
    version: int


class Erasures:
    """What is erased in one partition: in its state, and by the batch under way."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._batch: dict[str, Erasure] = {}
        self._begun: dict[str, int] = {}
        self._open: dict[str, Erasure] = {}
        """Streams whose tombstones are not all committed, as their rows say."""
        self._last = self._stored_last()
        for key, value in state.scan(PREFIX, b"t"):
            erased = decode_erasure(value)
            if erased.done < erased.first:
                self._open[_LAST.text(key[1:])] = erased

    def find(self, stream: str) -> Erasure:
        """What is erased of a stream, the batch under way included."""
        erased = self._batch.get(stream)
        if erased is None:
            row = self._state.get(erasure_key(stream.encode()))
            erased = NOTHING_ERASED if row is None else decode_erasure(row)
        return erased

    def are_due(self, now_ms: int) -> bool:
        """Whether tombstones are to be written. Any thread may ask."""
        last = self._last
        return bool(self._open) or (last is not None and now_ms >= last.written_ms + ROLL_AFTER_MS)

    def next_open(self) -> tuple[str, Erasure] | None:
        """A stream whose tombstones are not all written."""
        stream = next(iter(self._open), None)
        return None if stream is None else (stream, self.find(stream))

    def change(self, stream: str, erased: Erasure) -> Row:
        """Note what the batch erases or tombstones; returns its row."""
        self._batch[stream] = erased
        return erasure_key(stream.encode()), encode_erasure(erased)

    def begin(self, stream: str, step: int, first: int) -> Row:
        """Let a stream that never had an event begin at a version, as if earlier ones were erased; returns its row."""
        self._begun[stream] = first - 1
        return self.change(stream, Erasure(step, first, first - 1, first))

    def head(self, stream: str, indexed: int) -> int:
        """The version before the stream's events of this batch. `indexed`: as the index says."""
        return self._begun.get(stream, indexed)

    def to_repeat(self, now_ms: int) -> LastTombstone | None:
        """The tombstone that is to be written once more."""
        last = self._last
        return last if last is not None and now_ms >= last.written_ms + ROLL_AFTER_MS else None

    def wrote(self, last: LastTombstone | None) -> Row:
        """Note the last tombstone of the batch; None: it was written once more. Returns its row."""
        self._last = last
        if last is None:
            return LAST_KEY, None
        return LAST_KEY, _LAST.pack(last.written_ms, last.version) + last.stream

    def applied(self) -> None:
        """The batch is in the state."""
        for stream, erased in self._batch.items():
            self._open.pop(stream, None)
            if erased.done < erased.first:
                self._open[stream] = erased
        self._forget_batch()

    def dropped(self) -> None:
        """The batch never happened."""
        self._forget_batch()
        self._last = self._stored_last()

    def _forget_batch(self) -> None:
        self._batch.clear()
        self._begun.clear()

    def _stored_last(self) -> LastTombstone | None:
        row = self._state.get(LAST_KEY)
        return None if row is None else decode_last(row)


def decode_last(row: bytes) -> LastTombstone:
    """The tombstone that a partition wrote last.

    Raises:
        RowDamaged: the row says none.
    """
    written_ms, version = _LAST.begin(row)
    return LastTombstone(written_ms, row[_LAST.size :], version)


def kept_of(meta: bytes, key: str, current: Callable[[bytes], bytes | None]) -> list[Row]:
    """What only an event's metadata `meta` tells a successor, as rows for the state topic: the event is going (K1).

    That is the outcome of the input that made it, while it is remembered, how its timers stand now, and the stage of
    its saga's step. `current`: the value of a row, the batch under way included.
    """
    if b'"done":' not in meta:
        return []
    metadata = Metadata.decode(meta)
    done = metadata.done
    if done is None:
        return []
    at = outcome_key(done.input)
    row = current(at)
    rows: list[Row] = [] if row is None else [(at, encode_outcome(decode_outcome(row)._replace(is_journaled=True)))]
    changed = [timer_key(key, name) for name in (*done.cancelled, *(name for name, _, _ in done.timers))]
    rows += [(timer, row) for timer in changed if (row := current(timer)) is not None]
    stage = stage_of(metadata)
    if stage is not None and (row := current(stage[0])) is not None:
        rows.append((stage[0], row))
    return rows
