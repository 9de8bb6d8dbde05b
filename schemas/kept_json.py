"""Models as JSON text that is kept, and read back as what they were.

JSON has no classes: where a field is a union whose members look alike there (two models with the same fields, an enum
and text), reading chooses one that may be another; a subclass comes back as its base, NaN not at all. So what is
written is read back once, unless the class holds nothing but text, integers, truth values, and lists of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, cast

from pydantic import BaseModel, PydanticUserError, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from schemas.errors import Unencodable
from schemas.personal_fields import sealed_json
from schemas.same import is_same

_PLAIN: Final = frozenset({"string", "integer", "boolean"})


def kept_json(model: BaseModel) -> str:
    """The model as JSON that reads back as the model.

    Raises:
        PersonalOpen: a value is not sealed.
        Unencodable: it holds what JSON cannot, or what JSON gives back as something else.
    """
    text = sealed_json(model)
    if _is_plain(type(model)):
        return text
    try:
        back = type(model).model_validate_json(text)
    except ValidationError as error:
        raise Unencodable(type(model).__name__, f"its JSON cannot be read back ({_first(error)})") from None
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


def _first(error: ValidationError) -> str:
    """What is wrong first, and where; no value."""
    found = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, found['loc']))}: {found['msg']}"


@cache
def _is_plain(model: type[BaseModel]) -> bool:
    """Whether each value of the class comes back as it is."""
    try:
        schema = model.model_json_schema()
    except (PydanticInvalidForJsonSchema, PydanticUserError):
        return False  # who knows
    return all(map(_is_plain_schema, schema.get("properties", {}).values())) and "$defs" not in schema


def _is_plain_schema(schema: Mapping[str, Any]) -> bool:
    members = [each for each in schema.get("anyOf", [schema]) if each != {"type": "null"}]
    if len(members) != 1:
        return False
    kind, content = members[0].get("type"), cast("Mapping[str, Any]", members[0])
    if kind == "array":
        return isinstance(items := content.get("items"), dict) and _is_plain_schema(cast("Any", items))
    return kind in _PLAIN and content.get("format") in (None, "uuid")
