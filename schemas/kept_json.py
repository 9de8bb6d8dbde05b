"""Values as JSON that is kept, and read back as what they were.

JSON has no classes: where a field is a union whose members look alike there (two models with the same fields, an enum
and text), reading chooses one that may be another; a subclass comes back as its base, NaN not at all, what a serializer
hides as what it shows. So what is written is read back once, unless nothing of its type can change
(`schemas.kept_types`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from schemas.errors import Unencodable
from schemas.extras import json_reader
from schemas.kept_types import PASSING, Kept, holds_passing, kept
from schemas.personal_fields import sealed_json
from schemas.same import is_same

M = TypeVar("M", bound=BaseModel)


def kept_json(model: BaseModel) -> str:
    """The model as JSON that reads back as the model.

    Raises:
        PersonalOpen: a value is not sealed.
        Unencodable: it holds what JSON cannot, or what JSON gives back as something else.
    """
    text = sealed_json(model)
    if _kept(type(model)).is_in_doubt(model, text.encode()) and (
        why := why_changed(model, text, partial(read_kept, type(model)))
    ):
        raise Unencodable(type(model).__name__, why)
    return text


def read_kept(model: type[M], text: str | bytes) -> M:
    """The model that was kept, also before its class lost a field; models of `extra="allow"` keep what they hold.

    Raises pydantic's ValidationError.
    """
    made: M = _reader(model)(text, by_alias=False, by_name=True)
    return made


def why_changed(value: Any, text: str | bytes, read: Callable[[Any], Any]) -> str:
    """Why the value, which was written as this text, would be read as another one; empty: it is read as itself."""
    try:
        back = read(text)
    except ValidationError as error:
        return f"its JSON cannot be read back ({_first(error)})"
    if back == value or is_same(back, value):
        return ""
    return _changed(value, back)


def _changed(value: Any, back: Any) -> str:
    for name, one, other in _fields(value, back):
        if not is_same(one, other):
            here, there = type(one).__name__, type(other).__name__
            became = f"{here} comes back as {there}" if here != there else "what it holds comes back as something else"
            return (
                f"of its field {name}, {became}, since they look alike in JSON, or a serializer changes it; give "
                'models a field that tells them apart, such as kind: Literal["card"] = "card", one type instead of two '
                "to what is text, and each field the type of what it holds"
            )
    return "it comes back as something else"


def _fields(value: Any, back: Any) -> list[tuple[str, Any, Any]]:
    if not isinstance(value, BaseModel) or type(value) is not type(back):
        return []
    known: Mapping[str, Any] = vars(value)
    return [(name, known[name], getattr(back, name)) for name in type(value).model_fields if name in known]


def _first(error: ValidationError) -> str:
    """What is wrong first, and where; no value."""
    found = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, found['loc']))}: {found['msg']}"


@cache
def _reader(model: type[BaseModel]) -> Callable[..., Any]:
    _complete(model)
    return json_reader(model.__pydantic_validator__, model.__pydantic_core_schema__, "ignore")


def _complete(model: type[BaseModel]) -> None:
    if not model.__pydantic_complete__:
        model.model_rebuild()


@cache
def _kept(model: type[BaseModel]) -> Kept:
    _complete(model)
    if holds_passing(model.__pydantic_core_schema__):
        raise Unencodable(model.__name__, PASSING)
    return kept(model.__pydantic_core_schema__)
