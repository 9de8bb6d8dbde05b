"""What the answers of a registry of others may say, and what cannot be true.

Ids are Java's: from 0 to 2³¹ - 1. A registry that was restored from an old copy, or two that share a URL, give an id
that stands for another schema already: what is written with it would be read as something else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar, cast

from fastavro.schema import SchemaParseException, to_parsing_canonical_form

from eventstore.registry_errors import RegistryRefused
from schemas import Schema, SchemaInvalid
from schemas.compatibility import problems
from schemas.schema import Format

FORMATS: Final[dict[str, Format]] = {"AVRO": "avro", "JSON": "json"}
LARGEST_ID: Final = 2**31 - 1
_SUCCESS: Final = 200
_RESTORED: Final = (
    "do not write before you know why: it was restored from an old copy, or this URL leads to several registries"
)
T = TypeVar("T", int, str)


@dataclass(frozen=True, slots=True)
class Found:
    """What a registry answered."""

    url: str
    content: object

    def refuse(self, why: str, advice: str = "") -> NoReturn:
        """Say that it cannot be.

        Raises:
            RegistryRefused: always.
        """
        raise RegistryRefused(self.url, _SUCCESS, why, advice)

    def member(self, name: str, default: object = None) -> object:
        """Of a JSON object; the default of anything else."""
        content: object = self.content
        return cast("dict[str, object]", content).get(name, default) if isinstance(content, dict) else default

    def listed(self, of: type[T]) -> list[T]:
        """The list that it is.

        Raises:
            RegistryRefused: it is none, or one of something else.
        """
        content: object = self.content
        if not isinstance(content, list) or any(type(each) is not of for each in cast("list[object]", content)):
            self.refuse(f"it answered {self}, which is no list of what it has")
        return cast("list[T]", content)

    def id(self) -> int:
        """The id in it.

        Raises:
            RegistryRefused: there is none, or it is none.
        """
        id = self.member("id")
        if type(id) is not int:
            self.refuse(f"it answered {self}, which has no id")
        if not 0 <= id <= LARGEST_ID:
            self.refuse(f"it gave the id {str(id)[:30]}, and ids are from 0 to {LARGEST_ID}")
        return id

    def schema(self) -> Schema:
        """The schema in it.

        Raises:
            RegistryRefused: there is none.
            SchemaInvalid: it is not one of ours.
        """
        text, kind = self.member("schema"), self.member("schemaType", "AVRO")
        if not isinstance(text, str):
            self.refuse(f"it answered {self}, which has no schema")
        if not isinstance(kind, str) or kind not in FORMATS:
            raise SchemaInvalid(f"it is of type {kind}")
        return Schema.parse(FORMATS[kind], text)

    def check(self, **asked: object) -> None:
        """That it speaks of what was asked for, in those members that it has.

        Raises:
            RegistryRefused: it speaks of something else.
        """
        for name, value in asked.items():
            if (said := self.member(name, value)) != value:
                self.refuse(f"asked for {name} {value}, it answered with {name} {str(said)[:80]}")

    def check_schema(self, wanted: Schema) -> None:
        """That it holds this schema, if it holds any.

        Raises:
            RegistryRefused: it holds another one.
        """
        if self.member("schema") is None:
            return
        try:
            is_wanted = is_same(self.schema(), wanted)
        except SchemaInvalid:
            is_wanted = False
        if not is_wanted:
            self.refuse(f"asked for {_named(wanted)}, it answered with another schema: {self}")

    def check_id(self, id: int, known: Schema | None, wanted: Schema) -> None:
        """That the id does not stand for another schema.

        Raises:
            RegistryRefused: it does.
        """
        if known is not None and not is_same(known, wanted):
            self.refuse(f"it gave id {id} to {_named(wanted)}, and it stands for {_named(known)}", _RESTORED)

    def __str__(self) -> str:
        return repr(str(self.content)[:80])


def is_same(one: Schema, other: Schema) -> bool:
    """Whether two schemas describe the same bytes of the same type and version, however they are spelled."""
    if one == other:
        return True
    if one.type_name != other.type_name or one.format != other.format:
        return False
    contents: list[Any] = [json.loads(one.text), json.loads(other.text)]
    if one.format == "json":
        return bool(contents[0] == contents[1])
    try:
        return not problems(one, other, "full") and len(set(map(to_parsing_canonical_form, contents))) == 1
    except (SchemaInvalid, SchemaParseException, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False  # it is no schema


def _named(schema: Schema) -> str:
    return f"{schema.name} version {schema.version}"
