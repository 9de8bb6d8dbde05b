"""What is erased of the streams of one partition (E2).

The record in the state topic *is* the deletion: it is committed with the outcome of the input that asked for it, and
from then on the events below `first` do not exist for readers, whatever the events topic still holds. Tombstones for
their keys follow in batches; `done` says how far they were written. The record is never removed, for it also keeps the
stream's head when all its events are gone: versions are not used again.

Row and record, integers big-endian:

    b"s" stream-bytes    ->  1 step:u64 first:u64 head:u64 done:u64

`first`: the first version that is kept; a stream whose head lies below it is deleted. `head`: the version of the
stream's last event when this was written. `done`: tombstones are written for all versions below it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from eventstore.processor.guard import stage_of
from eventstore.processor.rows import decode_outcome, encode_outcome, outcome_key, timer_key
from eventstore.state.port import Row, State
from schemas import Metadata

PREFIX = b"s"
TOMBSTONES_AT_ONCE = 500
"""Tombstones that one batch writes at most for one partition."""
_ERASED = struct.Struct(">BQQQQ")


class Erasure(NamedTuple):
    """How much of a stream is erased, and how much of that is tombstoned."""

    step: int = 0
    first: int = 0
    head: int = 0
    done: int = 0


NOTHING_ERASED = Erasure()


def erasure_key(stream: bytes) -> bytes:
    """Where it is kept what is erased of a stream."""
    return PREFIX + stream


def encode_erasure(erased: Erasure) -> bytes:
    """The row's value."""
    return _ERASED.pack(1, *erased)


def decode_erasure(value: bytes) -> Erasure:
    """What `encode_erasure` was given."""
    return Erasure(*_ERASED.unpack(value)[1:])


class Erasures:
    """What is erased in one partition: in its state, and by the batch under way."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._batch: dict[str, Erasure] = {}
        self._begun: dict[str, int] = {}
        self._open: dict[str, Erasure] = {}
        """Streams whose tombstones are not all committed, as their rows say."""
        for key, value in state.scan(PREFIX, b"t"):
            erased = decode_erasure(value)
            if erased.done < erased.first:
                self._open[key[1:].decode()] = erased

    def find(self, stream: str) -> Erasure:
        """What is erased of a stream, the batch under way included."""
        erased = self._batch.get(stream)
        if erased is None:
            row = self._state.get(erasure_key(stream.encode()))
            erased = NOTHING_ERASED if row is None else decode_erasure(row)
        return erased

    def are_open(self) -> bool:
        """Whether tombstones are to be written. Any thread may ask."""
        return bool(self._open)

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

    def applied(self) -> None:
        """The batch is in the state."""
        for stream, erased in self._batch.items():
            self._open.pop(stream, None)
            if erased.done < erased.first:
                self._open[stream] = erased
        self.dropped()

    def dropped(self) -> None:
        """The batch never happened."""
        self._batch.clear()
        self._begun.clear()


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
