"""Write flat Avro records: those whose fields are strings, numbers, booleans and bytes, or any of these or null.

Most messages are flat, and for these fastavro's preparations take longer than the writing. The bytes are the same
(Avro 1.12, "Binary Encoding"): integers as zigzag varints, doubles little-endian, strings and bytes after their length,
a union's member by its index. Everything else is fastavro's.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, cast

Write: TypeAlias = Callable[[Any], bytes]

_PREPARED: Final = 1_024
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_double = struct.Struct("<d").pack


def flat_writer(schema: Any, header: bytes) -> Callable[[Mapping[str, Any]], bytes] | None:
    """The function that makes of a record's fields the header and the record; None unless the record is flat."""
    fields: list[dict[str, Any]] = schema["fields"]
    writers = [(field["name"], _writer(field["type"])) for field in fields]
    known = [(name, write) for name, write in writers if write is not None]
    if len(known) < len(writers):
        return None
    join = b"".join

    def write_fields(values: Mapping[str, Any]) -> bytes:
        return header + join([write(values[name]) for name, write in known])

    return write_fields


def _writer(schema: Any) -> Write | None:
    if isinstance(schema, str):
        return _WRITERS.get(schema)
    if not isinstance(schema, list):
        return None
    members: Any = cast("Any", schema)
    if len(members) != 2 or members[0] != "null":
        return None
    write = _writer(members[1])
    return None if write is None else lambda value: b"\0" if value is None else b"\2" + write(value)


def _varint(number: int) -> bytes:
    """A number from 0 in groups of seven bits, the lowest first."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


_VARINTS: Final = [_varint(number) for number in range(2 * _PREPARED)]


def _write_long(value: int) -> bytes:
    if 0 <= value < _PREPARED:
        return _VARINTS[value << 1]
    if not _LEAST <= value <= _MOST:
        raise OverflowError(f"{value} does not fit into 64 bits")
    return _varint((value << 1) ^ (value >> 63))


def _write_bytes(value: bytes) -> bytes:
    return _write_long(len(value)) + value


def _write_string(value: str) -> bytes:
    data = value.encode()
    size = len(data)
    return (_VARINTS[size << 1] if size < _PREPARED else _write_long(size)) + data


def _write_boolean(value: bool) -> bytes:
    return b"\1" if value else b"\0"


_WRITERS: Final[Mapping[str, Write]] = {
    "boolean": _write_boolean,
    "bytes": _write_bytes,
    "double": _double,
    "long": _write_long,
    "string": _write_string,
}
