"""What registered schemas say, and which fields have none."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel

from schemas import Event, FieldNotSupported, MemoryRegistry, Schema, SchemaInvalid, Serde, Undo
from schemas.avro import AvroCodec
from schemas.json_codec import JsonCodec
from tests.schemas.samples import Everything, Flat, Release, Reserve

AVRO, JSON = AvroCodec(), JsonCodec()


class Pair(NamedTuple):
    a: int
    b: int


def fields(message: type[Any]) -> dict[str, Any]:
    """A schema's fields by name."""
    return {field["name"]: field for field in json.loads(AVRO.schema_of(message).text)["fields"]}


def test_an_avro_schema_carries_name_and_version() -> None:
    """The record's full name is the type's name, a property its version."""
    schema = json.loads(AVRO.schema_of(Everything).text)

    assert (schema["type"], schema["name"], schema["sagalog.version"]) == ("record", "sample.everything", 3)


def test_defaults_are_in_the_schema() -> None:
    """A foreign reader sees the default; the default's type comes first in its union, as Avro demands."""
    found = fields(Everything)

    assert found["maybe"] == {"name": "maybe", "type": ["null", "string"], "default": None}
    assert found["either"]["type"] == ["string", "null", "long", "boolean"]
    assert found["choices"]["default"] == []
    pair = {"type": "array", "items": "long", "sagalog.tuple": [["long", "long"]]}
    assert found["pair"] == {"name": "pair", "type": pair, "default": [0, 0]}
    assert "default" not in found["text"]


def test_names_without_a_dot_do_not_mix() -> None:
    """A command named `release` and the Undo of it have schemas of their own names."""
    inner = fields(Undo[Release])["did"]["type"]

    assert json.loads(AVRO.schema_of(Undo[Release]).text)["name"] == "undo.release"
    assert inner["name"] == "undo.release_Release"


@pytest.mark.parametrize("codec", [AVRO, JSON], ids=["avro", "json"])
@pytest.mark.parametrize("message", [Everything, Flat, Reserve, Undo[Reserve]])
def test_a_schemas_text_says_what_it_is_of(codec: AvroCodec | JsonCodec, message: type[Any]) -> None:
    """A registry that keeps texts only can tell name and version."""
    schema = codec.schema_of(message)

    assert Schema.parse(schema.format, schema.text) == schema


def test_a_name_may_be_split_from_its_namespace() -> None:
    """As other tools write Avro."""
    text = '{"type":"record","name":"placed","namespace":"order","sagalog.version":2,"fields":[]}'

    assert Schema.parse("avro", text).type_name == ("order.placed", 2)


@pytest.mark.parametrize(
    "text", ["", "3", "[]", "{}", '{"name":"x"}', '{"name":"x","sagalog.version":"1"}', '"string"']
)
def test_foreign_schemas_are_refused(text: str) -> None:
    """A schema that was not made here is an error, not a guess."""
    with pytest.raises(SchemaInvalid, match="not a sagalog message's"):
        Schema.parse("avro", text)


def test_docstrings_do_not_make_another_json_schema() -> None:
    """Editing a text for people registers nothing."""

    def make(doc: str) -> type[Event]:
        class Told(Event):
            title: str = "title"

        Told.__doc__ = doc
        return Told

    assert JSON.schema_of(make("one")) == JSON.schema_of(make("two"))
    assert "title" in json.loads(JSON.schema_of(make("one")).text)["properties"]


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Any, "none of the types"),
        (object, "none of the types"),
        (complex, "none of the types"),
        (Pair, "none of the types"),
        (RootModel[int], "none of the types"),
        (list, "does not say what it holds"),
        (dict, "does not say what it holds"),
        (dict[int, str], "keys of an Avro map are str"),
        (datetime | int, "datetime and int are both Avro's long"),
        (UUID | str, "UUID and str are both Avro's string"),
        (list[int] | list[str], "list and list are both Avro's array"),
        (list[int] | set[int], "list and set are both Avro's array"),
    ],
    ids=str,
)
def test_a_field_without_avro_form_is_named(annotation: Any, words: str) -> None:
    """The error names the field, its line, and what is wrong."""

    class Odd(Event):
        model_config = ConfigDict(arbitrary_types_allowed=True)

        field: annotation  # pyright: ignore[reportInvalidTypeForm] - made by the test

    with pytest.raises(FieldNotSupported, match=words) as refused:
        Serde(MemoryRegistry(), [Odd])
    assert refused.value.field == "Odd.field"
    assert str(refused.value).startswith(f"{__file__}:")


def test_names_that_avro_does_not_take_are_named() -> None:
    """Avro's names are ASCII."""

    class Road(Event):
        größe: int  # noqa: PLC2401 - what is tested

    with pytest.raises(FieldNotSupported, match=r"Road\.größe"):
        Serde(MemoryRegistry(), [Road])


def test_models_of_one_name_have_names_of_their_own() -> None:
    """Two nested classes may share a name."""

    def make(kind: Any) -> type[BaseModel]:
        class Part(BaseModel):
            x: kind  # pyright: ignore[reportInvalidTypeForm] - made by the test

        return Part

    One, Two = make(int), make(str)  # noqa: N806 - types

    class Both(Event):
        one: One  # type: ignore[valid-type] # made by the test
        two: Two  # type: ignore[valid-type] # made by the test
        again: list[One]  # type: ignore[valid-type] # made by the test

    serde = Serde(MemoryRegistry())
    both = Both.model_validate({"one": {"x": 1}, "two": {"x": "a"}, "again": [{"x": 2}]})

    assert serde.decode(serde.encode(both)) == both


Long = Annotated[Decimal, Field(max_digits=40, decimal_places=5)]


@pytest.mark.parametrize(
    ("value", "unscaled"),
    [
        ("12345678901234567890123456789012345.12345", 1234567890123456789012345678901234512345),
        ("-1E+3", -100_000_000),
        ("0", 0),
    ],
)
def test_a_long_decimal_is_a_default_in_full(value: str, unscaled: int) -> None:
    """However many digits Python's arithmetic has."""

    class Owed(Event):
        amount: Long = Decimal(value)

    default = fields(Owed)["amount"]["default"]

    assert int.from_bytes(default.encode("latin-1"), "big", signed=True) == unscaled


@pytest.mark.parametrize("value", ["1.000001", "1E+40", "NaN", "Infinity"])
def test_what_a_decimal_has_no_room_for_is_no_default(value: str) -> None:
    """Foreign readers would see another number."""

    class Owed(Event):
        amount: Long = Decimal(value)

    assert "default" not in fields(Owed)["amount"]
