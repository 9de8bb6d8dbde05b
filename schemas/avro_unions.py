"""Unions in Avro: a value's class chooses its member when it is written, the member's name or kind when it is read.

pydantic, which would try one member after the other, gets instances of the models and enums among them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import date
from typing import Any, Final, cast

from pydantic import BaseModel

from schemas.avro_forms import Convert, Form

_READ_AS: Final[dict[str, type]] = {
    "int": date,
    "array": list,
    "map": dict,
    "boolean": bool,
    "long": int,
    "double": float,
    "string": str,
    "bytes": bytes,
}


def union_of(forms: list[Form]) -> Form:
    """The form of a union of these, None first. A value's class chooses its member."""
    ordered = tuple(sorted(forms, key=lambda form: form.kind != "null"))
    classes = tuple(dict.fromkeys(each for form in ordered for each in form.classes))
    return Form([form.schema for form in ordered], classes, _plain_union(ordered), _back_union(ordered), ordered)


def branch_of(branches: Iterable[Form], value: object) -> Form | None:
    """The member of a union that holds the value: by its exact class, else by what it is an instance of."""
    for place in (0, 1):
        for form in branches:
            if type(value) in form.classes[place : place + 1]:
                return form
    return next((form for form in branches if isinstance(value, form.classes)), None)


def _plain_union(branches: tuple[Form, ...]) -> Convert | None:
    others = [form for form in branches if form.kind != "null"]
    if len(others) == 1 and not others[0].is_named and others[0].kind not in ("array", "map"):
        only = others[0].plain
        return None if only is None else lambda value: None if value is None else only(value)
    known: dict[type, Form | None] = {}

    def plain(value: Any) -> Any:
        if value is None:
            return None
        kind: Any = value.__class__
        form = known.get(kind) or known.setdefault(kind, branch_of(branches, value))
        if form is None:
            raise ValueError(f"{value!r} belongs to no member of its union")
        return (form.kind, value if form.plain is None else form.plain(value))

    return plain


def _back_union(branches: tuple[Form, ...]) -> Convert | None:
    is_alone = sum(form.kind != "null" for form in branches) == 1  # then a record may come without its name
    named = {form.kind: member_of(form, form.back) for form in branches if form.is_named}
    unnamed = {
        _READ_AS.get(form.kind, dict): form.back if is_alone else member_of(form, form.back)
        for form in branches
        if form.kind != "null" and (is_alone or not form.is_named)
    }
    known = {kind: convert for kind, convert in unnamed.items() if convert}
    if not named and not known:
        return None

    def back(value: Any) -> Any:
        if type(value) is tuple:
            kind, content = cast("tuple[str, Any]", value)
            convert = named[kind]
            return content if convert is None else convert(content)
        convert = known.get(value.__class__)
        return value if convert is None else convert(value)

    return back


def member_of(form: Form, back: Convert | None) -> Convert | None:
    """The conversion of a union's member: instances of models and enums, so that pydantic does not choose among likes.

    `back` converts what the member holds.
    """
    made: Any = form.classes[0]
    if issubclass(made, enum.Enum):
        return cast("Convert", made)
    if not issubclass(made, BaseModel):
        return back

    def instance(fields: Any) -> Any:
        content = fields if back is None else back(fields)
        return made.__pydantic_validator__.validate_python(
            content, strict=False, extra="ignore", by_alias=False, by_name=True
        )

    return instance
