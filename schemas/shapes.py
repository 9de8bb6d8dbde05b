"""Schemas as shapes: what Avro's resolution rules look at.

A shape holds no documentation and no order of fields, and of our properties what personal data is and what limits a
type (`schemas.avro_closed`). Avro schemas (`schemas.avro_shapes`) and JSON schemas (`schemas.json_shapes`) become
shapes, so one set of rules (`schemas.resolution`) serves both formats.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field


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
    """Avro's type: `long`, `record`, `union`, …; in JSON only `decimal`, and `any` for whatever there is."""
    name: str = ""
    """Of a record, enum or fixed, without its namespace; empty: names do not count."""
    logical: str = ""
    """The logical type with its parameters: `decimal(12, 2)`; `set` of an array that is one; of a map what its keys are
    if they are no text."""
    symbols: tuple[str, ...] = ()
    """Of an enum, its values; of a map, its keys, if it has no others. See `symbol`."""
    has_default: bool = False
    """Whether an enum has a symbol for those it does not know."""
    size: int = 0
    item: Shape | None = None
    """Of an array or map; of an enum that is none of Avro's, the type of its values; of personal data, what is sealed
    there, None if it does not say."""
    places: tuple[Shape, ...] | None = None
    """Of an array of fixed length, what stands where."""
    members: tuple[Shape, ...] = ()
    fields: dict[str, FieldShape] = field(default_factory=dict[str, FieldShape])

    def __str__(self) -> str:
        if self.kind == "union":
            return " or ".join(str(member) for member in self.members)
        if self.places is not None:
            return f"tuple of {len(self.places)} ({', '.join(map(str, self.places))})"
        if self.kind == "enum" and not self.name:
            return f"one of {', '.join(self.symbols)}"
        if self.item is not None and (self.logical or self.kind in ("array", "map")):
            keys = f" by {', '.join(self.symbols)}" if self.symbols else ""
            if self.kind == "map" and self.logical:
                return f"map of {self.item} by {self.logical}"
            return f"{self.logical or self.kind} of {self.item}{keys}"
        return self.logical or f"{self.kind} {self.name}".strip()


def symbol(value: object) -> str:
    """A value as a symbol: no two have the same. Text is itself, unless it reads like another value (`"1"`)."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value)
