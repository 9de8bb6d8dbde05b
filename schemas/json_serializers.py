"""Find what pydantic would write as something else, or not read again: serializers, fields that are left out, secrets,
members of plain enums in a `Literal` (`schemas.literals`), and enums of other values than text and numbers.

Fields are written as they are (`schemas.messages`), but pydantic's JSON is what a class's serializers make of them.
Looked at are models, dataclasses, typed dicts and named tuples, at every depth; not what a type's own core schema does,
which `Personal` needs, nor what a Personal holds.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple, NewType

from pydantic import PlainSerializer, Secret, SecretBytes, SecretStr, WrapSerializer
from typing_extensions import TypeAliasType, is_typeddict

from schemas.definition import Definition
from schemas.errors import FieldNotSupported
from schemas.kept_types import why_unread_again
from schemas.literals import READ_FROM_JSON, why_unread
from schemas.personal_data import Personal

_SECRETS: Final = (SecretStr, SecretBytes, Secret)
_VALUES: Final = (str, int, float, types.NoneType)


class _Change(NamedTuple):
    owner: type
    field: str
    """Empty: the whole class."""
    why: str


def refuse_serializers(message: type) -> None:
    """Refuse a class whose JSON is not what its fields hold. It must be complete.

    Raises:
        FieldNotSupported: names the field, or the class.
    """
    for owner, field, why in _changes(message, set()):
        definition = vars(owner).get("__definition__")
        line = str(definition.line(field)) if field and isinstance(definition, Definition) else ""
        raise FieldNotSupported(f"{owner.__name__}.{field}" if field else owner.__name__, why, line, format="JSON")


def _changes(owner: type, seen: set[type]) -> Iterator[_Change]:
    if owner in seen:
        return
    seen.add(owner)
    decorators: Any = getattr(owner, "__pydantic_decorators__", None)
    if decorators is not None:
        yield from _decorated(owner, decorators)
    for name, declared in _fields(owner):
        for part in (part for annotation in declared for part in parts(annotation)):
            if isinstance(part, PlainSerializer | WrapSerializer):
                yield _Change(owner, name, _changed(f"its {type(part).__name__} writes something else"))
            elif why := _unread(part):
                yield _Change(owner, name, why)
            elif isinstance(part, type):
                yield from _changes(part, seen)


def _decorated(owner: type, decorators: Any) -> Iterator[_Change]:
    for name in decorators.model_serializers:
        yield _Change(owner, "", _changed(f"its model_serializer {name} writes something else"))
    for name, serializer in decorators.field_serializers.items():
        why = _changed(f"its field_serializer {name} writes something else")
        for field in serializer.info.fields:
            yield _Change(owner, "" if field == "*" else field, why)
    fields: dict[str, Any] = getattr(owner, "__pydantic_fields__", {})
    for name, info in fields.items():
        if info.exclude or getattr(info, "exclude_if", None):
            yield _Change(owner, name, _changed("exclude leaves it out"))


def _changed(what: str) -> str:
    return f"{what}, and fields are written as they are: take it off, or hold the other value in a field of its own"


def _unread(part: Any) -> str:
    if typing.get_origin(part) is Literal:
        return why_unread(typing.get_args(part), READ_FROM_JSON)
    if isinstance(part, type) and issubclass(part, enum.Enum):
        return _why_no_value(part)
    if why := why_unread_again(part):
        return why
    if part in _SECRETS or typing.get_origin(part) in _SECRETS:
        return "JSON would hold stars in its place: declare what it holds, or Personal[…], which is encrypted"
    return ""


def _why_no_value(part: type[enum.Enum]) -> str:
    odd = [member for member in part if not isinstance(member.value, _VALUES)]
    if not odd:
        return ""
    return f"{odd[0]} has the value {odd[0].value!r}, by which JSON does not read it again: give it text or a number"


def _fields(owner: Any) -> Iterator[tuple[str, Iterable[Any]]]:
    """The fields of a class and their annotations, metadata included."""
    declared: Any = getattr(owner, "__pydantic_fields__", None)
    if declared is not None:
        for name, info in declared.items():
            yield name, (info.annotation, *info.metadata)
    elif dataclasses.is_dataclass(owner) or is_typeddict(owner) or hasattr(owner, "_fields"):
        with suppress(NameError):  # of a function that has ended
            for name, annotation in typing.get_type_hints(owner, include_extras=True).items():
                yield name, (annotation,)


def parts(annotation: Any) -> Iterator[Any]:
    """What an annotation is made of, metadata included; what a Personal holds is not looked into."""
    origin = typing.get_origin(annotation)
    if isinstance(annotation, TypeAliasType):
        yield from parts(annotation.__value__)
    elif isinstance(annotation, NewType):
        yield from parts(annotation.__supertype__)
    elif origin is typing.Annotated:
        for part in typing.get_args(annotation):
            yield from parts(part)
    elif origin is None or origin is Literal:
        yield annotation
    elif origin is not Personal:
        yield origin
        for part in typing.get_args(annotation):
            yield from parts(part)
