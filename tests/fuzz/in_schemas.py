"""Decoders of `schemas`: messages, their metadata, their schemas, sealed values."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# Lambdas that hypothesis fills have no types.

from __future__ import annotations

from typing import Any, Literal

from hypothesis import strategies as st

from schemas import DecodeError, Event, Personal, Schema, SchemaError, Serde, Undecodable, personal
from schemas.avro import AvroCodec
from schemas.compatibility import problems
from schemas.errors import SchemaInvalid
from schemas.json_codec import JsonCodec
from schemas.metadata import Metadata
from schemas.registry import MemoryRegistry
from schemas.sealing import KEY_BYTES, KEY_ID_BYTES, PersonalDamaged, parse, seal, unseal
from schemas.wire import header_of, schema_id_of
from tests.fuzz.decoders import Decoder, of_text
from tests.schemas.samples import Everything, Flat, everythings, flats
from tests.schemas.test_metadata import metadata

KEY = bytes(KEY_BYTES)


class Named(Event, name="fuzz.named"):
    who: str
    name: Personal[str] = personal(subject="who")


class OldPlace(Event, name="fuzz.place"):
    text: str


class Place(Event, name="fuzz.place", version=2):
    parts: list[str]

    @staticmethod
    def of(text: str) -> list[str]:
        return text.split()


@Place.upcast(from_version=1)
def _place(fields: dict[str, Any]) -> dict[str, Any]:
    return {"parts": Place.of(fields["text"])}


def _serde(format: Literal["avro", "json"]) -> Serde:
    return Serde(MemoryRegistry(), [Everything, Flat, Named, Place], format=format)


_AVRO, _JSON = _serde("avro"), _serde("json")
_OLD_AVRO, _OLD_JSON = Serde(MemoryRegistry(), [OldPlace]), Serde(MemoryRegistry(), [OldPlace], format="json")
"""Writers of the older version; their ids are told to the readers below."""


def _reader_of_old(writer: Serde) -> tuple[Serde, st.SearchStrategy[bytes]]:
    registry = MemoryRegistry()
    schema = (AvroCodec() if writer is _OLD_AVRO else JsonCodec()).schema_of(OldPlace)
    number = registry.register(schema.name, schema)
    values = st.text(st.characters(codec="utf-8"), max_size=9).map(lambda text: OldPlace(text=text))
    return Serde(registry, [Place]), values.map(lambda old: header_of(number) + writer.encode(old)[5:])


_READS_AVRO, _AVRO_PLACES = _reader_of_old(_OLD_AVRO)
_READS_JSON, _JSON_PLACES = _reader_of_old(_OLD_JSON)
_ANY = everythings(alike=False) | flats
_SUBJECTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=9)
_SEALED = st.builds(
    lambda subject, text: seal(text, subject=subject, key_id=bytes(KEY_ID_BYTES), key=KEY),
    _SUBJECTS,
    st.binary(max_size=40),
)
_NAMED = st.builds(lambda sealed: Named(who=parse(sealed).subject, name=Personal.from_sealed(sealed)), _SEALED)
_AVRO_TEXTS = st.sampled_from([AvroCodec().schema_of(each).text.encode() for each in (Everything, Flat, Named)])
_JSON_TEXTS = st.sampled_from([JsonCodec().schema_of(each).text.encode() for each in (Everything, Flat, Named)])


def _with_schema(format: Literal["avro", "json"], text: str) -> object:
    """Decode a value whose writer's schema has this text."""
    registry = MemoryRegistry()
    serde = Serde(registry, [Flat])
    number = registry.register("fuzz", Schema("sample.flat", 1, format, text))
    payload = b"{}" if format == "json" else bytes(40)
    try:
        return serde.decode(header_of(number) + payload)
    except Undecodable:
        return None


def _compared(format: Literal["avro", "json"], text: str) -> object:
    """Compare a schema of somebody's with ours, as `check` and the served registry do."""
    codec = AvroCodec() if format == "avro" else JsonCodec()
    return problems(Schema.parse(format, text), codec.schema_of(Everything), "full")


SCHEMAS = (
    Decoder("wire header", schema_id_of, st.integers(0, 2**32 - 1).map(header_of), (Undecodable,)),
    Decoder("metadata", Metadata.decode, metadata.map(Metadata.encode), (Undecodable,)),
    Decoder("avro payload", _AVRO.decode, _ANY.map(_AVRO.encode), (DecodeError,), 0.5),
    Decoder("json payload", _JSON.decode, _ANY.map(_JSON.encode), (DecodeError,), 0.5),
    Decoder("avro payload of an older version", _READS_AVRO.decode, _AVRO_PLACES, (DecodeError,)),
    Decoder("json payload of an older version", _READS_JSON.decode, _JSON_PLACES, (DecodeError,)),
    Decoder("avro payload with personal data", _AVRO.decode, _NAMED.map(_AVRO.encode), (DecodeError,)),
    Decoder("json payload with personal data", _JSON.decode, _NAMED.map(_JSON.encode), (DecodeError,)),
    Decoder("avro schema", of_text(lambda text: Schema.parse("avro", text)), _AVRO_TEXTS, (SchemaInvalid,)),
    Decoder("json schema", of_text(lambda text: Schema.parse("json", text)), _JSON_TEXTS, (SchemaInvalid,)),
    Decoder("avro writer's schema", of_text(lambda text: _with_schema("avro", text)), _AVRO_TEXTS, (SchemaError,)),
    Decoder("json writer's schema", of_text(lambda text: _with_schema("json", text)), _JSON_TEXTS, (SchemaError,)),
    Decoder("avro schema to compare", of_text(lambda text: _compared("avro", text)), _AVRO_TEXTS, (SchemaInvalid,)),
    Decoder("json schema to compare", of_text(lambda text: _compared("json", text)), _JSON_TEXTS, (SchemaInvalid,)),
    Decoder("sealed value", lambda data: unseal(parse(data), KEY), _SEALED, (PersonalDamaged,)),
)
