"""Avro schemas of messages, derived from their fields.

=====================  ======================================================================================
``int``                long; a value beyond 64 bits is refused when it is written
``Decimal``            string with the logical type ``sagalog-decimal``, or Avro's decimal if both
                       ``max_digits`` and ``decimal_places`` are declared
``UUID``               string with the logical type ``uuid``
``datetime``           long, ``timestamp-micros``: the instant, without its zone; refused are those without one, and
                       those that are not of the years 1 to 9999 in UTC
``date``, ``time``     ``date``, ``time-micros``; a time with a zone is refused
``timedelta``          long with the logical type ``sagalog-duration-micros``
``Personal``           bytes with the logical type ``sagalog-personal``: the sealed form; the property
                       ``sagalog.holds`` is the JSON schema of what it holds
``Enum``               enum of its values if Avro allows all as symbols, else as a ``Literal``
``Literal``            the type of its values, which are its property ``sagalog.values`` (`schemas.avro_closed`)
list, set, tuple       array, of a set or of fixed length by its properties; ``dict[str, …]``: map
model                  record, also recursive; default values become Avro's, unless made by a function; an instance of
                       a subclass is refused when it is written, a model of ``extra="allow"`` when it is derived
=====================  ======================================================================================

One record schema per message type: its full name is the type's name (dots are namespaces), its property
`sagalog.version` the type's version; what it holds has names that begin with it. A union's member is chosen by the
value's class, never by trying, also where the writer's schema is another one (`schemas.avro_foreign`) or upcasts stand
between (`schemas.avro_noted`). So a union whose members Avro could not tell apart (`datetime | int`, both longs; two
classes of one name) is refused by name. `strict=True` is for what programs give, not for what is read.
"""

from __future__ import annotations

import collections.abc
import enum
import re
import types
import typing
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal, NamedTuple, NewType

from pydantic import BaseModel, PydanticSchemaGenerationError, RootModel
from pydantic.fields import FieldInfo
from typing_extensions import TypeAliasType

from schemas import avro_forms as forms
from schemas.avro_closed import KEYS_PROPERTY, TUPLE_PROPERTY, UNIQUE_PROPERTY, closed, either, opened, values_in
from schemas.avro_defaults import default_of
from schemas.avro_forms import LEAVES, AvroSchema, Convert, Form
from schemas.avro_unions import branch_of, union_of
from schemas.definition import Definition, members
from schemas.errors import FieldNotSupported
from schemas.kept_types import why_unread_again
from schemas.literals import READ_FROM_AVRO, why_unread
from schemas.personal_data import Personal
from schemas.schema import VERSION_PROPERTY

_AVRO_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_ARRAYS: dict[Any, tuple[type, ...]] = {
    list: (list,),
    set: (set,),
    frozenset: (frozenset,),
    tuple: (tuple,),
    collections.abc.Sequence: (list, tuple),
    collections.abc.Set: (set, frozenset),
}
_NAMED = (BaseModel, enum.Enum)
_MAPS: dict[Any, tuple[type, ...]] = {dict: (dict,), collections.abc.Mapping: (dict,)}


class _Place(NamedTuple):
    """The field that is derived."""

    model: type[BaseModel]
    field: str

    def refuse(self, why: str) -> FieldNotSupported:
        definition = vars(self.model).get("__definition__")
        line = str(definition.line(self.field)) if isinstance(definition, Definition) else ""
        return FieldNotSupported(f"{self.model.__name__}.{self.field}", why, line)

    def refuse_if(self, why: str) -> None:
        if why:
            raise self.refuse(why)


class Deriver:
    """Derives the form of one message class and of all that it holds."""

    def __init__(self, name: str, version: int, *, is_loose: bool = False) -> None:
        """`is_loose`: fields that have no form are no error, and left to pydantic."""
        self._space, self._version, self._is_loose = name, version, is_loose
        self._records: dict[type, Form] = {}
        self._enums: dict[type, Form] = {}
        self._names: set[str] = set()
        self.is_tagged = False
        """Whether a union has members that only their names tell apart: it must be read with tags."""

    def record(self, model: type[BaseModel]) -> Form:
        """The form of a model.

        Raises:
            FieldNotSupported: names the field.
        """
        if model in self._records:
            return replace(self._records[model], schema=self._records[model].kind)
        schema: dict[str, Any] = {"type": "record", "name": self._name(model)}
        if not self._records:
            schema[VERSION_PROPERTY] = self._version
        plains: list[tuple[str, Convert]] = []
        backs: list[tuple[str, Convert]] = []
        parts: dict[str, Form] = {}
        plain, back = forms.plain_record(model, plains), forms.back_record(backs)
        self._records[model] = Form(schema, (model,), plain, back, fields=parts)
        fields: list[dict[str, Any]] = []
        schema["fields"] = fields
        for name, info in model.model_fields.items():
            form = parts[name] = self._part(_Place(model, name), info)
            fields.append({"name": name, "type": form.schema, **default_of(info, form)})
            plains.extend([(name, form.plain)] if form.plain else [])
            backs.extend([(name, form.back)] if form.back else [])
        if not backs:
            self._records[model] = replace(self._records[model], back=None)
        return self._records[model]

    def _name(self, named: type) -> str:
        """The full name of a record or enum: the message's, or one beside it, as names without a dot inherit."""
        name = self._space
        if self._names:
            name = f"{name}_{_own_name(named)}"
        unique, number = name, 1
        while unique in self._names:
            number += 1
            unique = f"{name}_{number}"
        self._names.add(unique)
        return unique

    def _part(self, place: _Place, info: FieldInfo) -> Form:
        try:
            return self._field(place, info)
        except FieldNotSupported:
            if not self._is_loose:
                raise
            return LEAVES[types.NoneType]

    def _field(self, place: _Place, info: FieldInfo) -> Form:
        if not _AVRO_NAME.fullmatch(place.field):
            raise place.refuse("its name has other characters than A–Z, a–z, 0–9 and _")
        form = self._form(place, info.annotation, info.metadata)
        default = info.get_default()
        if form.branches and (first := branch_of(form.branches, default)):
            rest = [branch.schema for branch in form.branches if branch is not first]
            return replace(form, schema=[first.schema, *rest])  # Avro: the default is of the first member
        return form

    def _form(self, place: _Place, annotation: Any, metadata: Iterable[Any] = ()) -> Form:
        place.refuse_if(why_unread_again(annotation, metadata))
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            return self._form(place, arguments[0], (*arguments[1:], *metadata))
        if isinstance(annotation, NewType):
            return self._form(place, annotation.__supertype__, metadata)
        if isinstance(annotation, TypeAliasType):
            return self._form(place, annotation.__value__, metadata)
        if annotation is Decimal and (fixed := forms.fixed_decimal(metadata)):
            return fixed
        if origin is Personal:
            return _personal(place, arguments[0])
        if origin is Literal:
            return self._literal(place, arguments)
        if origin in (typing.Union, types.UnionType):
            return self._union(place, members(annotation))
        try:
            return LEAVES.get(annotation) or self._composed(place, annotation, origin or annotation, arguments)
        except TypeError as error:  # an annotation that cannot be a key of a dict
            raise place.refuse(f"{annotation!r} is no type") from error

    def _composed(self, place: _Place, annotation: Any, origin: Any, arguments: tuple[Any, ...]) -> Form:
        if origin in _ARRAYS:
            return self._array(place, _ARRAYS[origin], arguments)
        if origin in _MAPS:
            return self._map(place, _MAPS[origin], arguments)
        if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
            return self._enum(place, annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel) and not issubclass(annotation, RootModel):
            return self._model(place, annotation)
        raise place.refuse(f"{annotation!r} is none of the types that have one")

    def _model(self, place: _Place, model: type[BaseModel]) -> Form:
        if model.model_config.get("extra") == "allow":
            raise place.refuse(
                f'{model.__name__} has extra="allow", and Avro would lose what it does not declare: declare it, or add '
                "a dict for it"
            )
        return self.record(model)

    def _array(self, place: _Place, classes: tuple[type, ...], arguments: tuple[Any, ...]) -> Form:
        items = tuple(dict.fromkeys(argument for argument in arguments if argument is not Ellipsis))
        if not items:
            raise place.refuse("it does not say what it holds: list[str], for example")
        form = self._form(place, items[0]) if len(items) == 1 else self._union(place, items)
        plain = forms.each_item(form.plain) if classes == (list,) else forms.as_list(form.plain)
        schema: dict[str, Any] = {"type": "array", "items": form.schema}
        if classes == (tuple,) and Ellipsis not in arguments:  # what it names is defined by then
            schema[TUPLE_PROPERTY] = [[self._form(place, argument).schema for argument in arguments]]
        elif set in classes or frozenset in classes:
            schema[UNIQUE_PROPERTY] = True
        return Form(schema, classes, plain, forms.each_item(form.back), item=form)

    def _map(self, place: _Place, classes: tuple[type, ...], arguments: tuple[Any, ...]) -> Form:
        if not arguments:
            raise place.refuse("it does not say what it holds: dict[str, int], for example")
        key, form = self._form(place, arguments[0]), self._form(place, arguments[1])
        if key.classes != (str,):
            raise place.refuse("the keys of an Avro map are str")
        schema = {"type": "map", "values": form.schema}
        if keys := values_in(key.schema):
            schema[KEYS_PROPERTY] = keys
        return Form(schema, classes, forms.each_value(form.plain), forms.each_value(form.back), item=form)

    def _enum(self, place: _Place, owner: type[enum.Enum]) -> Form:
        if owner in self._enums:
            form = self._enums[owner]
            return replace(form, schema=form.kind) if "name" in form.schema else form
        values = [member.value for member in owner]
        if values and all(isinstance(value, str) and _AVRO_NAME.fullmatch(value) for value in values):
            schema: AvroSchema = {"type": "enum", "name": self._name(owner), "symbols": values}
        else:
            schema = self._literal(place, tuple(values)).schema
        self._enums[owner] = Form(schema, (owner,), forms.value_of)
        return self._enums[owner]

    def _literal(self, place: _Place, values: tuple[Any, ...]) -> Form:
        place.refuse_if(why_unread(values, READ_FROM_AVRO))
        kinds: dict[Any, list[Any]] = {}
        for value in map(forms.value_of, values):
            kinds.setdefault(type(value), []).append(value)
        if not kinds or not all(kind in (str, int, bool, bytes, types.NoneType) for kind in kinds):
            raise place.refuse(f"its values {list(values)} are not all str or int")
        found = [replace(LEAVES[kind], schema=closed(LEAVES[kind].schema, each)) for kind, each in kinds.items()]
        form = found[0] if len(found) == 1 else union_of(found)
        if any(isinstance(value, enum.Enum) for value in values):
            if form.branches:
                raise place.refuse(f"its values {list(values)} are not all of one type")
            return replace(form, classes=(type(values[0]),), plain=forms.value_of)
        return form

    def _union(self, place: _Place, alternatives: tuple[Any, ...]) -> Form:
        found: dict[str, Form] = {}
        for alternative in alternatives:
            form = self._form(place, alternative)
            if isinstance(form.schema, list) and not form.branches:
                raise place.refuse(f"the values of {form.classes[0].__name__} are not all of one type")
            for branch in form.branches or (form,):
                self._refuse_namesake(place, branch, found.values())
                other = found.setdefault(branch.kind, branch)
                alike = branch.is_named or opened(other.schema) == opened(branch.schema)
                if other.classes != branch.classes or not alike:
                    one, two = (each.classes[0].__name__ for each in (other, branch))
                    raise place.refuse(
                        f"{one} and {two} are both Avro's {branch.kind}: readers could not tell them apart"
                    )
                if not branch.is_named:
                    found[branch.kind] = replace(other, schema=either(other.schema, branch.schema))
        if len(found) == 1:
            return next(iter(found.values()))
        named = sum(form.is_named for form in found.values())
        self.is_tagged = self.is_tagged or named > 1 or (named == 1 and len(found) > 1 + ("null" in found))
        return union_of(list(found.values()))

    def _refuse_namesake(self, place: _Place, branch: Form, others: Iterable[Form]) -> None:
        """Classes of one name are numbered by their order, so another order would be read as the other class.

        Models of upcasts read what was written before that was refused.
        """
        one = branch.classes[0]
        for two in (other.classes[0] for other in others):
            if two is one or self._is_loose or not (issubclass(one, _NAMED) and issubclass(two, _NAMED)):
                continue
            if _own_name(one) == _own_name(two):
                raise place.refuse(
                    f"{_path(two)} and {_path(one)} have one name, by which readers tell them apart: rename one"
                )


def _own_name(named: type) -> str:
    return re.sub("[^A-Za-z0-9]+", "_", named.__name__).strip("_")


def _path(named: type) -> str:
    return f"{named.__module__}.{named.__qualname__}"


def _personal(place: _Place, kind: Any) -> Form:
    try:
        return forms.personal(kind)
    except PydanticSchemaGenerationError as error:
        raise place.refuse(f"{kind!r}, which is sealed there, has no JSON") from error
