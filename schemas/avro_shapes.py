"""Avro schemas of messages as shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from schemas.avro_closed import KEYS_PROPERTY, TUPLE_PROPERTY, UNIQUE_PROPERTY, VALUES_PROPERTY
from schemas.json_shapes import PERSONAL_LOGICAL, held
from schemas.shapes import FieldShape, Shape, symbol

_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


def avro_shape(schema: Any) -> Shape:
    """The shape of an Avro schema.

    Raises:
        ValueError: it is none.
    """
    return _Reader().shape(schema, "")


class _Reader:
    """Reads one schema; knows the names that it defined so far."""

    def __init__(self) -> None:
        self._named: dict[str, Shape] = {}

    def shape(self, schema: Any, space: str) -> Shape:
        if isinstance(schema, str):
            return self._by_name(schema, space)
        if isinstance(schema, list):
            return Shape("union", members=tuple(self.shape(each, space) for each in cast("Any", schema)))
        if not isinstance(schema, dict) or "type" not in schema:
            raise ValueError(f"{schema!r} is no Avro schema")
        content = cast("dict[str, Any]", schema)
        kind: Any = content["type"]
        if kind == "array":
            return self._array(content, space)
        if kind == "map":
            keys = tuple(map(symbol, content.get(KEYS_PROPERTY, ())))
            return Shape("map", item=self.shape(content["values"], space), symbols=keys)
        if kind in ("record", "error", "enum", "fixed"):
            return self._definition(content, space)
        found = self.shape(kind, space)
        if VALUES_PROPERTY in content:
            return Shape("enum", symbols=tuple(map(symbol, content[VALUES_PROPERTY])), item=found)
        logical = _logical(content)
        if not logical or found.kind not in _PRIMITIVES:
            return found
        return Shape(found.kind, logical=logical, item=held(content) if logical == PERSONAL_LOGICAL else None)

    def _array(self, content: Mapping[str, Any], space: str) -> Shape:
        item = self.shape(content["items"], space)
        fixed = [
            Shape("array", item=item, places=tuple(self.shape(each, space) for each in places))
            for places in content.get(TUPLE_PROPERTY, ())
        ]
        if fixed:
            return fixed[0] if len(fixed) == 1 else Shape("union", members=tuple(fixed))
        return Shape("array", item=item, logical="set" if content.get(UNIQUE_PROPERTY) else "")

    def _by_name(self, name: str, space: str) -> Shape:
        if name in _PRIMITIVES:
            return Shape(name)
        found = self._named.get(f"{space}.{name}" if space and "." not in name else name) or self._named.get(name)
        if found is None:
            raise ValueError(f"{name!r} is no Avro type, and not defined before")
        return found

    def _definition(self, content: Mapping[str, Any], space: str) -> Shape:
        name: str = content["name"]
        given: str = content.get("namespace", space)
        full = f"{given}.{name}" if given and "." not in name else name
        space = full.rpartition(".")[0]
        shape = self._named[full] = Shape(content["type"].replace("error", "record"), name.rpartition(".")[2])
        shape.symbols = tuple(map(symbol, content.get("symbols", ())))
        shape.has_default = content["type"] == "enum" and "default" in content
        shape.size, shape.logical = content.get("size", 0), _logical(content)
        for each in content.get("fields", ()):
            found = self.shape(each["type"], space)
            shape.fields[each["name"]] = FieldShape(found, "default" in each, tuple(each.get("aliases", ())))
        return shape


def _logical(content: Mapping[str, Any]) -> str:
    logical = content.get("logicalType", "")
    return f"decimal({content.get('precision')}, {content.get('scale', 0)})" if logical == "decimal" else logical
