"""Schemas as shapes: what Avro's resolution rules look at.

A shape holds no documentation and no order of fields, and of our properties only what personal data is. Avro schemas
(`schemas.avro_shapes`) and JSON schemas (`schemas.json_shapes`) become shapes, so one set of rules
(`schemas.resolution`) serves both formats.
"""

from __future__ import annotations

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
    """Of an array or map; of an enum of JSON, the type of its values; of personal data, what is sealed there."""
    members: tuple[Shape, ...] = ()
    fields: dict[str, FieldShape] = field(default_factory=dict[str, FieldShape])

    def __str__(self) -> str:
        if self.kind == "union":
            return " or ".join(str(member) for member in self.members)
        if self.item is not None and (self.logical or self.kind in ("array", "map")):
            return f"{self.logical or self.kind} of {self.item}"
        return self.logical or f"{self.kind} {self.name}".strip()
