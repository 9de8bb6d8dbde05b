"""Which fields of a model hold personal data, and whose: found once per class.

A field is one if `Personal[…]` stands in its annotation, also in a list, a tuple, a map, beside None, or behind an
alias or a `NewType`; it is declared by `personal(subject=…)`. Models inside a model have fields of their own, with
subjects of their own.
"""

from __future__ import annotations

import enum
import typing
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Any, NamedTuple, TypeVar, cast

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError

from schemas.annotations import parts, unions
from schemas.definition import Definition, DefinitionError
from schemas.errors import SchemaError, Unencodable
from schemas.personal_data import SUBJECT_PROPERTY, Personal, PersonalOpen

M = TypeVar("M", bound=BaseModel)


class PersonalOfAnother(SchemaError):
    """A sealed value stands in a message about another subject: forgetting that one would not reach it."""

    def __init__(self, where: str, *, subject: str, found: str) -> None:
        super().__init__(
            f"{where} is declared to be about {subject} and holds personal data sealed for {found}: forgetting "
            f"{subject} would leave it readable; give it a value of its own, or correct personal(subject=…)"
        )
        self.where, self.subject, self.found = where, subject, found


class SubjectMissing(SchemaError):
    """Personal data of nobody: the field that says whose it is holds None."""

    def __init__(self, where: str, field: str) -> None:
        super().__init__(
            f"{where} holds personal data of nobody, its {field} is None: say there whose it is, or leave the personal "
            "data out"
        )
        self.where, self.field = where, field


class _Fields(NamedTuple):
    own: tuple[tuple[str, str], ...]
    """Field and the field that names its subject."""
    nested: tuple[str, ...]
    """Fields in which models may stand that have some."""


def holds_personal(model: type[BaseModel]) -> bool:
    """Whether messages of the class can hold personal data."""
    fields = _fields(model)
    return bool(fields.own or fields.nested)


def personal_names(model: type[BaseModel]) -> tuple[str, ...]:
    """The fields of the class that hold personal data, themselves or in models."""
    fields = _fields(model)
    return (*(name for name, _ in fields.own), *fields.nested)


def hide_inputs(annotation: Any) -> None:
    """Let errors of models that hold personal data, and of those that hold these, not show what they were given.

    `annotation`: a model, or a type that holds some. Models that are not complete yet are left as they are.
    """
    for model in dict.fromkeys(_models_below(annotation, set())):
        is_hidden = model.model_config.get("hide_input_in_errors")
        if model.__pydantic_complete__ and not is_hidden and any(map(_mentions_personal, _models_below(model, set()))):
            model.model_config["hide_input_in_errors"] = True
            model.model_rebuild(force=True)


def _mentions_personal(model: type[BaseModel]) -> bool:
    return any(_mentions(info.annotation) for info in model.model_fields.values())


def _models_below(annotation: Any, seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """The models in a type, and in their fields, the inner ones first."""
    for model in _models(annotation):
        if model not in seen:
            seen.add(model)
            for info in model.model_fields.values():
                yield from _models_below(info.annotation, seen)
            yield model


def check_personal(model: type[BaseModel]) -> None:
    """Refuse a field of personal data without a subject, or with a default that is not sealed; and one that has a
    subject and would be written as it is.

    Raises:
        DefinitionError: names the field.
    """
    for name, info in model.model_fields.items():
        declared = _subject_of(info)
        if _mentions(info.annotation) and declared is None:
            raise _wrong(
                model, name, 'holds personal data of nobody: add = personal(subject="the field that says whose")'
            )
        if declared is not None and not _mentions(info.annotation):
            raise _wrong(model, name, f"is declared to be personal data, which its type is not: {_as_personal(info)}")
        if beside := next(_beside_personal(info.annotation), None):
            raise _wrong(
                model, name, f"may hold {beside} in place of a Personal, which would be written as it is: make it one"
            )
        if declared is not None and (declared not in model.model_fields or declared == name):
            raise _wrong(model, name, f"has subject={declared!r}, which is no other field of {model.__name__}")
        if any(not value.is_sealed for value in _leaves(info.default, Personal)):
            raise _wrong(model, name, "has personal data as its default, which is sealed for nobody: let it be None")


def _as_personal(info: FieldInfo) -> str:
    """What to write instead."""
    kind = info.annotation
    return f"write Personal[{kind.__name__}]" if isinstance(kind, type) else "write Personal[…] around what is personal"


def personal_values(model: BaseModel) -> Iterator[tuple[str, Personal[Any], str]]:
    """Each value of personal data in it: where it stands, the value, and whose it is by declaration.

    Raises:
        SubjectMissing: the field that says whose it is holds None.
    """
    fields = _fields(type(model))
    for name, subject_field in fields.own:
        for value in _leaves(getattr(model, name), Personal):
            yield f"{type(model).__name__}.{name}", value, _subject(model, name, subject_field)
    for name in fields.nested:
        for inner in _leaves(getattr(model, name), BaseModel):
            yield from personal_values(inner)


def map_personal(model: M, change: Callable[[Personal[Any], str], Personal[Any]]) -> M:
    """The model with each value of personal data changed, given the value and whose it is.

    Raises:
        SubjectMissing: the field that says whose it is holds None.
    """
    fields, update = _fields(type(model)), dict[str, Any]()
    for name, subject_field in fields.own:
        subject = partial(_subject, model, name, subject_field)
        update[name] = _mapped(getattr(model, name), Personal, partial(_changed, change, subject))
    for name in fields.nested:
        inner = update.get(name, getattr(model, name))
        update[name] = _mapped(inner, BaseModel, lambda each: map_personal(each, change))
    if not update:
        return model
    copied: Any = BaseModel.model_copy(model, update=update)  # a message's own would validate it again
    return cast("M", copied)


def check_sealed(model: BaseModel) -> None:
    """Refuse to write what must not be written.

    Raises:
        PersonalOpen: a value is not sealed.
        PersonalOfAnother: a value is sealed for another subject.
    """
    for where, value, subject in personal_values(model):
        if not value.is_sealed:
            raise PersonalOpen(where)
        if value.subject != subject:
            raise PersonalOfAnother(where, subject=subject, found=value.subject or "")


def sealed_json(model: BaseModel) -> str:
    """The model as JSON, for what carries it as text.

    Raises:
        PersonalOpen: a value is not sealed.
        Unencodable: it holds what JSON cannot.
    """
    try:
        return model.model_dump_json(by_alias=False, round_trip=True)
    except PydanticSerializationError as error:
        check_sealed(model)
        raise Unencodable(type(model).__name__, str(error)) from error


def _subject(model: BaseModel, name: str, field: str) -> str:
    """The subject of a personal field, as text."""
    value: Any = getattr(model, field)
    if value is None:
        raise SubjectMissing(f"{type(model).__name__}.{name}", field)
    return str(value.value if isinstance(value, enum.Enum) else value)


@cache
def _fields(model: type[BaseModel]) -> _Fields:
    own, nested = list[tuple[str, str]](), list[str]()
    for name, info in model.model_fields.items():
        declared = _subject_of(info)
        if _mentions(info.annotation) or declared is not None:
            check_personal(model)
            own.append((name, declared or ""))
        if any(_reaches(inner, set()) for inner in _models(info.annotation)):
            nested.append(name)
    return _Fields(tuple(own), tuple(nested))


def _reaches(model: type[BaseModel], seen: set[type[BaseModel]]) -> bool:
    """Whether personal data stands in it, or below; a class that is looked at already adds nothing.

    Raises:
        DefinitionError: see `check_personal`.
    """
    if model in seen:
        return False
    seen.add(model)
    if any(_subject_of(info) is not None for info in model.model_fields.values()):
        check_personal(model)
    annotations = [info.annotation for info in model.model_fields.values()]
    return any(_mentions(each) or any(_reaches(inner, seen) for inner in _models(each)) for each in annotations)


def _subject_of(info: Any) -> str | None:
    extra = info.json_schema_extra
    return cast("dict[str, str]", extra).get(SUBJECT_PROPERTY) if isinstance(extra, dict) else None


def _mentions(annotation: Any) -> bool:
    return any(part is Personal for part in parts(annotation, Personal))


def _beside_personal(annotation: Any) -> Iterator[str]:
    """The members of unions with a `Personal` that are none; but None and literals, which are nobody's."""
    for members in unions(annotation, Personal):
        if any(map(_mentions, members)):
            for member in members:
                is_nobodys = member is type(None) or typing.get_origin(member) is typing.Literal
                if not is_nobodys and not _mentions(member):
                    yield getattr(member, "__name__", str(member))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    for part in parts(annotation, Personal):
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield part


def _changed(
    change: Callable[[Personal[Any], str], Personal[Any]], subject: Callable[[], str], value: Personal[Any]
) -> Personal[Any]:
    return change(value, subject())


def _leaves(value: Any, kind: type[Any]) -> Iterator[Any]:
    if isinstance(value, kind):
        yield value
    elif _is_map(value):
        for each in value.values():
            yield from _leaves(each, kind)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in cast("Any", value):
            yield from _leaves(each, kind)


def _mapped(value: Any, kind: type[Any], change: Callable[[Any], Any]) -> Any:
    if isinstance(value, kind):
        return change(value)
    if _is_map(value):
        return {key: _mapped(each, kind, change) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = cast("Any", value)
        return type(items)(_mapped(each, kind, change) for each in items)
    return value


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping)


def _wrong(model: type[BaseModel], field: str, why: str) -> DefinitionError:
    definition = vars(model).get("__definition__")
    text = f"{model.__name__}.{field} {why}"
    if isinstance(definition, Definition):
        return DefinitionError(definition.line(field), text)
    from schemas.definition import Line

    return DefinitionError(Line(model.__module__, 0), text)
