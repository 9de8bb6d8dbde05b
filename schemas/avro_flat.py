"""Write and read flat Avro records: their fields are strings, numbers, booleans and bytes, or any of these or null.

Most messages are flat, and for these fastavro's preparations take longer than the work. The bytes are the same
(Avro 1.12, "Binary Encoding"): integers as zigzag varints, doubles little-endian, strings and bytes after their length,
a union's member by its index. Everything else is fastavro's.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, cast

Write: TypeAlias = Callable[[Any], bytes]
Read: TypeAlias = Callable[[bytes, int], tuple[Any, int]]
"""Takes the data and where a value begins in it; returns the value, and where it ends. That may lie beyond the data."""

_PREPARED: Final = 1_024
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_DOUBLE: Final = struct.Struct("<d")


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


def flat_reader(schema: Any, start: int) -> Callable[[bytes], dict[str, Any]] | None:
    """The function that makes a record's fields of the data from `start` on; None unless the record is flat.

    It raises some `Exception` if the data is not exactly one record. `schema` may be any that a foreign writer has
    registered, a mere string's too.
    """
    if not isinstance(schema, dict) or cast("Any", schema).get("type") != "record":
        return None
    fields: list[dict[str, Any]] = cast("Any", schema)["fields"]
    readers = [(field["name"], _reader(field["type"])) for field in fields]
    known = [(name, read) for name, read in readers if read is not None]
    if len(known) < len(readers):
        return None

    def read_fields(data: bytes) -> dict[str, Any]:
        values: dict[str, Any] = {}
        at = start
        for name, read in known:
            values[name], at = read(data, at)
        if at != len(data):
            raise ValueError(
                f"{len(data) - at} bytes too many" if at < len(data) else f"{at - len(data)} bytes missing"
            )
        return values

    return read_fields


def _writer(schema: Any) -> Write | None:
    if isinstance(schema, str):
        return _WRITERS.get(schema)
    write = _WRITERS.get(_or_null(schema))
    return None if write is None else lambda value: b"\0" if value is None else b"\2" + write(value)


def _reader(schema: Any) -> Read | None:
    if isinstance(schema, str):
        return _READERS.get(schema)
    read = _READERS.get(_or_null(schema))
    if read is None:
        return None

    def read_member(data: bytes, at: int) -> tuple[Any, int]:
        index = data[at]
        if index == 2:
            return read(data, at + 1)
        if index:
            raise ValueError(f"a union of two has no member {index}")
        return None, at + 1

    return read_member


def _or_null(schema: Any) -> str:
    """The type besides null that a union allows; empty if it is no such union."""
    if not isinstance(schema, list):
        return ""
    members: Any = cast("Any", schema)
    return members[1] if len(members) == 2 and members[0] == "null" and isinstance(members[1], str) else ""


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


def _read_long(data: bytes, at: int) -> tuple[int, int]:
    number = data[at]
    at += 1
    if number > 0x7F:
        number, at = _rest_of_varint(data, at, number & 0x7F)
    return number >> 1 ^ -(number & 1), at


def _rest_of_varint(data: bytes, at: int, number: int) -> tuple[int, int]:
    """A number whose first group of bits is known, and where it ends."""
    for shift in range(7, 70, 7):
        group = data[at]
        at += 1
        number |= (group & 0x7F) << shift
        if group < 0x80:
            if number >> 64:
                break
            return number, at
    raise OverflowError("a number does not fit into 64 bits")


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = _read_long(data, at)
    if size < 0:
        raise ValueError(f"nothing has {size} bytes")
    end = at + size
    return data[at:end], end


def _read_string(data: bytes, at: int) -> tuple[str, int]:
    size = data[at]
    if size > 0x7F or size & 1:
        value, end = _read_bytes(data, at)
        return value.decode(), end
    at += 1
    end = at + (size >> 1)
    return data[at:end].decode(), end


def _read_boolean(data: bytes, at: int) -> tuple[bool, int]:
    return data[at] != 0, at + 1


def _read_double(data: bytes, at: int) -> tuple[float, int]:
    return _DOUBLE.unpack_from(data, at)[0], at + 8


_WRITERS: Final[Mapping[str, Write]] = {
    "boolean": _write_boolean,
    "bytes": _write_bytes,
    "double": _DOUBLE.pack,
    "long": _write_long,
    "string": _write_string,
}
_READERS: Final[Mapping[str, Read]] = {
    "boolean": _read_boolean,
    "bytes": _read_bytes,
    "double": _read_double,
    "long": _read_long,
    "string": _read_string,
}
