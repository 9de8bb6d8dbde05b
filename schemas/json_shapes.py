"""JSON schemas of messages as shapes.

Of JSON Schema, what pydantic writes for models is understood: `type`, `properties`, `required`, `$ref`, `anyOf`,
`items`, `prefixItems`, `uniqueItems`, `additionalProperties`, `propertyNames`, `enum`, `const` and `format`. Limits
such as `maximum` are not looked at. What it has no word for are properties of ours (`schemas.json_schema`): that a
number or text is a decimal, and what the keys of a map are. A property has a default if the schema tells it, or is an
array or map that need not be there: what another function makes would be another value at each reading.

What is sealed in a field has a schema with definitions of its own: there `$dynamicRef` stands for `$ref`, as `#Name`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from schemas.shapes import FieldShape, Shape, symbol

PERSONAL_LOGICAL = "sagalog-personal"
"""The format, in Avro the logical type, of personal data: its sealed form."""
HOLDS_PROPERTY = "sagalog.holds"
"""The property that holds the JSON schema of what is sealed there."""
DECIMAL_PROPERTY = "sagalog.decimal"
"""The property of a schema that takes decimals: true."""
KEYS_PROPERTY = "sagalog.keys"
"""The property of a map whose keys are no text: what they are."""
_REFERENCE, _APART = "$ref", "$dynamicRef"
_DATA = ("default", "const", "enum", "examples")
_KINDS = {"integer": "long", "number": "double", "boolean": "boolean", "null": "null", "string": "string"}


def json_shape(schema: Any) -> Shape:
    """The shape of a JSON schema."""
    return _Reader(schema).shape(schema)


def held(content: Mapping[str, Any]) -> Shape | None:
    """The shape of what is sealed, given the schema of personal data; None if it does not say."""
    return json_shape(content[HOLDS_PROPERTY]) if HOLDS_PROPERTY in content else None


def bare(schema: Any) -> Any:
    """Without titles and docstrings, so that editing these does not make another schema."""
    if isinstance(schema, list):
        return [bare(each) for each in schema]  # pyright: ignore[reportUnknownVariableType] - JSON
    if not isinstance(schema, dict):
        return schema
    return {
        key: value if key in _DATA else bare(value)
        for key, value in cast("dict[str, Any]", schema).items()
        if not (key in ("title", "description") and isinstance(value, str))
    }


def apart(schema: Any) -> Any:
    """With references that pydantic does not take for its own, where the schema stands inside of another one."""
    if isinstance(schema, list):
        return [apart(each) for each in schema]  # pyright: ignore[reportUnknownVariableType] - JSON
    if not isinstance(schema, dict):
        return schema
    content = cast("dict[str, Any]", schema)
    if isinstance(reference := content.get(_REFERENCE), str):
        rest = {key: value for key, value in content.items() if key != _REFERENCE}
        return {_APART: f"#{_name_in(reference)}", **apart(rest)}
    return {key: apart(value) for key, value in content.items()}


def _name_in(reference: str) -> str:
    return reference.rpartition("/")[2].removeprefix("#")


class _Reader:
    """Reads one schema with its definitions."""

    def __init__(self, schema: Any) -> None:
        content = cast("dict[str, Any]", schema) if isinstance(schema, dict) else {}
        self._definitions: Mapping[str, Any] = content.get("$defs", {})
        self._known: dict[str, Shape] = {}

    def shape(self, schema: Any) -> Shape:
        if not isinstance(schema, dict):
            return Shape("any")
        content = cast("dict[str, Any]", schema)
        for word in (_REFERENCE, _APART):
            if word in content:
                return self._referred(_name_in(content[word]))
        if content.get(DECIMAL_PROPERTY):
            return Shape("decimal")
        if alternatives := content.get("anyOf") or content.get("oneOf"):
            tag = content.get("discriminator", {}).get("propertyName")
            return _union([_tagged(self.shape(each), tag) for each in alternatives])
        if "enum" in content or "const" in content:
            return self._enum(content)
        kind = content.get("type")
        if isinstance(kind, list):
            return _union([self.shape({**content, "type": each}) for each in cast("list[str]", kind)])
        if kind == "array":
            return self._array(content)
        if kind == "object":
            return self._object(content, Shape("record"))
        logical = content.get("format", "") if kind == "string" else ""
        return Shape(
            _KINDS.get(str(kind), "any"), logical=logical, item=held(content) if logical == PERSONAL_LOGICAL else None
        )

    def _array(self, content: Mapping[str, Any]) -> Shape:
        if places := tuple(self.shape(each) for each in content.get("prefixItems", ())):
            return Shape("array", item=_union(list(places)), places=places)
        logical = "set" if content.get("uniqueItems") else ""
        return Shape("array", item=self.shape(content.get("items")), logical=logical)

    def _referred(self, name: str) -> Shape:
        if name not in self._known:
            content = self._definitions.get(name)
            if isinstance(content, dict) and "properties" in content:
                self._known[name] = Shape("record")  # before its fields, which may name it again
                self._object(cast("dict[str, Any]", content), self._known[name])
            else:
                self._known[name] = Shape("any")
                self._known[name] = self.shape(content)
        return self._known[name]

    def _object(self, content: Mapping[str, Any], shape: Shape) -> Shape:
        if "properties" not in content and content.get("additionalProperties", True) is not False:
            return self._map(content)
        required = content.get("required", ())
        for name, each in content.get("properties", {}).items():
            found = self.shape(each)
            is_told = found.kind in ("array", "map") or (isinstance(each, dict) and "default" in each)
            shape.fields[name] = FieldShape(found, name not in required and is_told)
        return shape

    def _map(self, content: Mapping[str, Any]) -> Shape:
        names: Any = content.get("propertyNames", {})
        keys = self.shape(names)
        return Shape(
            "map",
            item=self.shape(content.get("additionalProperties")),
            symbols=keys.symbols if keys.kind == "enum" else (),
            logical=content.get(KEYS_PROPERTY) or names.get("format", ""),
        )

    def _enum(self, content: Mapping[str, Any]) -> Shape:
        values: list[Any] = content["enum"] if "enum" in content else [content["const"]]
        kinds: dict[str, list[str]] = {}
        for value in values:
            kinds.setdefault(_kind(value), []).append(symbol(value))
        return _union([_closed(kind, tuple(symbols)) for kind, symbols in kinds.items()])


def _tagged(shape: Shape, tag: str | None) -> Shape:
    """The member of a union that this field tells: it must be there, whatever its default."""
    if tag is None or tag not in shape.fields:
        return shape
    return replace(shape, fields={**shape.fields, tag: replace(shape.fields[tag], has_default=False)})


def _union(members: list[Shape]) -> Shape:
    flat = [each for member in members for each in (member.members if member.kind == "union" else (member,))]
    return flat[0] if len(flat) == 1 else Shape("union", members=tuple(flat))


def _closed(kind: str, symbols: tuple[str, ...]) -> Shape:
    return Shape(kind) if kind == "null" else Shape("enum", symbols=symbols, item=Shape(kind))


def _kind(value: object) -> str:
    if value is None:
        return "null"
    kinds: dict[type, str] = {bool: "boolean", int: "long", float: "double", str: "string"}
    return kinds.get(type(value), "any")
