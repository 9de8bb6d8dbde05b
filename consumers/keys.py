"""Keys of rows as bytes that sort like the keys.

A table's key is `str`, `bytes`, `int` (64 bits, signed) or a tuple of these, nested as you like. The bytes of a key,
after the version byte that begins every row of the state (see `consumers.view_partition`):

    str      UTF-8
    bytes    as they are
    int      u64 big-endian of key + 2^63
    tuple    its elements one after another; a str or bytes element has each 00 written as 00 FF and ends with 00 01

So bytes sort as keys do (strings by code point), and the bytes of a prefix are a prefix of the bytes.
"""

from __future__ import annotations

import struct
import typing
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from consumers.view_errors import BadRowKey, KeyTypeUnknown
from eventstore.processor.row_layout import RowDamaged

K = TypeVar("K")

_INT = struct.Struct(">Q")
_BIAS = 1 << 63
_END = b"\x00\x01"


class _Element(Protocol):
    """One element of a tuple, or a key alone."""

    type_name: str

    def alone(self, value: Any) -> bytes: ...

    def inside(self, value: Any) -> bytes: ...

    def parse_alone(self, data: bytes) -> Any: ...

    def parse_inside(self, data: bytes, start: int) -> tuple[Any, int]: ...


class _Text:
    type_name = "str"

    def alone(self, value: str) -> bytes:
        return value.encode()

    def inside(self, value: str) -> bytes:
        return value.encode().replace(b"\0", b"\0\xff") + _END

    def parse_alone(self, data: bytes) -> str:
        return data.decode()

    def parse_inside(self, data: bytes, start: int) -> tuple[str, int]:
        content, end = _until_end(data, start)
        return content.decode(), end


class _Bytes:
    type_name = "bytes"

    def alone(self, value: bytes) -> bytes:
        if type(value) is not bytes:
            raise TypeError("not bytes")
        return value

    def inside(self, value: bytes) -> bytes:
        return self.alone(value).replace(b"\0", b"\0\xff") + _END

    def parse_alone(self, data: bytes) -> bytes:
        return data

    def parse_inside(self, data: bytes, start: int) -> tuple[bytes, int]:
        return _until_end(data, start)


class _Int:
    type_name = "int"

    def alone(self, value: int) -> bytes:
        return _INT.pack(value + _BIAS)

    inside = alone

    def parse_alone(self, data: bytes) -> int:
        return int(_INT.unpack(data)[0]) - _BIAS

    def parse_inside(self, data: bytes, start: int) -> tuple[int, int]:
        return int(_INT.unpack_from(data, start)[0]) - _BIAS, start + 8


class _Tuple:
    def __init__(self, elements: Sequence[_Element]) -> None:
        self._elements = tuple(elements)
        self.type_name = f"tuple[{', '.join(element.type_name for element in elements)}]"

    def alone(self, value: tuple[Any, ...]) -> bytes:
        if len(value) != len(self._elements):
            raise TypeError("another length")
        return self.beginning(value)

    inside = alone

    def beginning(self, value: tuple[Any, ...]) -> bytes:
        if type(value) is not tuple or len(value) > len(self._elements):
            raise TypeError("no tuple that fits")
        return b"".join([element.inside(part) for element, part in zip(self._elements, value, strict=False)])

    def parse_alone(self, data: bytes) -> tuple[Any, ...]:
        return self.parse_inside(data, 0)[0]

    def parse_inside(self, data: bytes, start: int) -> tuple[tuple[Any, ...], int]:
        parts: list[Any] = []
        for element in self._elements:
            part, start = element.parse_inside(data, start)
            parts.append(part)
        return tuple(parts), start


def _until_end(data: bytes, start: int) -> tuple[bytes, int]:
    end = data.index(b"\0", start)
    while data[end + 1] != 1:
        end = data.index(b"\0", end + 2)
    return data[start:end].replace(b"\0\xff", b"\0"), end + 2


_SIMPLE: dict[Any, _Element] = {str: _Text(), bytes: _Bytes(), int: _Int()}


def _element_of(annotation: Any) -> _Element:
    annotation = getattr(annotation, "__supertype__", annotation)  # a NewType
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple and arguments and Ellipsis not in arguments:
        return _Tuple([_element_of(argument) for argument in arguments])
    if annotation not in _SIMPLE:
        raise KeyTypeUnknown(annotation)
    return _SIMPLE[annotation]


class KeyCodec(Generic[K]):
    """Encodes and decodes the keys of one table."""

    def __init__(self, annotation: Any) -> None:
        """Raises KeyTypeUnknown: keys of this type have no order-preserving form."""
        self._element = _element_of(annotation)
        self.type_name = self._element.type_name
        self.encode_known: Callable[[K], bytes] = self._element.alone
        """`encode` for a key that it took before."""

    def encode(self, key: K) -> bytes:
        """The bytes of a key.

        Raises:
            BadRowKey: the key is not of the declared type, or an int beyond 64 bits.
        """
        try:
            return self._element.alone(key)
        except (TypeError, AttributeError, struct.error, UnicodeEncodeError) as error:
            raise BadRowKey(key, self.type_name) from error

    def decode(self, data: bytes) -> K:
        """The key of these bytes.

        Raises:
            RowDamaged: they are none.
        """
        try:
            key: K = self._element.parse_alone(data)
        except (ValueError, IndexError, struct.error) as error:
            raise RowDamaged(f"a key ({self.type_name})", str(error)) from error
        return key

    def prefix(self, prefix: K | tuple[Any, ...]) -> bytes:
        """What the bytes begin with of all keys that begin with `prefix`: a shorter string, or a tuple's first ones.

        Raises:
            BadRowKey: no key begins like that.
        """
        try:
            match self._element:
                case _Tuple():
                    return self._element.beginning(typing.cast("tuple[Any, ...]", prefix))
                case _Int():
                    raise TypeError("integers have no prefix")
                case _:
                    return self._element.alone(prefix)
        except (TypeError, AttributeError, struct.error, UnicodeEncodeError) as error:
            raise BadRowKey(prefix, self.type_name) from error

    def routes_by(self, prefix: K | tuple[Any, ...]) -> bool:
        """Whether all keys that begin with `prefix` lie in one partition: a tuple whose first element is given."""
        return isinstance(self._element, _Tuple) and prefix != ()


def routing_key(key: object) -> bytes:
    """What of a row's key decides the partition: its first element, as producers write it into a record's key."""
    while isinstance(key, tuple):
        key = typing.cast("tuple[object, ...]", key)[0]
    return key if isinstance(key, bytes) else str(key).encode()


def after_prefix(prefix: bytes) -> bytes | None:
    """The smallest bytes above all that begin with `prefix`; None if there are none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None
