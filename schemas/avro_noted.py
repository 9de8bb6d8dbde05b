"""Records and enums as upcasts get them: mappings and texts that remember their name.

A step which copies such a value unchanged says by it which class the value is of; the members of the next model's
unions are chosen by that. What a step made itself has no name, and pydantic takes it as it takes any mapping or text.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, cast

from pydantic import BaseModel

from schemas import avro_forms as forms
from schemas.avro_closed import values_in
from schemas.avro_forms import Convert, Form
from schemas.avro_unions import member_of


class Noted(dict[str, Any]):
    """The fields of a record, and what follows the type's name in the record's."""

    __slots__ = ("name",)
    name: str


class NotedText(str):
    """The value of an enum's member, and what follows the type's name in the enum's."""

    __slots__ = ("name",)
    name: str


def noted(name: str, back: Convert) -> Convert:
    """The conversion of a record for upcasts; `back` is that of its fields."""

    def convert(fields: Any) -> Noted:
        made = Noted(back(fields))
        made.name = name
        return made

    return convert


def noted_text(name: str) -> Convert:
    """The conversion of an enum for upcasts."""

    def convert(text: Any) -> NotedText:
        made = NotedText(text)
        made.name = name
        return made

    return convert


def member_named(form: Form, type_name: str, name: str, sort: type) -> Form | None:
    """The model or enum of this name among the members of a union; `sort` is BaseModel or Enum."""
    return next((each for each in of_sort(form, sort) if each.kind.removeprefix(type_name) == name), None)


def of_sort(form: Form, sort: type) -> list[Form]:
    """The members of a union that are models, or those that are enums with a name."""
    return [each for each in form.branches if each.is_named and issubclass(each.classes[0], sort)]


def member_of_enum(form: Form, type_name: str, name: str, values: Iterable[str]) -> Form | None:
    """The member that reads an enum of this name: the enum of it, else the text whose only values hold these."""
    named = member_named(form, type_name, name, enum.Enum)
    texts = [each for each in form.branches if each.kind == "string" and {*values} <= {*values_in(each.schema)}]
    return named or next(iter(texts), None)


def refuse(form: Form, name: str) -> Convert:
    """The conversion of what is in none of the union's members."""
    members = " and ".join(each.classes[0].__name__ for each in form.branches if each.kind != "null")

    def convert(_: Any) -> NoReturn:
        raise ValueError(
            f"this was written as {name.strip('_')}, which is none of {members}: let an upcast make one of these of it"
        )

    return convert


def recalled(form: Form) -> Convert | None:
    """The conversion of fields that came out of upcasts, so that pydantic takes them; None: there is nothing to do."""
    return _Walk(form.kind).convert(form)


class _Walk:
    """Walks a form; recursive types end."""

    def __init__(self, type_name: str) -> None:
        self._type_name = type_name
        self._records: dict[type, Convert | None] = {}

    def convert(self, form: Form) -> Convert | None:
        if form.branches:
            return self._union(form, [each for each in form.branches if each.kind != "null"])
        if form.is_record:
            return self._record(form)
        if form.item is None:
            return None
        return _items(self.convert(form.item)) if form.kind == "array" else _values(self.convert(form.item))

    def _record(self, form: Form) -> Convert | None:
        owner = form.classes[0]
        if owner in self._records:
            return self._records[owner]
        converts: list[tuple[str, Convert]] = []
        self._records[owner] = _fields(converts)
        for name, part in form.fields.items():
            convert = self.convert(part)
            converts.extend([(name, convert)] if convert else [])
        if not converts:
            self._records[owner] = None
        return self._records[owner]

    def _union(self, form: Form, others: list[Form]) -> Convert | None:
        if len(others) == 1:
            return self.convert(others[0])
        found = [self.convert(each) for each in others if not each.is_named]
        inside = [each for each in found if each is not None]
        if not inside and not any(each.is_named for each in others):
            return None
        known: dict[tuple[type, str, str], Convert | None] = {}

        def convert(value: Any) -> Any:
            sort = BaseModel if isinstance(value, Noted) else enum.Enum if isinstance(value, NotedText) else None
            if sort is None:
                for each in inside:
                    value = each(value)
                return value
            key = sort, cast("Noted", value).name, str(value) if sort is enum.Enum else ""
            if key not in known:
                known[key] = self._member(form, *key)
            member = known[key]
            return value if member is None else member(value)

        return convert

    def _member(self, form: Form, sort: type, name: str, text: str) -> Convert | None:
        if not of_sort(form, sort):
            return None
        if sort is enum.Enum:
            branch = member_of_enum(form, self._type_name, name, [text])
        else:
            branch = member_named(form, self._type_name, name, sort)
        return refuse(form, name) if branch is None else member_of(branch, self.convert(branch))


def _fields(converts: list[tuple[str, Convert]]) -> Convert:
    def convert(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        given = cast("Mapping[str, Any]", value)
        return {**given, **{name: each(given[name]) for name, each in converts if name in given}}

    return convert


def _items(convert: Convert | None) -> Convert | None:
    each_item = forms.each_item(convert)
    if each_item is None:
        return None
    return lambda value: each_item(value) if isinstance(value, list | tuple | set | frozenset) else value


def _values(convert: Convert | None) -> Convert | None:
    each_value = forms.each_value(convert)
    if each_value is None:
        return None
    return lambda value: each_value(value) if isinstance(value, Mapping) else value
