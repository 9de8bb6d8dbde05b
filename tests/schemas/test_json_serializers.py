"""Fields are written as they are: JSON refuses what pydantic's serializers would change, Avro does not ask them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import (
    BaseModel,
    Field,
    PlainSerializer,
    WrapSerializer,
    computed_field,
    field_serializer,
    model_serializer,
)
from typing_extensions import TypeAliasType

from schemas import Event, FieldNotSupported, MemoryRegistry, Personal, Serde, personal
from schemas.json_codec import JsonCodec
from schemas.schema import Schema

Tenfold = TypeAliasType("Tenfold", Annotated[int, PlainSerializer(lambda value: value * 10)])


class Decorated(BaseModel):
    a: int

    @field_serializer("a")
    def more(self, value: int) -> int:
        return value + 1


class Starred(BaseModel):
    a: int

    @field_serializer("*")
    def more(self, value: int) -> int:
        return value + 1


class Whole(BaseModel):
    a: int

    @model_serializer
    def one(self) -> dict[str, int]:
        return {"a": 1}


class Heir(Whole):
    b: int = 0


class Hidden(BaseModel):
    a: int = Field(0, exclude=True)


class Wrapped(BaseModel):
    a: list[Annotated[int, WrapSerializer(lambda value, handler: handler(value + 1))]]


@dataclass
class Plain:
    inner: Hidden


class Node(BaseModel):
    after: Node | None = None
    held: Decorated | None = None


def event(annotation: Any) -> type[Event]:
    """A class with a field of this type."""

    class Held(Event, name="sample.held"):
        value: annotation  # pyright: ignore[reportInvalidTypeForm] - made by the test

    return Held


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (Decorated, "Decorated.a has no JSON form: its field_serializer more"),
        (Starred, "Starred has no JSON form: its field_serializer more"),
        (Whole, "Whole has no JSON form: its model_serializer one"),
        (dict[str, list[Heir | None]], "Heir has no JSON form: its model_serializer one"),
        (Hidden, "Hidden.a has no JSON form: exclude leaves it out"),
        (Wrapped, "Wrapped.a has no JSON form: its WrapSerializer"),
        (Tenfold | None, "Held.value has no JSON form: its PlainSerializer"),
        (Plain, "Hidden.a has no JSON form: exclude"),
        (Node, "Decorated.a has no JSON form: its field_serializer"),
    ],
    ids=str,
)
def test_json_refuses_by_name_what_it_would_change(annotation: Any, said: str) -> None:
    """When the schema is derived, at every depth."""
    with pytest.raises(FieldNotSupported) as refused:
        Serde(MemoryRegistry(), [event(annotation)], format="json")

    assert said in str(refused.value)
    assert "fields are written as they are" in str(refused.value)


def test_a_field_of_a_message_is_named_with_its_line() -> None:
    """As every mistake in a declaration."""

    class Secret(Event):
        shown: int = 0
        kept: int = Field(0, exclude=True)

    with pytest.raises(FieldNotSupported) as refused:
        Serde(MemoryRegistry(), [Secret], format="json")

    assert str(refused.value).startswith(f"{__file__}:")
    assert refused.value.field == "Secret.kept"


@pytest.mark.parametrize(("annotation", "value"), [(Decorated, {"a": 1}), (Whole, {"a": 5}), (Hidden, {"a": 5})])
def test_avro_writes_the_field(annotation: Any, value: Any) -> None:
    """Its form is derived from the fields alone."""
    made = event(annotation)
    serde, message = Serde(MemoryRegistry()), made.model_validate({"value": value})

    assert serde.decode(serde.encode(message)) == message


def test_what_was_written_so_before_is_read() -> None:
    """A refusal is for writers."""
    made = event(Decorated)
    writer = Schema("sample.held", 1, "json", "{}")

    assert JsonCodec().decoder(made, writer)(b'\0\0\0\0\1{"value":{"a":2}}') == made.model_validate({"value": {"a": 2}})


def test_types_of_ours_and_computed_fields_are_taken() -> None:
    """A Personal is written as it was sealed, by a serializer of its own; what it holds is sealed, not written."""

    class Told(Event):
        who: str
        told: Personal[Whole] | None = personal(subject="who", default=None)

        @computed_field  # type: ignore[prop-decorator] # what is tested
        @property
        def size(self) -> int:
            return len(self.who)

    serde = Serde(MemoryRegistry(), [Told], format="json")

    assert serde.decode(serde.encode(Told(who="ada"))) == Told(who="ada")
