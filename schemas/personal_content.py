"""What a `Personal` holds: its type, and its JSON, which is what is sealed.

Errors of pydantic show the value that they are about, so none leaves this module, not even as another one's context.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import to_json

from schemas.errors import SchemaError, Unencodable
from schemas.extras import json_reader
from schemas.json_shapes import HOLDS_PROPERTY, bare
from schemas.same import is_same

_NOT_KEPT: Final = "JSON does not keep it: it would come back as another value, or not at all"
_NOTHING: Final = object()


class PersonalOfOtherType(SchemaError):
    """Personal data was sealed as another type than it is read as; nothing can change what was sealed."""

    def __init__(self, subject: str, kind: object) -> None:
        super().__init__(
            f"personal data of {subject} is no {_named(kind)}: it was sealed as another type, which cannot be changed "
            "any more; let the field take both, such as Personal[int | str] or, of models, Personal[New | Old]"
        )
        self.subject, self.kind = subject, kind


def taken(value: Any, kind: Any) -> Any:
    """A value for a field of this type, as the type takes it.

    Raises:
        ValueError: the type does not take it, or JSON does not keep it. The value is not shown.
    """
    made: Any = _NOTHING
    with suppress(ValidationError):
        made = _adapter(kind).validate_python(value, strict=True)
    if made is _NOTHING:
        raise ValueError(f"this personal data is no {_named(kind)}")
    if not _is_kept(made, kind):
        raise ValueError(f"this personal data cannot be sealed: {_NOT_KEPT}")
    return made


def text_of(value: Any) -> bytes:
    """What is sealed of a value: its JSON, with the names of fields.

    Raises:
        Unencodable: it has none.
    """
    with suppress(ValueError):
        return to_json(value, by_alias=False)
    raise Unencodable("personal data", _NOT_KEPT)


def read(text: bytes, kind: Any, subject: str) -> Any:
    """The value again. What its models had fields for and have no longer is left out.

    Raises:
        PersonalOfOtherType: it is none of this type.
    """
    with suppress(ValidationError):
        return _read(text, kind)
    raise PersonalOfOtherType(subject, kind)


def holds(kind: Any) -> dict[str, Any]:
    """The property of a field's schema that says what is sealed there, with definitions of its own; none if JSON Schema
    has no word for it.
    """
    with suppress(PydanticInvalidForJsonSchema):
        return {HOLDS_PROPERTY: bare(_adapter(kind).json_schema(by_alias=False))}
    return {}


def _is_kept(made: Any, kind: Any) -> bool:
    with suppress(ValueError, Unencodable):
        return is_same(_read(text_of(made), kind), made)
    return False


def _read(text: bytes, kind: Any) -> Any:
    return _reader(kind)(text, by_alias=False, by_name=True)


@lru_cache(maxsize=1_000)
def _reader(kind: Any) -> Callable[..., Any]:
    adapter = _adapter(kind)
    return json_reader(adapter.validator, adapter.core_schema, "ignore")


@lru_cache(maxsize=1_000)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _named(kind: object) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)
