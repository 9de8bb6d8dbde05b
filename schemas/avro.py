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
from schemas.avro_forms import Form, bare
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
        derived = self._derived(message)
        parsed = derived.parsed if writer == derived.schema else _parse(writer.text)
        read, validate = _fields_reader(parsed, derived.is_tagged), message.__pydantic_validator__.validate_python
        extra: Any = None if writer == derived.schema else "ignore"
        if back := derived.form.back:
            return lambda data: validate(back(read(data)), extra=extra, by_name=True)
        if extra is None:
            return lambda data: validate(read(data), by_name=True)
        return lambda data: validate(read(data), extra=extra, by_name=True)

    def reader(self, writer: Schema) -> Read:
        """See `Codec`."""
        return _fields_reader(_parse(writer.text), False)

    def load(self, model: type[BaseModel], fields: Fields) -> BaseModel:
        """See `Codec`."""
        return model.model_validate(fields, extra="ignore", by_name=True)


def _parse(text: str) -> Any:
    """The schema of a writer, as fastavro wants it. Raises SchemaInvalid: it is none."""
    try:
        return fastavro.parse_schema(opened(json.loads(text)))
    except Exception as error:  # fastavro has no root of its errors, and lets others through
        raise SchemaInvalid(f"{type(error).__name__}: {error}") from error


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
