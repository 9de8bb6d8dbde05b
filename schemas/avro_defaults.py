"""The default values of fields as Avro's: JSON, as Avro 1.12 says under "Complex Types".

A default that a function makes has none, except an empty container: it would be another one for each reader. A value
inside a container that is not of the first member of its union has none either: readers before Avro 1.12 refuse it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import MAX_PREC, Context, Decimal
from typing import Any, Final, cast
from typing import get_origin as origin_of
from uuid import UUID

from pydantic.fields import FieldInfo

from schemas import avro_forms as forms
from schemas.avro_forms import AvroSchema, Form
from schemas.avro_unions import branch_of

_EMPTY: Final[dict[Any, Any]] = {list: [], set: [], frozenset: [], tuple: [], dict: {}}
_PYTHON: Final[dict[str, tuple[type, ...]]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "double": (float, int),
    "string": (str,),
}
_EXACT: Final = Context(prec=MAX_PREC)
_MIDNIGHT = datetime.min.replace(tzinfo=UTC)


class _NoDefault(ValueError):
    """The value has no form as a default."""


def default_of(info: FieldInfo, form: Form) -> dict[str, Any]:
    """The member `default` of an Avro field; empty if it has none."""
    if info.is_required():
        return {}
    factory: Any = info.default_factory
    if factory:
        made = origin_of(factory) or factory
        return {"default": _EMPTY[made]} if made in _EMPTY else {}
    value = info.get_default()
    chosen = branch_of(form.branches, value) if form.branches else form
    try:
        return {} if chosen is None else {"default": _json(chosen.schema, _plain(chosen, value))}
    except ValueError:
        return {}


def _plain(form: Form, value: Any) -> Any:
    return value if form.plain is None else form.plain(value)


def _json(schema: AvroSchema, value: Any) -> Any:
    if isinstance(schema, list):
        return _member(cast("Any", schema)[0], value)
    if isinstance(schema, str):
        return _primitive(schema, value)
    content: dict[str, Any] = cast("dict[str, Any]", schema)
    kind = content["type"]
    if kind == "array":
        return [_json(content["items"], each) for each in value]
    if kind == "map":
        return {key: _json(content["values"], each) for key, each in value.items()}
    if kind == "record":
        return {each["name"]: _json(each["type"], value[each["name"]]) for each in content["fields"]}
    if kind == "enum":
        return _primitive("string", value)
    return _logical(content, value)


def _member(schema: AvroSchema, value: Any) -> Any:
    if not isinstance(value, tuple):
        return _json(schema, value)
    kind, content = cast("tuple[str, Any]", value)
    given: Any = cast("Mapping[str, Any]", schema) if isinstance(schema, Mapping) else {"type": schema}
    name: Any = given.get("name", given["type"])
    if kind != name:
        raise _NoDefault(f"{kind} is not the first member")
    return _json(schema, content)


def _primitive(kind: str, value: Any) -> Any:
    if kind == "bytes" and isinstance(value, bytes):
        return value.decode("latin-1")
    bare = forms.value_of(value)
    if kind not in _PYTHON or not isinstance(bare, _PYTHON[kind]) or (isinstance(bare, bool) and kind != "boolean"):
        raise _NoDefault(f"{value!r} is no {kind}")
    if isinstance(bare, float) and not math.isfinite(bare):
        raise _NoDefault(f"JSON has no {value!r}")
    return bare


def _logical(schema: Mapping[str, Any], value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value) if schema["type"] == "string" else _unscaled(value, schema).decode("latin-1")
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.toordinal() - date(1970, 1, 1).toordinal()
    if isinstance(value, time):
        return (datetime.combine(date.min, value, UTC) - _MIDNIGHT) // timedelta(microseconds=1)
    return _primitive(schema["type"], value)


def _unscaled(value: Decimal, schema: Mapping[str, Any]) -> bytes:
    """Avro's decimal: the unscaled number in two's complement, big-endian, in as few bytes as it takes."""
    precision, scale = schema["precision"], schema["scale"]
    if not value.is_finite() or (value and value.adjusted() + scale >= precision):
        raise _NoDefault(f"{value} has more than {precision} digits")
    scaled = value.scaleb(scale, _EXACT)
    number = int(scaled)
    if number != scaled:
        raise _NoDefault(f"{value} has more than {scale} decimal places")
    return number.to_bytes((number if number >= 0 else ~number).bit_length() // 8 + 1, "big", signed=True)
