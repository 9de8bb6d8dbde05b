"""The Avro forms of single values and of containers, and the conversions they need.

A *form* is a schema with two conversions: `plain` makes of a value what fastavro takes, `back` makes of what fastavro
gives (the named members of unions as pairs of name and value) what pydantic takes.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeAlias, cast
from uuid import UUID

import fastavro.read
import fastavro.write
import pydantic
from pydantic import BaseModel

from schemas.json_shapes import PERSONAL_LOGICAL
from schemas.personal_content import holds
from schemas.personal_data import Personal

Convert: TypeAlias = Callable[[Any], Any]
AvroSchema: TypeAlias = Any
"""An Avro schema as JSON: a name, an object, or a list for a union."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_NESTED = frozenset({"type", "items", "values", "fields"})
_UNNAMED = frozenset({"null", "boolean", "int", "long", "double", "string", "bytes", "array", "map", "union"})


@dataclass(frozen=True, slots=True)
class Form:
    """How values of one annotation are written."""

    schema: AvroSchema
    classes: tuple[type, ...]
    """What the values are instances of, the usual class first."""
    plain: Convert | None = None
    """None: fastavro takes the values as they are."""
    back: Convert | None = None
    """None: pydantic takes what fastavro gives."""
    branches: tuple[Form, ...] = ()
    """The members of a union."""
    item: Form | None = None
    """What an array or map holds."""
    fields: dict[str, Form] = field(default_factory=dict["str", "Form"], compare=False, repr=False)
    """Those of a record; filled after the form was made, as records may hold their own kind."""

    @property
    def kind(self) -> str:
        """What tells it from other members of a union: its name, else its Avro type."""
        if isinstance(self.schema, list):
            return "union"
        if isinstance(self.schema, str):
            return self.schema
        return str(self.schema.get("name", self.schema["type"]))

    @property
    def is_named(self) -> bool:
        """Whether it is a record or an enum."""
        return not self.branches and self.kind not in _UNNAMED

    @property
    def is_record(self) -> bool:
        """Whether it is a record."""
        return not self.branches and issubclass(self.classes[0], BaseModel)

    @property
    def logical(self) -> str | None:
        """The logical type, if it has one."""
        schema: Any = self.schema
        return schema.get("logicalType") if isinstance(schema, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]


def _micros(instant: datetime) -> int:
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no zone: add one, such as tzinfo=UTC")
    micros = (instant - _EPOCH) // _MICROSECOND
    if not _FIRST <= micros <= _LAST:
        raise ValueError(f"{instant!r} is before the year 1 or after the year 9999 in UTC, as which it is read")
    return micros


def _clock(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError(f"{value!r} has a zone, which Avro's time has not: give a datetime, or take the zone off")
    return value


def _instant(micros: Any) -> Any:
    """The instant; a value that fastavro converted already stays."""
    return _EPOCH + timedelta(0, 0, micros) if type(micros) is int else micros


_INSTANT = Form({"type": "long", "logicalType": "timestamp-micros"}, (datetime,), _micros, _instant)
_DAY = Form({"type": "int", "logicalType": "date"}, (date,))
LEAVES: dict[Any, Form] = {
    types.NoneType: Form("null", (types.NoneType,)),
    bool: Form("boolean", (bool,)),
    int: Form("long", (int,)),
    float: Form("double", (float, int)),
    str: Form("string", (str,)),
    bytes: Form("bytes", (bytes,)),
    UUID: Form({"type": "string", "logicalType": "uuid"}, (UUID,)),
    Decimal: Form({"type": "string", "logicalType": "sagalog-decimal"}, (Decimal,)),
    datetime: _INSTANT,
    date: _DAY,
    time: Form({"type": "long", "logicalType": "time-micros"}, (time,), _clock),
    timedelta: Form({"type": "long", "logicalType": "sagalog-duration-micros"}, (timedelta,)),
    pydantic.AwareDatetime: _INSTANT,
    pydantic.PastDatetime: _INSTANT,
    pydantic.PastDate: _DAY,
}
"""The forms of what holds nothing else."""


def _sealed(value: Any) -> bytes:
    return bytes(value.sealed)


def personal(kind: Any) -> Form:
    """Personal data of this type, as it was sealed."""
    return Form({"type": "bytes", "logicalType": PERSONAL_LOGICAL, **holds(kind)}, (Personal,), _sealed)


def _read_decimal(text: Any, *_: Any) -> Decimal:
    return Decimal(text)


def _write_decimal(value: Any, *_: Any) -> str:
    return str(value)


def _read_duration(micros: Any, *_: Any) -> timedelta:
    return timedelta(microseconds=micros)


def _write_duration(value: Any, *_: Any) -> int:
    return value // _MICROSECOND if isinstance(value, timedelta) else value


def _add_logical_types() -> None:
    readers: dict[str, Callable[..., Any]] = cast("Any", fastavro.read).LOGICAL_READERS
    writers: dict[str, Callable[..., Any]] = cast("Any", fastavro.write).LOGICAL_WRITERS
    readers["string-sagalog-decimal"], writers["string-sagalog-decimal"] = _read_decimal, _write_decimal
    readers["long-sagalog-duration-micros"], writers["long-sagalog-duration-micros"] = _read_duration, _write_duration


_add_logical_types()


def bare(schema: AvroSchema) -> AvroSchema:
    """The schema without the logical types that forms convert themselves, which is faster than in fastavro."""
    if isinstance(schema, list):
        return [bare(each) for each in cast("Any", schema)]
    if not isinstance(schema, dict):
        return schema
    content: dict[str, Any] = cast("Any", schema)
    if content.get("logicalType") == "timestamp-micros":
        return "long"
    if content.get("logicalType") == PERSONAL_LOGICAL:
        return "bytes"
    return {name: bare(value) if name in _NESTED else value for name, value in content.items()}


def fixed_decimal(metadata: Iterable[Any]) -> Form | None:
    """Avro's own decimal, if the annotation limits its digits and its decimal places."""
    digits = places = None
    for each in metadata:
        digits = getattr(each, "max_digits", digits)
        places = getattr(each, "decimal_places", places)
    if digits is None or places is None:
        return None
    return Form({"type": "bytes", "logicalType": "decimal", "precision": digits, "scale": places}, (Decimal,))


def value_of(value: Any) -> Any:
    """The value of an enumeration's member; anything else is its own."""
    return value.value if isinstance(value, enum.Enum) else value


def each_item(convert: Convert | None) -> Convert | None:
    """The conversion of a list whose items are converted so."""
    return None if convert is None else lambda items: [convert(item) for item in items]


def as_list(convert: Convert | None) -> Convert:
    """The same for whatever can be iterated: fastavro takes lists only."""
    return list if convert is None else lambda items: [convert(item) for item in items]


def each_value(convert: Convert | None) -> Convert | None:
    """The conversion of a mapping whose values are converted so."""
    return None if convert is None else lambda items: {key: convert(value) for key, value in items.items()}


def plain_record(owner: type[BaseModel], converts: list[tuple[str, Convert]]) -> Convert:
    """The fields of a model, the listed ones converted. The list may be filled later.

    An instance of a subclass is refused: it may have fields that the schema lacks, and would be read as its base.
    """

    def plain(model: BaseModel) -> dict[str, Any]:
        if model.__class__ is not owner:
            raise ValueError(
                f"this is a {type(model).__name__}, declared is {owner.__name__}, as which it would be read: "
                f"give a {owner.__name__}, or declare {owner.__name__} | {type(model).__name__}"
            )
        fields: dict[str, Any] = vars(model)
        if not converts:
            return fields
        fields = fields.copy()
        for name, convert in converts:
            fields[name] = convert(fields[name])
        return fields

    return plain


def back_record(converts: list[tuple[str, Convert]]) -> Convert:
    """A record read with tags, the listed fields converted in place. The list may be filled later."""

    def back(fields: dict[str, Any]) -> dict[str, Any]:
        for name, convert in converts:
            if name in fields:
                fields[name] = convert(fields[name])
        return fields

    return back
