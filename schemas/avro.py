"""Messages as Avro, by fastavro; flat ones are written and read by `schemas.avro_flat`, in less time.

The payload is the schemaless binary encoding of the type's record.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import fastavro
from pydantic import BaseModel

from schemas.avro_closed import opened
from schemas.avro_flat import flat_reader, flat_writer
from schemas.avro_foreign import resolved
from schemas.avro_forms import Convert, Form, bare
from schemas.avro_noted import recalled
from schemas.avro_schema import Deriver
from schemas.codec import Decode, Encode, Read, complete
from schemas.errors import SchemaInvalid
from schemas.evolution import Fields
from schemas.messages import Message
from schemas.schema import Format, Schema
from schemas.wire import HEADER_BYTES

_fastavro: Any = fastavro  # its types hold unknown ones
_write: Callable[[io.BytesIO, Any, Any], None] = _fastavro.schemaless_writer
_read: Callable[..., Any] = _fastavro.schemaless_reader


class Derived:
    """What follows from a message class: its schema, and the conversions that it needs."""

    def __init__(self, message: type[Message]) -> None:
        complete(message)
        deriver = Deriver(message.__type_name__, message.__type_version__)
        self.form: Form = deriver.record(message)
        self.is_tagged = deriver.is_tagged
        content: Any = self.form.schema
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        self.schema = Schema(message.__type_name__, message.__type_version__, "avro", text)
        self.parsed: Any = fastavro.parse_schema(bare(opened(content)))


class AvroCodec:
    """Avro. Schemas are derived and parsed once per class."""

    format: Format = "avro"

    def __init__(self) -> None:
        self._known: dict[type[Message], Derived] = {}
        self._recalls: dict[type[BaseModel], Convert | None] = {}

    def _derived(self, message: type[Message]) -> Derived:
        if message not in self._known:
            self._known[message] = Derived(message)
        return self._known[message]

    def schema_of(self, message: type[Message]) -> Schema:
        """See `Codec`."""
        return self._derived(message).schema

    def encoder(self, message: type[Message], header: bytes) -> Encode:
        """See `Codec`."""
        derived = self._derived(message)
        parsed, plain, new, write = derived.parsed, derived.form.plain, io.BytesIO, _write
        assert plain is not None, "records have one"
        if flat := flat_writer(parsed, header):
            return lambda message: flat(plain(message))

        def encode(message: Any) -> bytes:
            out = new()
            out.write(header)
            write(out, parsed, plain(message))
            return out.getvalue()

        return encode

    def decoder(self, message: type[Message], writer: Schema) -> Decode:
        """See `Codec`."""
        derived, validate = self._derived(message), message.__pydantic_validator__.validate_python
        if writer != derived.schema:
            return _foreign_decoder(derived.form, writer, validate)
        read = _fields_reader(derived.parsed, derived.is_tagged)
        if back := derived.form.back:
            return lambda data: validate(back(read(data)), strict=False, by_alias=False, by_name=True)
        return lambda data: validate(read(data), strict=False, by_alias=False, by_name=True)

    def reader(self, writer: Schema) -> Read:
        """See `Codec`. Records and enums remember their names (`schemas.avro_noted`), for `load`."""
        return _foreign_reader(None, writer)

    def load(self, model: type[BaseModel], fields: Fields) -> BaseModel:
        """See `Codec`."""
        if model not in self._recalls:
            self._recalls[model] = _recall(model)
        recall = self._recalls[model]
        known = fields if recall is None else recall(fields)
        return model.model_validate(known, strict=False, extra="ignore", by_alias=False, by_name=True)


def _recall(model: type[BaseModel]) -> Convert | None:
    """What fields need before pydantic makes the model of them; fields of it that Avro has not are left to pydantic."""
    if issubclass(model, Message):
        complete(model)
    elif not model.__pydantic_complete__:
        model.model_rebuild()
    return recalled(Deriver("", 1, is_loose=True).record(model))


def _foreign_decoder(form: Form, writer: Schema, validate: Callable[..., Any]) -> Decode:
    read = _foreign_reader(form, writer)
    return lambda data: validate(read(data), strict=False, extra="ignore", by_alias=False, by_name=True)


def _foreign_reader(form: Form | None, writer: Schema) -> Read:
    """Reads what the schema wrote for the form, or for upcasts. Raises SchemaInvalid: it is no schema."""
    try:
        content: Any = json.loads(writer.text)
        parsed, convert = fastavro.parse_schema(opened(content)), resolved(form, content)
    except Exception as error:  # fastavro has no root of its errors, and lets others through
        raise SchemaInvalid(f"{type(error).__name__}: {error}") from error
    read = _fields_reader(parsed, convert is not None)
    return read if convert is None else lambda data: convert(read(data))


def _fields_reader(parsed: Any, is_tagged: bool) -> Callable[[bytes], Any]:
    if flat := flat_reader(parsed, HEADER_BYTES):
        return flat
    new, read = io.BytesIO, _read
    options: dict[str, Any] = {"return_named_type": True} if is_tagged else {}

    def fields_of(data: bytes) -> Any:
        source = new(data)
        source.seek(HEADER_BYTES)
        fields = read(source, parsed, None, **options)
        if source.tell() != len(data):
            raise ValueError(f"{len(data) - source.tell()} bytes too many")
        return fields

    return fields_of
