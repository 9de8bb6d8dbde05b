"""How messages of one type and version are written: a schema, its format and its text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from schemas.errors import SchemaInvalid

Format: TypeAlias = Literal["avro", "json"]
VERSION_PROPERTY = "sagalog.version"
"""The property of a schema that carries its type's version."""


class TypeName(NamedTuple):
    """What a message is: a stable name and a version."""

    name: str
    version: int


@dataclass(frozen=True, slots=True)
class Schema:
    """How messages of one type and version are written."""

    name: str
    version: int
    format: Format
    text: str
    """The schema itself, JSON. Equal texts are equal schemas."""

    @property
    def type_name(self) -> TypeName:
        """The type it describes."""
        return TypeName(self.name, self.version)

    @staticmethod
    def parse(format: Format, text: str) -> Schema:
        """Read type name and version from the text, as a registry needs that keeps texts only.

        Raises:
            SchemaInvalid: it names neither.
        """
        try:
            content: Any = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SchemaInvalid(str(error)) from error
        found = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
        name, version = found.get("name" if format == "avro" else "title"), found.get(VERSION_PROPERTY)
        if not isinstance(name, str) or type(version) is not int:
            raise SchemaInvalid(f"it has no name or no {VERSION_PROPERTY!r}")
        space = found.get("namespace")
        return Schema(f"{space}.{name}" if isinstance(space, str) and space else name, version, format, text)
