"""Messages as JSON, by pydantic. The payload is one JSON object whose members are the fields by name.

Bytes are base64 (URL-safe), instants keep their offset; one of hours, minutes and seconds, as of local mean time, is
refused, since JSON's would be another instant. Classes whose serializers write something else are refused
(`schemas.json_serializers`); what they once wrote is read. A union is decoded as pydantic chooses: where two members
look alike in JSON (two models with the same fields, `UUID | str`), a value that would come back as another one is
refused when it is written; give them a field that tells them apart, or use Avro. Which values come back is known of
most types (`schemas.kept_types`); those of others are read back once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, time
from functools import cache, partial
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, PydanticSchemaGenerationError
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import PydanticSerializationError, from_json, to_json

from schemas.codec import Decode, Encode, Read, complete
from schemas.errors import FieldNotSupported
from schemas.evolution import Fields
from schemas.extras import json_reader
from schemas.json_schema import MessageSchemas
from schemas.json_serializers import parts, refuse_serializers
from schemas.json_shapes import bare
from schemas.kept_json import read_kept, why_changed
from schemas.kept_types import has_odd_offset, kept
from schemas.messages import Message
from schemas.personal_data import Personal, sealed_text
from schemas.schema import VERSION_PROPERTY, Format, Schema
from schemas.wire import HEADER_BYTES


class JsonCodec:
    """JSON. Schemas are JSON Schema, titled with the type name."""

    format: Format = "json"

    def __init__(self) -> None:
        self._schemas: dict[type[Message], Schema] = {}

    def schema_of(self, message: type[Message]) -> Schema:
        """See `Codec`."""
        schema = self._derived(message)
        refuse_serializers(message)
        return schema

    def _derived(self, message: type[Message]) -> Schema:
        if message not in self._schemas:
            self._schemas[message] = _schema_of(message)
        return self._schemas[message]

    def encoder(self, message: type[Message], header: bytes) -> Encode:
        """See `Codec`."""
        complete(message)
        to_json = message.__pydantic_serializer__.to_json
        known = kept(message.__pydantic_core_schema__)
        if known.is_sure:  # partial costs a quarter more
            return lambda message: header + to_json(message, by_alias=False, exclude_computed_fields=True)
        write = partial(to_json, by_alias=False, exclude_computed_fields=True)
        read = partial(message.__pydantic_validator__.validate_json, by_alias=False, by_name=True)

        def encode(message: Message) -> bytes:
            text = _written(message, write)
            if known.is_in_doubt(message, text):
                _refuse_changed(message, text, read)
            return header + text

        return encode

    def decoder(self, message: type[Message], writer: Schema) -> Decode:
        """See `Codec`."""
        validate = message.__pydantic_validator__.validate_json
        if writer == self._derived(message):
            return lambda data: validate(data[HEADER_BYTES:], by_alias=False, by_name=True)
        read = json_reader(message.__pydantic_validator__, message.__pydantic_core_schema__, "ignore")
        return lambda data: read(data[HEADER_BYTES:], by_alias=False, by_name=True)

    def reader(self, writer: Schema) -> Read:
        """See `Codec`."""
        return _object_of

    def load(self, model: type[BaseModel], fields: Fields) -> BaseModel:
        """See `Codec`."""
        text = to_json(fields, by_alias=False, bytes_mode="base64", inf_nan_mode="strings", fallback=_personal_text)
        if issubclass(model, Message):
            return read_kept(model, text)
        made = read_kept(_with_bytes_of_messages(model), text)
        return made if type(made) is model else model.model_construct(made.model_fields_set, **vars(made))


def _written(message: Message, write: Callable[[Message], bytes]) -> bytes:
    try:
        return write(message)
    except PydanticSerializationError as error:
        raise ValueError(
            f"{error}; if these are bytes in a model that is no message, give the model "
            'model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")'
        ) from error


def _refuse_changed(message: Message, text: bytes, read: Callable[[bytes], Any]) -> None:
    """Raises ValueError: the text is read as something else."""
    if why := why_changed(message, text, read):
        _refuse_odd_offsets(message)
        _refuse_lost_numbers(vars(message).values())
        raise ValueError(why)


def _refuse_odd_offsets(message: Message) -> None:
    for value in _leaves(vars(message).values()):
        if isinstance(value, datetime | time) and has_odd_offset(value):
            raise ValueError(f"{value!r} has an offset with seconds, which JSON has not: take astimezone(UTC)")


def _leaves(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, BaseModel):
            yield from _leaves(vars(value).values())
        elif isinstance(value, dict):
            yield from _leaves(cast("Any", value).values())
        elif isinstance(value, list | tuple | set | frozenset):
            yield from _leaves(cast("Any", value))
        else:
            yield value


def _refuse_lost_numbers(values: Iterable[Any]) -> None:
    for value in values:
        if isinstance(value, BaseModel):
            if value.model_config.get("ser_json_inf_nan", "null") == "null":
                _refuse_infinite(value)
            _refuse_lost_numbers(vars(value).values())
        elif isinstance(value, dict):
            _refuse_lost_numbers(cast("Any", value).values())
        elif isinstance(value, list | tuple | set | frozenset):
            _refuse_lost_numbers(cast("Any", value))


def _refuse_infinite(model: BaseModel) -> None:
    for name, value in vars(model).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(
                f"{type(model).__name__}.{name} is {value}, which JSON lacks: give the model "
                'model_config = ConfigDict(ser_json_inf_nan="strings")'
            )


@cache
def _with_bytes_of_messages(model: type[BaseModel]) -> type[BaseModel]:
    """The model of an upcast, which stands for a message: its own bytes are base64, whatever its configuration says."""
    is_like = model.model_config.get("val_json_bytes") == "base64"
    if is_like or not any(part is bytes for info in model.model_fields.values() for part in parts(info.annotation)):
        return model
    body = {"model_config": ConfigDict(val_json_bytes="base64"), "__module__": model.__module__}
    made: type[BaseModel] = cast("Any", type(model))(model.__name__, (model,), body)
    return made


def _personal_text(value: Any) -> str:
    """What an upcast copied; raises PersonalOpen for what it made itself."""
    if isinstance(value, Personal):
        return sealed_text(cast("Any", value))
    raise TypeError(f"{type(value).__name__} has no JSON")


def _object_of(data: bytes) -> Fields:
    fields = from_json(data[HEADER_BYTES:])
    if not isinstance(fields, dict):
        raise ValueError("it is no JSON object")
    return cast("Fields", fields)


def _schema_of(message: type[Message]) -> Schema:
    complete(message)
    name, version = message.__type_name__, message.__type_version__
    try:
        content = bare(message.model_json_schema(by_alias=False, schema_generator=MessageSchemas))
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError) as error:
        raise FieldNotSupported(message.__name__, str(error), format="JSON") from error
    text = json.dumps({**content, "title": name, VERSION_PROPERTY: version}, separators=(",", ":"), sort_keys=True)
    return Schema(name, version, "json", text)
