"""Models as JSON text that is kept, and read back as what they were.

JSON has no classes: where a field is a union whose members look alike there (two models with the same fields, an enum
and text), reading chooses one that may be another. So what a class with unions is written as is read back once.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from pydantic import BaseModel, PydanticUserError
from pydantic.errors import PydanticInvalidForJsonSchema

from schemas.errors import Unencodable
from schemas.personal_fields import sealed_json
from schemas.same import is_same


def kept_json(model: BaseModel) -> str:
    """The model as JSON that reads back as the model.

    Raises:
        PersonalOpen: a value is not sealed.
        Unencodable: it holds what JSON cannot, or what JSON gives back as something else.
    """
    text = sealed_json(model)
    if not _has_unions(type(model)):
        return text
    back = type(model).model_validate_json(text)
    if not is_same(back, model):
        raise Unencodable(type(model).__name__, _changed(model, back))
    return text


def _changed(model: BaseModel, back: BaseModel) -> str:
    for name, value in vars(model).items():
        other = getattr(back, name)
        if not is_same(value, other):
            one, two = type(value).__name__, type(other).__name__
            became = f"{one} comes back as {two}" if one != two else "what it holds comes back as something else"
            return (
                f"of its field {name}, {became}, since they look alike in JSON; give models a field that tells them "
                'apart, such as kind: Literal["card"] = "card", and one type instead of two to what is text'
            )
    return "it comes back as something else"


@cache
def _has_unions(model: type[BaseModel]) -> bool:
    try:
        return _says_union(model.model_json_schema())
    except (PydanticInvalidForJsonSchema, PydanticUserError):
        return True  # who knows


def _says_union(schema: Any) -> bool:
    """Whether a value may be one of several things besides null."""
    if isinstance(schema, list):
        return any(_says_union(each) for each in cast("Any", schema))
    if not isinstance(schema, dict):
        return False
    content = cast("dict[str, Any]", schema)
    members = [each for word in ("anyOf", "oneOf") for each in content.get(word, ()) if each != {"type": "null"}]
    return len(members) > 1 or any(map(_says_union, content.values()))
