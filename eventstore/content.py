"""What a message says, told from what another one says: for ids that must not stand for two things (K8, E1).

The same for equal messages of one class, in whatever process they were made. A set has no order, and Python walks it
differently in each process; mappings are equal whatever came into them first: so their items are put into one.
Personal data is never sealed twice alike: see `Protection.fixed`, whose result is what comes here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast
from zlib import crc32

from pydantic import BaseModel, PydanticUserError
from pydantic.errors import PydanticInvalidForJsonSchema

from schemas import Message, Personal, Serde, UnknownSchema
from schemas.wire import HEADER_BYTES

_BITS: Final = 32
_UNORDERED: Final = ('"uniqueItems": true', '"additionalProperties": {', '"additionalProperties": true', "patternProp")
"""What a JSON schema says of sets and mappings."""
_MOST: Final = 2**63 - 1


def content_of(message: Message, serde: Serde) -> bytes:
    """Bytes that are equal if the messages are; the first ones are its schema's, as in wire format."""
    encoded = serde.encode(message)
    return encoded[:HEADER_BYTES] + repr(_ordered(message)).encode() if _has_unordered(type(message)) else encoded


def digest_of(message: Message, serde: Serde) -> int:
    """The same in 63 bits: the schema's id, and a CRC-32 of what is said. Never 0, which stands for none."""
    content = content_of(message, serde)
    return (int.from_bytes(content[1:HEADER_BYTES], "big") << _BITS | crc32(content[HEADER_BYTES:])) & _MOST


def differ(one: int, other: int, serde: Serde) -> bool:
    """Whether two digests are of different messages, as far as can be told.

    One that was not taken (0) is of any message, and of two versions of a type nobody knows whether they say the same.
    """
    if not one or not other or one == other:
        return False
    ids = [(digest >> _BITS).to_bytes(HEADER_BYTES, "big") for digest in (one, other)]
    if ids[0] == ids[1]:
        return True
    try:
        return serde.type_of(ids[0]).name != serde.type_of(ids[1]).name
    except UnknownSchema:  # whoever asked made it up
        return True


def _has_unordered(message: type[Message]) -> bool:
    known = _unordered.get(message)
    if known is None:
        known = _unordered[message] = _says_unordered(message)
    return known


_unordered: dict[type[Message], bool] = {}


def _says_unordered(message: type[Message]) -> bool:
    try:
        schema = json.dumps(message.model_json_schema())
    except (PydanticInvalidForJsonSchema, PydanticUserError):
        return True  # who knows
    return any(words in schema for words in _UNORDERED)


def _ordered(value: Any) -> Any:
    """What it holds as containers and values whose `repr` says all, sets and mappings in one order."""
    if isinstance(value, Personal):
        return value.sealed
    if isinstance(value, BaseModel):
        return type(value).__name__, _ordered(vars(value))
    if isinstance(value, Mapping):
        items: Iterable[tuple[Any, Any]] = cast("Any", value).items()
        return sorted(repr((_ordered(key), _ordered(each))) for key, each in items)
    if isinstance(value, set | frozenset):
        return sorted(repr(_ordered(each)) for each in cast("set[Any]", value))
    if isinstance(value, list | tuple):
        return [_ordered(each) for each in cast("list[Any]", value)]
    return value
