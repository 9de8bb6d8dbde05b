"""What is checked when a message class is made. Every refusal is a `DefinitionError` at the class or field."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable
from typing import Any, cast

from pydantic import BaseModel, PydanticSchemaGenerationError, TypeAdapter

from schemas.definition import DefinitionError, definition_of, members
from schemas.errors import FieldNotSupported
from schemas.names import unfit
from schemas.suggestions import keyword_hint

UNDO = "undo."
"""What the names of `Undo[…]` begin with."""
_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*", re.ASCII)
_AVRO_WORDS = frozenset(
    ("null", "boolean", "int", "long", "float", "double", "bytes", "string", "record", "error", "enum", "array", "map")
)


def is_generic(cls: type[BaseModel]) -> bool:
    """Whether it is a template, or one with its parameters filled in, and no class that somebody wrote."""
    generic = cls.__pydantic_generic_metadata__
    return generic["origin"] is not None or bool(generic["parameters"])


def refuse_parameters(cls: Any) -> None:
    """Refuse a generic class with its parameters filled in: it has no name of its own in the log. `Undo[…]` has.

    Raises:
        DefinitionError: names the line of the generic class.
    """
    template: Any = cls.__pydantic_generic_metadata__["origin"]
    if template is not None and not cls.__type_name__.startswith(UNDO):
        raise DefinitionError(
            definition_of(template).class_line,
            f"{cls.__name__} has no name in the log: give it one, class Named({cls.__name__}, name=…), and use that",
        )


def snake_case(name: str) -> str:
    """`OrderPlaced` as `order_placed`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def refuse_unknown(cls: type, unknown: dict[str, Any], known: tuple[str, ...]) -> None:
    """Refuse class keywords that the class does not take."""
    for keyword in unknown:
        hint = keyword_hint(keyword, known)
        raise DefinitionError(definition_of(cls).class_line, f"{cls.__name__} has no option {keyword}=: {hint}")


def check_type(cls: Any) -> None:
    """Check what every message declares."""
    line, name, version = definition_of(cls).class_line, cls.__type_name__, cls.__type_version__
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DefinitionError(
            line, f"{cls.__name__}: name={name!r} is not lower-case words joined by dots (order.placed)"
        )
    if name.startswith(UNDO):
        raise DefinitionError(
            line, f"{cls.__name__}: names that begin with {UNDO!r} are those of Undo[…], choose another"
        )
    if name in _AVRO_WORDS:
        raise DefinitionError(
            line, f"{cls.__name__}: name={name!r} is a word of Avro, add a dot: name='{name}.happened', for example"
        )
    if type(version) is not int or version < 1:
        raise DefinitionError(line, f"{cls.__name__}: version={version!r} is not a whole number of at least 1")
    for option, value in (("frozen", True), ("extra", "forbid")):
        if cls.model_config.get(option) != value:
            raise DefinitionError(line, f"{cls.__name__}: messages are {option}={value!r}, that cannot be changed")


def check_command(cls: Any) -> None:
    """Check what a command declares besides."""
    line = definition_of(cls).class_line
    if not hasattr(cls, "__to__") or not hasattr(cls, "__key__"):
        raise DefinitionError(line, f'{cls.__name__} goes nowhere: add to="service", key="field"')
    if why := unfit(cls.__to__, "stock"):
        raise DefinitionError(line, f"{cls.__name__}: to= names nobody who takes commands: {why}")
    if cls.__key__ not in cls.model_fields:
        fields = ", ".join(cls.model_fields) or "a field (it has none)"
        raise DefinitionError(line, f"{cls.__name__}: key={cls.__key__!r} is none of {fields}")
    if types.NoneType in members(cls.model_fields[cls.__key__].annotation):
        at = definition_of(cls).line(cls.__key__)
        raise DefinitionError(at, f"{cls.__name__}.{cls.__key__} is its key and may be None: every command needs a key")


def check_answers(
    cls: type, replies: Iterable[Any], refusals: Iterable[Any], reply: type[BaseModel], refusal: type[BaseModel]
) -> None:
    """Refuse a command that may be answered by what is no `reply`, or refused by what is no `refusal`."""
    line = definition_of(cls).class_line
    for answer in replies:
        if _is(answer, refusal):
            raise DefinitionError(
                line, f"{cls.__name__} answers {answer.__name__}, which is a Refusal: Command[Reply, {answer.__name__}]"
            )
        if answer not in (types.NoneType, Any) and not _is(answer, reply):
            raise DefinitionError(
                line, f"{cls.__name__} answers {_named(answer)}, which is no Reply: give a class of one, or None"
            )
    for answer in refusals:
        if answer is not Any and not _is(answer, refusal):
            raise DefinitionError(
                line, f"{cls.__name__} may be refused by {_named(answer)}, which is no Refusal: give a class of one"
            )


def _is(answer: Any, kind: type) -> bool:
    return isinstance(answer, type) and issubclass(answer, kind)


def _named(answer: Any) -> str:
    return getattr(answer, "__name__", repr(answer))


def refused_field(owner: type[BaseModel], refusal: PydanticSchemaGenerationError) -> FieldNotSupported:
    """The error for a class that pydantic refuses to make because of the type of a field."""
    for field, info in owner.__pydantic_fields__.items():
        try:
            TypeAdapter(cast("Any", info.annotation))
        except PydanticSchemaGenerationError:
            why = f"{info.annotation!r} is no type of data: use a model, or another type that pydantic knows"
            line = str(definition_of(owner).line(field))
            return FieldNotSupported(f"{owner.__name__}.{field}", why, line, format="Avro or JSON")
    return FieldNotSupported(owner.__name__, refusal.message.partition("\n")[0], format="Avro or JSON")
