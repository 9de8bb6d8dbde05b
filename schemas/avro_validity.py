"""Whether a schema is valid Avro in what shapes do not look at: names that come twice, and defaults that do not fit.

https://avro.apache.org/docs/1.12.0/specification/#complex-types. A default is of any member of a union, as since 1.12.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from schemas.avro_shapes import avro_shape
from schemas.errors import SchemaInvalid

_INT, _LONG = 2**31, 2**63


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object, limit: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit


def _is_bytes(value: object) -> bool:
    return isinstance(value, str) and all(ord(each) <= 0xFF for each in value)


_FITS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "int": lambda value: _is_whole(value, _INT),
    "long": lambda value: _is_whole(value, _LONG),
    "float": _is_number,
    "double": _is_number,
    "bytes": _is_bytes,
    "string": lambda value: isinstance(value, str),
}


def check_avro(text: str) -> None:
    """That the text is valid Avro.

    Raises:
        SchemaInvalid: it is not; says where.
    """
    try:
        content = json.loads(text)
        avro_shape(content)
        _Checked().look(content, "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SchemaInvalid(f"{type(error).__name__}: {str(error)[:200]}") from error


class _Checked:
    """Goes through one schema; knows the names that it defined so far."""

    def __init__(self) -> None:
        self._named: dict[str, dict[str, Any]] = {}

    def look(self, schema: Any, space: str) -> None:
        if isinstance(schema, list):
            for each in cast("Any", schema):
                self.look(each, space)
        elif isinstance(schema, dict):
            self._look_into(cast("dict[str, Any]", schema), space)

    def _look_into(self, content: dict[str, Any], space: str) -> None:
        kind = content["type"]
        if kind in ("array", "map"):
            self.look(content["items" if kind == "array" else "values"], space)
        elif kind in ("record", "error", "enum", "fixed"):
            self._define(content, space)
        else:
            self.look(kind, space)

    def _define(self, content: dict[str, Any], space: str) -> None:
        name = _full(content["name"], content.get("namespace", space))
        if name in self._named:
            raise SchemaInvalid(f"{name} is defined twice")
        self._named[name] = content
        content["namespace"] = name.rpartition(".")[0]  # so that what is inside is found later, too
        _refuse_twice(name, "symbol", content.get("symbols", []))
        if content["type"] == "enum" and "default" in content and content["default"] not in content["symbols"]:
            raise SchemaInvalid(f"{name}: the default {content['default']!r} is no symbol of it")
        fields: list[dict[str, Any]] = content.get("fields", [])
        _refuse_twice(name, "field", [each["name"] for each in fields])
        for each in fields:
            self.look(each["type"], content["namespace"])
            if "default" in each and not self._fits(each["default"], each["type"], content["namespace"]):
                raise SchemaInvalid(f"{name}: the default of field {each['name']} does not fit its type")

    def _fits(self, value: Any, schema: Any, space: str) -> bool:
        if isinstance(schema, list):
            return any(self._fits(value, each, space) for each in cast("Any", schema))
        if isinstance(schema, str):
            known = self._named.get(_full(schema, space)) or self._named.get(schema)
            return _FITS[schema](value) if known is None else self._fits(value, known, space)
        content = cast("dict[str, Any]", schema)
        kind = content["type"]
        if kind == "array":
            return isinstance(value, list) and all(
                self._fits(each, content["items"], space) for each in cast("Any", value)
            )
        if kind == "map":
            return isinstance(value, dict) and all(
                self._fits(each, content["values"], space) for each in cast("dict[str, Any]", value).values()
            )
        if kind in ("record", "error"):
            return isinstance(value, dict) and self._is_record(cast("dict[str, Any]", value), content)
        if kind == "enum":
            return value in content["symbols"]
        if kind == "fixed":
            return _is_bytes(value) and len(value) == content["size"]
        return self._fits(value, kind, space)

    def _is_record(self, value: Mapping[str, Any], content: dict[str, Any]) -> bool:
        space = content["namespace"]
        return all(
            self._fits(value[each["name"]], each["type"], space) if each["name"] in value else "default" in each
            for each in content["fields"]
        )


def _full(name: str, space: str) -> str:
    return f"{space}.{name}" if space and "." not in name else name


def _refuse_twice(where: str, what: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise SchemaInvalid(f"{where} has the {what} {name} twice")
