"""The rows of `eventstore.log.local.rocks` as they are read back; their layout is told there.

What is not as it was written is `RowUnreadable`: the log is the truth, so nobody guesses.
"""

from __future__ import annotations

import struct
from typing import TypeVar, cast

import msgspec

from eventstore.log.local.store import TopicRow
from eventstore.log.records import Position

FORMAT = b"\x01"
PARTITION = struct.Struct(">cII")
BOUNDS = struct.Struct(">QQQ")


class Stored(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record as it is kept."""

    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


_records = msgspec.msgpack.Decoder(Stored)
_topics = msgspec.msgpack.Decoder(TopicRow)
_positions = msgspec.msgpack.Decoder(tuple[int, str])
T = TypeVar("T")


class RowUnreadable(ValueError):
    """A row is not as it was written; whoever has the folder's name says `EmbeddedBroken`."""


def decode_record(value: bytes) -> Stored:
    """The record of an `R` row."""
    return _decoded(_records, value)


def decode_topic(value: bytes) -> TopicRow:
    """The topic of a `T` row."""
    return _decoded(_topics, value)


def decode_position(value: bytes) -> Position:
    """The position of a `G` row."""
    return Position(*_decoded(_positions, value))


def decode_bounds(value: bytes) -> tuple[int, int, int]:
    """Low, end and clean of a `B` row."""
    if value[:1] != FORMAT or len(value) != 1 + BOUNDS.size:
        raise RowUnreadable(f"a row of {len(value)} bytes is no row of bounds")
    return cast("tuple[int, int, int]", BOUNDS.unpack_from(value, 1))


def group_of(key: bytes) -> tuple[int, int, str]:
    """Topic number, partition and group in the key of a `G` row."""
    try:
        _, topic, partition = PARTITION.unpack_from(key)
        return topic, partition, key[PARTITION.size :].decode()
    except (struct.error, UnicodeDecodeError) as why:
        raise RowUnreadable(f"the key of a position is none: {why}") from why


def _decoded(decoder: msgspec.msgpack.Decoder[T], value: bytes) -> T:
    if value[:1] != FORMAT:
        raise RowUnreadable(f"its version is {value[:1]!r}, this program knows {FORMAT!r}")
    try:
        return decoder.decode(value[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
        raise RowUnreadable(str(why)) from why
