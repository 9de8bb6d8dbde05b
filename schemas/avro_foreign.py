"""What was written with another schema than the reader's own, made what pydantic takes.

The writer's schema and the reader's form are walked side by side, once, by the rules of Avro 1.12, "Schema Resolution".
Where the writer has a union, fastavro tells the member by its name or class. Where the reader has one, its member is
that of the writer's name, or else the first that the writer's type is read as; no member is ever tried. A type
that is limited to values is read as what holds them all, text also as an enum, if one alone has them.

Names are compared by what follows the name of the message's type, since old and new may be of other versions, and
models of upcasts have none. Without a form, records and enums become `Noted` and `NotedText`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final, cast
from uuid import UUID

import fastavro
from pydantic import BaseModel

from schemas.avro_closed import values_in
from schemas.avro_forms import Convert, Form, back_record, each_item, each_value
from schemas.avro_noted import member_named, member_of_enum, noted, noted_text, of_sort, refuse
from schemas.avro_unions import member_of

_parse: Any = cast("Any", fastavro).parse_schema  # its types hold unknown ones
_NAMED: Final = frozenset({"record", "error", "enum", "fixed"})
_READ_AS: Final[dict[str, tuple[str, ...]]] = {
    "int": ("int", "long", "double"),
    "long": ("long", "double"),
    "float": ("double",),
    "string": ("string", "bytes"),
    "bytes": ("bytes", "string"),
    "enum": ("string",),
}
"""The reader's types that read a writer's, the best first; a reader of ours has no float."""
_CLASSES: Final[dict[str, type]] = {
    "boolean": bool,
    "int": int,
    "long": int,
    "float": float,
    "double": float,
    "string": str,
    "bytes": bytes,
    "array": list,
    "map": dict,
    "long-timestamp-millis": datetime,
    "long-timestamp-micros": datetime,
    "long-local-timestamp-millis": datetime,
    "long-local-timestamp-micros": datetime,
    "int-date": date,
    "int-time-millis": time,
    "long-time-micros": time,
    "bytes-decimal": Decimal,
    "string-sagalog-decimal": Decimal,
    "string-uuid": UUID,
}
"""What fastavro makes of a type, or of a type and a logical type."""


def resolved(form: Form | None, schema: Any) -> Convert | None:
    """The conversion of what fastavro reads with tags; None: nothing has any, and it may be read without.

    `schema` is the writer's. Without a form, what it makes is for upcasts.
    """
    named: dict[str, Any] = {}
    parsed: Any = _parse(schema, named_schemas=named)
    return _Walk(form, parsed, named).convert(form, parsed)


class _Walk:
    """Walks one pair; records that are walked already are the same conversion again, so that recursive types end."""

    def __init__(self, form: Form | None, parsed: Any, named: Mapping[str, Any]) -> None:
        self._ours = "" if form is None else form.kind
        self._theirs = str(cast("Any", parsed).get("name", "")) if isinstance(parsed, dict) else ""
        self._named = named
        self._records: dict[tuple[type | None, str], Convert | None] = {}

    def convert(self, form: Form | None, schema: Any) -> Convert | None:
        if isinstance(schema, list):
            return self._each_member(form, cast("Any", schema))
        content = self._content(schema)
        others = () if form is None else [branch for branch in form.branches if branch.kind != "null"]
        if len(others) > 1 and content["type"] != "null":
            return self._member(cast("Form", form), content)
        return self._plain(others[0] if others else form, content)

    def _content(self, schema: Any) -> Mapping[str, Any]:
        if isinstance(schema, str):
            return self._named.get(schema) or {"type": schema}
        return cast("Mapping[str, Any]", schema)

    def _each_member(self, form: Form | None, members: list[Any]) -> Convert | None:
        tagged: dict[str, Convert | None] = {}
        untagged: dict[type, Convert] = {}
        for member in members:
            content, convert = self._content(member), self.convert(form, member)
            if content["type"] in _NAMED:
                tagged[content["name"]] = convert
            elif convert and (kind := _class_of(content)):
                untagged.setdefault(kind, convert)
        if not tagged and not untagged:
            return None

        def back(value: Any) -> Any:
            if type(value) is tuple:
                name, value = cast("tuple[str, Any]", value)
                convert = tagged[name]
            else:
                convert = untagged.get(value.__class__)
            return value if convert is None else convert(value)

        return back

    def _member(self, form: Form, content: Mapping[str, Any]) -> Convert | None:
        name, kind = self._name(content), content["type"]
        if kind in ("record", "error") and of_sort(form, BaseModel):
            branch = member_named(form, self._ours, name, BaseModel)
        elif kind == "enum" and of_sort(form, enum.Enum):
            branch = member_of_enum(form, self._ours, name, content["symbols"])
        else:
            branch = _read_by(form, content)
        if branch is None:
            return refuse(form, name or kind)
        convert = self._plain(branch, content)
        if kind in ("int", "long") and branch.kind == "double":
            return float
        return member_of(branch, convert)

    def _plain(self, form: Form | None, content: Mapping[str, Any]) -> Convert | None:
        kind = content["type"]
        if kind in ("record", "error"):
            return self._record(form if form is None or form.is_record else None, content)
        if kind == "array":
            return each_item(self.convert(form.item if form and form.kind == kind else None, content["items"]))
        if kind == "map":
            return each_value(self.convert(form.item if form and form.kind == kind else None, content["values"]))
        if form is None:
            return noted_text(self._name(content)) if kind == "enum" else None
        if kind == "string" and form.kind == "bytes":
            return _encoded
        if kind == "bytes" and form.kind == "string":
            return _decoded
        return None if form.is_record or form.item or form.branches else form.back

    def _record(self, form: Form | None, content: Mapping[str, Any]) -> Convert | None:
        key = None if form is None else form.classes[0], str(content["name"])
        if key in self._records:
            return self._records[key]
        converts: list[tuple[str, Convert]] = []
        back = back_record(converts)
        self._records[key] = back if form is not None else noted(self._name(content), back)
        for field in content["fields"]:
            if form is None or field["name"] in form.fields:
                convert = self.convert(form.fields[field["name"]] if form else None, field["type"])
                converts.extend([(field["name"], convert)] if convert else [])
        if form is not None and not converts:
            self._records[key] = None
        return self._records[key]

    def _name(self, content: Mapping[str, Any]) -> str:
        """What follows the name of the type."""
        return str(content.get("name", "")).removeprefix(self._theirs)


def _read_by(form: Form, content: Mapping[str, Any]) -> Form | None:
    """The member that reads an unnamed type: of its kind, with room for its values, with its logical type.

    If none of its kind has room for its values, it is the enum that has, if there is one only.
    """
    kind, written = content["type"], values_in(content) or content.get("symbols", [])

    def distance(branch: Form) -> tuple[bool, bool, bool]:
        is_other = {kind, branch.kind} == {"string", "bytes"}
        return is_other, not _has_room(branch, written), branch.logical != content.get("logicalType")

    wanted = _READ_AS.get(kind, ("map" if kind == "record" else kind,))
    found = [branch for each in wanted for branch in form.branches if branch.kind == each]
    best = min(found, key=distance, default=None)
    if kind == "string" and written and (best is None or any(distance(best)[:2])):
        enums = [each for each in of_sort(form, enum.Enum) if {*written} <= {one.value for one in _members(each)}]
        return enums[0] if len(enums) == 1 else best
    return best


def _has_room(branch: Form, written: Sequence[Any]) -> bool:
    limit = values_in(branch.schema)
    return not limit or (len(written) > 0 and all(value in limit for value in written))


def _members(form: Form) -> Iterable[enum.Enum]:
    return cast("type[enum.Enum]", form.classes[0])


def _class_of(content: Mapping[str, Any]) -> type | None:
    kind = content["type"]
    return _CLASSES.get(f"{kind}-{content.get('logicalType')}") or _CLASSES.get(kind)


def _encoded(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


def _decoded(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
