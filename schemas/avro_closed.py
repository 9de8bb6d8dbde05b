"""What limits a type and Avro has no word for: properties of its schema, which other readers ignore.

=====================  ======================================================================================
``sagalog.values``     of a string, bytes, a long or boolean: the only values it has (bytes as in a default)
``sagalog.keys``       of a map: the only keys it has
``sagalog.tuple``      of an array of fixed length: the type at each place; such a list for each member of a union
``sagalog.unique``     of an array: true if it is a set
=====================  ======================================================================================

A type without the property has no such limit, so a schema that was registered before there were these properties is
as one of the wider type.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias, cast

Avro: TypeAlias = Any
"""An Avro schema as JSON."""

VALUES_PROPERTY: Final = "sagalog.values"
KEYS_PROPERTY: Final = "sagalog.keys"
TUPLE_PROPERTY: Final = "sagalog.tuple"
UNIQUE_PROPERTY: Final = "sagalog.unique"
_PROPERTIES: Final = frozenset({VALUES_PROPERTY, KEYS_PROPERTY, TUPLE_PROPERTY, UNIQUE_PROPERTY})


def closed(kind: Avro, values: Iterable[Any]) -> Avro:
    """A primitive type with these values only."""
    if kind == "null":
        return kind
    return {"type": kind, VALUES_PROPERTY: [_json(value) for value in values]}


def values_in(schema: Avro) -> list[Any]:
    """The only values of a type; empty: it is not closed."""
    return _limit(schema, VALUES_PROPERTY)


def opened(schema: Avro) -> Avro:
    """The schema without these properties, also inside."""
    if isinstance(schema, list):
        return [opened(each) for each in cast("Any", schema)]
    if not isinstance(schema, dict):
        return schema
    content = {
        name: opened(value) if name in ("type", "items", "values", "fields") else value
        for name, value in cast("dict[str, Any]", schema).items()
        if name not in _PROPERTIES
    }
    return content["type"] if list(content) == ["type"] else content


def either(one: Avro, other: Avro) -> Avro:
    """What takes the values of both, which are the same when opened."""
    if one == other:
        return one
    bare = opened(one)
    content = cast("dict[str, Any]", bare if isinstance(bare, dict) else {"type": bare})
    for limit in (VALUES_PROPERTY, TUPLE_PROPERTY):
        ours, theirs = _limit(one, limit), _limit(other, limit)
        if ours and theirs:
            return {**content, limit: [*ours, *(each for each in theirs if each not in ours)]}
    return cast("Any", bare)


def _limit(schema: Avro, name: str) -> list[Any]:
    return cast("Any", schema).get(name, []) if isinstance(schema, dict) else []


def _json(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes) else value
