"""JSON schemas of messages: those of pydantic, and what JSON Schema has no word for (`schemas.json_shapes`)."""

from __future__ import annotations

from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from schemas.json_shapes import DECIMAL_PROPERTY, KEYS_PROPERTY

_TOLD: Final = frozenset({"str", "any", "literal", "enum", "definition-ref", "date", "datetime", "time", "uuid"})
"""Keys that JSON Schema tells by `propertyNames`, or that are any text."""


class MessageSchemas(GenerateJsonSchema):
    """Makes them."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """A number or text, and that it is a decimal."""
        return {**super().decimal_schema(schema), DECIMAL_PROPERTY: True}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """A map, and what its keys are if they are no text."""
        keys: Any = schema.get("keys_schema", {"type": "any"})
        made = super().dict_schema(schema)
        return made if keys["type"] in _TOLD else {**made, KEYS_PROPERTY: keys["type"]}
