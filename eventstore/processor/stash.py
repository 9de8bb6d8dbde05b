"""Inputs of types that this code does not know, kept until an owner does (K7).

    b"u" input-id  ->  1 msgpack[key, value, headers, timestamp_ms]

A stashed input is a row, and a record of the state topic with the same key and value; the partition writes both.
"""

from __future__ import annotations

import msgspec

from eventstore.log.records import Record
from eventstore.processor.row_layout import VERSION, RowDamaged
from eventstore.state.port import Row, State
from schemas import Metadata, Serde


class _Stashed(msgspec.Struct, array_like=True):
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    timestamp_ms: int


_STASHED = msgspec.msgpack.Decoder(_Stashed)


class Stash:
    """The stashed inputs of one partition."""

    def __init__(self, state: State, serde: Serde, topic: str, partition: int) -> None:
        self._state, self._serde, self._topic, self._partition = state, serde, topic, partition

    def row(self, input_id: str, record: Record) -> Row:
        """The row that keeps an input: its record without its place."""
        kept = _Stashed(record.key, record.value, list(record.headers), record.timestamp_ms)
        return _key(input_id), b"\1" + msgspec.msgpack.encode(kept)

    def known(self) -> list[Record]:
        """The inputs whose type this code knows, as they were read; their offset is −1."""
        found: list[Record] = []
        for _, value in self._state.scan(b"u", b"v"):
            record = decode_stashed(value, self._topic, self._partition)
            if record.value is not None and self._serde.knows(record.value):
                found.append(record)
        return found

    def find(self, record: Record) -> bytes | None:
        """The row key of a record that `known` returned; None if it is not stashed any more."""
        key = _key(Metadata.decode(record.headers[0][1]).id)
        return None if self._state.get(key) is None else key


def decode_stashed(value: bytes, topic: str, partition: int) -> Record:
    """The record of a stashed input, as it was read; its offset is −1.

    Raises:
        RowDamaged: it is none.
    """
    if value[:1] != bytes([VERSION]):
        raise RowDamaged("a stashed input", f"its version is {value[:1]!r}")
    try:
        it = _STASHED.decode(value[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RowDamaged("a stashed input", str(error)) from error
    if not it.headers:
        raise RowDamaged("a stashed input", "it has no metadata")
    return Record(topic, partition, -1, it.timestamp_ms, it.key, it.value, it.headers)


def _key(input_id: str) -> bytes:
    return b"u" + input_id.encode()
