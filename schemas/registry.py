"""Schemas and the ids they are known by.

A registry maps a schema to an id that never changes and is never used again. `MemoryRegistry` is the reference; the
one that lives in a topic is `eventstore.registry`.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, cast

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


class Registry(Protocol):
    """Maps schemas to ids. Any thread may call it."""

    def register(self, subject: str, schema: Schema) -> int:
        """The id of the schema under the subject, a new one if it has none yet."""
        ...

    def register_many(self, entries: Sequence[tuple[str, Schema]]) -> list[int]:
        """The ids of many schemas, in their order, at the cost of one."""
        ...

    def get(self, id: int) -> Schema | None:
        """The schema of an id, as far as the registry was read. Costs no I/O."""
        ...

    def refresh(self) -> None:
        """Read to the end: everything that was registered before this call is known after it."""
        ...


class MemoryRegistry:
    """A registry of this process, for tests and `memory://`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next_id = itertools.count(1)
        self._ids: dict[tuple[str, Schema], int] = {}
        self._schemas: dict[int, Schema] = {}

    def register(self, subject: str, schema: Schema) -> int:
        """The id of the schema under the subject, a new one if it has none yet."""
        with self._lock:
            entry = (subject, schema)
            if entry not in self._ids:
                self._ids[entry] = next(self._next_id)
                self._schemas[self._ids[entry]] = schema
            return self._ids[entry]

    def register_many(self, entries: Sequence[tuple[str, Schema]]) -> list[int]:
        """The ids of many schemas, in their order."""
        return [self.register(subject, schema) for subject, schema in entries]

    def get(self, id: int) -> Schema | None:
        """The schema of an id."""
        return self._schemas.get(id)

    def refresh(self) -> None:
        """Does nothing: everything is known at once."""
