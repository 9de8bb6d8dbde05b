"""The rows of a partition's state besides its events and heads (see `eventstore.processor.index`), and what is erased
of them (see `eventstore.processor.erasure`), and snapshots (see `eventstore.processor.snapshots`).

Every value begins with version byte 1; integers are big-endian:

    b"d" input-id          ->  1 step:u64 time_ms:i64 flags:u8 content:u64 answer   outcome of a handled input (K8);
                               flag 1: has an answer, flag 2: is in the state topic, flag 4: has a content
    b"t" key 0x00 name     ->  1 step:u64 due_ms:i64 payload                     a timer; due −1: cancelled or fired
    b"g" saga/step         ->  1 stage:u8                                        a saga's step: 1 done, 2 undone (P2)
    b"o" service           ->  1    who took the partition first, see `eventstore.processor.first_take` (K12)
    b"u" input-id          ->  a stashed input, see `eventstore.processor.stash` (K7)
    b"m"                   ->  1 step:u64 events:i64 state:i64 synced_ms:i64     how far this state goes

Records of the state topic have the rows' keys, and the rows' values with the step added where the row has none, so that
a successor writes them as they are, the higher step winning.
"""

from __future__ import annotations

from typing import NamedTuple

from eventstore.processor.row_layout import RowDamaged, RowLayout
from eventstore.state.port import Row

POSITION_KEY = b"m"
_OUTCOME = RowLayout("an outcome", "QqB")
_TIMER = RowLayout("a timer", "Qq")
_POSITION = RowLayout("its position", "Qqqq")
_STEP = RowLayout("a row with a step", "Q")
packed_outcome = _OUTCOME.packed
"""What the row of an outcome begins with: for loops, see `eventstore.processor.restore`."""
_CONTENT_BYTES = 8
CLEARED = -1


class Outcome(NamedTuple):
    """What became of an input."""

    step: int
    time_ms: int
    answer: bytes | None
    is_journaled: bool = False
    """Whether the state topic has it; else an event's metadata does."""
    content: int = 0
    """A digest of what the input said (see `eventstore.content`); 0: none was given."""


class Timer(NamedTuple):
    """A message to come. `due_ms` −1: none any more."""

    step: int
    due_ms: int
    payload: bytes


class SyncedTo(NamedTuple):
    """How far a state goes: the last step, the next positions in both journal topics, and when that was written."""

    step: int
    events: int
    state: int
    synced_ms: int


def outcome_key(input_id: str) -> bytes:
    """Where the outcome of an input is."""
    return b"d" + input_id.encode()


def encode_outcome(outcome: Outcome) -> bytes:
    """The row's value."""
    answer = outcome.answer
    flags = (answer is not None) | outcome.is_journaled << 1
    if outcome.content:
        content = outcome.content.to_bytes(_CONTENT_BYTES, "big")
        return packed_outcome(outcome.step, outcome.time_ms, flags | 4) + content + (answer or b"")
    return packed_outcome(outcome.step, outcome.time_ms, flags) + (answer or b"")


def decode_outcome(value: bytes) -> Outcome:
    """What `encode_outcome` was given.

    Raises:
        RowDamaged: it is none.
    """
    step, time_ms, flags = _OUTCOME.begin(value)
    start, content = _OUTCOME.size, 0
    if flags & 4:
        start += _CONTENT_BYTES
        content = int.from_bytes(value[_OUTCOME.size : start], "big")
    if len(value) < start:
        raise RowDamaged("an outcome", f"it has {len(value)} bytes")
    return Outcome(step, time_ms, value[start:] if flags & 1 else None, bool(flags & 2), content)


def timer_key(key: str, name: str) -> bytes:
    """Where a timer of an entity is."""
    return b"t" + key.encode() + b"\0" + name.encode()


def timer_of(row_key: bytes) -> tuple[str, str]:
    """The entity key and the name that `timer_key` was made of.

    Raises:
        RowDamaged: it was made otherwise.
    """
    key, separator, name = row_key[1:].partition(b"\0")
    if not separator or b"\0" in name:
        raise RowDamaged("a timer", f"its key is {row_key!r}")
    return _TIMER.text(key), _TIMER.text(name)


def encode_timer(timer: Timer) -> bytes:
    """The row's value."""
    return _TIMER.pack(timer.step, timer.due_ms) + timer.payload


def decode_timer(value: bytes) -> Timer:
    """What `encode_timer` was given.

    Raises:
        RowDamaged: it is none.
    """
    step, due_ms = _TIMER.begin(value)
    return Timer(step, due_ms, value[_TIMER.size :])


def step_of(value: bytes) -> int:
    """The step of an outcome's or timer's value.

    Raises:
        RowDamaged: it has none.
    """
    return _STEP.begin(value)[0]


def encode_synced(synced: SyncedTo) -> bytes:
    """The row's value."""
    return _POSITION.pack(*synced)


def decode_synced(value: bytes) -> SyncedTo:
    """What `encode_synced` was given.

    Raises:
        RowDamaged: it is none.
    """
    return SyncedTo(*_POSITION.whole(value))


def synced_row(synced: SyncedTo) -> Row:
    """The row that says how far the state goes."""
    return POSITION_KEY, encode_synced(synced)
