"""Schemas as shapes: what Avro's resolution rules look at, taken from an Avro schema.

A shape holds no documentation, no property of ours and no order of fields. JSON schemas become shapes too
(`schemas.json_shapes`), so one set of rules (`schemas.resolution`) serves both formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


@dataclass(frozen=True, slots=True)
class FieldShape:
    """A field of a record."""

    shape: Shape
    has_default: bool
    aliases: tuple[str, ...] = ()


@dataclass(eq=False, slots=True)
class Shape:
    """A type. Recursive types are the same object again."""

    kind: str
    """Avro's type: `long`, `record`, `union`, …; `any` stands for whatever there is (JSON only)."""
    name: str = ""
    """Of a record, enum or fixed, without its namespace; empty: names do not count (JSON)."""
    logical: str = ""
    """The logical type with its parameters: `decimal(12, 2)`."""
    symbols: tuple[str, ...] = ()
    has_default: bool = False
    """Whether an enum has a symbol for those it does not know."""
    size: int = 0
    item: Shape | None = None
    """Of an array or map; of an enum of JSON, the type of its values."""
    members: tuple[Shape, ...] = ()
    fields: dict[str, FieldShape] = field(default_factory=dict[str, FieldShape])

    def __str__(self) -> str:
        if self.kind == "union":
            return " or ".join(str(member) for member in self.members)
        if self.item is not None and self.kind in ("array", "map"):
            return f"{self.kind} of {self.item}"
        return self.logical or f"{self.kind} {self.name}".strip()


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
        if kind in ("array", "map"):
            return Shape(kind, item=self.shape(content["items" if kind == "array" else "values"], space))
        if kind in ("record", "error", "enum", "fixed"):
            return self._definition(content, space)
        found = self.shape(kind, space)
        logical = _logical(content)
        return Shape(found.kind, logical=logical) if logical and found.kind in _PRIMITIVES else found

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
        shape.symbols = tuple(content.get("symbols", ()))
        shape.has_default = content["type"] == "enum" and "default" in content
        shape.size, shape.logical = content.get("size", 0), _logical(content)
        for each in content.get("fields", ()):
            found = self.shape(each["type"], space)
            shape.fields[each["name"]] = FieldShape(found, "default" in each, tuple(each.get("aliases", ())))
        return shape


def _logical(content: Mapping[str, Any]) -> str:
    logical = content.get("logicalType", "")
    return f"decimal({content.get('precision')}, {content.get('scale', 0)})" if logical == "decimal" else logical
