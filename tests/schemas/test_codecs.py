"""Both formats keep every value, whatever the field's type."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any, Literal

import fastavro
import pytest
from hypothesis import given, settings
from pydantic import BaseModel, Field, computed_field

from schemas import Event, MemoryRegistry, Serde, Undo, Unencodable
from tests.schemas.samples import Everything, Flat, Release, Reserve, everythings, flats, same

AVRO = Serde(MemoryRegistry(), format="avro")
JSON = Serde(MemoryRegistry(), format="json")


@given(everythings(alike=True))
@settings(deadline=None, max_examples=100)
def test_avro_keeps_every_field(event: Everything) -> None:
    """What is written as Avro is read equal, unions of models alike included."""
    assert same(AVRO.decode(AVRO.encode(event)), event)


@given(everythings(alike=False))
@settings(deadline=None, max_examples=100)
def test_both_formats_read_the_same(event: Everything) -> None:
    """What JSON gives back is what Avro gives back."""
    assert same(JSON.decode(JSON.encode(event)), AVRO.decode(AVRO.encode(event)))


@given(flats)
@settings(deadline=None, max_examples=100)
def test_plain_events_are_kept(event: Flat) -> None:
    """An event of plain fields is read equal in both formats."""
    assert same(AVRO.decode(AVRO.encode(event)), event)
    assert same(JSON.decode(JSON.encode(event)), event)


@pytest.mark.parametrize("serde", [AVRO, JSON], ids=["avro", "json"])
def test_undo_keeps_its_command_typed(serde: Serde) -> None:
    """An Undo carries its command, of its class."""
    undo = Undo[Reserve](did=Reserve(sku="a", quantity=3))

    read = serde.decode(serde.encode(undo))

    assert type(read) is Undo[Reserve]
    assert isinstance(read, Undo)
    assert type(read.did) is Reserve
    assert read == undo


def test_writes_the_confluent_wire_format() -> None:
    """A zero byte, the schema's id in four, then Avro's encoding, which any reader reads by the schema's text."""
    registry = MemoryRegistry()
    serde = Serde(registry, [Release, Reserve])

    data = serde.encode(Reserve(sku="a", quantity=3))

    schema = registry.get(2)
    assert data[:5] == b"\x00\x00\x00\x00\x02"
    assert schema is not None
    parsed = fastavro.parse_schema(json.loads(schema.text))
    fields: Any = fastavro.schemaless_reader(io.BytesIO(data[5:]), parsed, None)
    assert fields == {"sku": "a", "quantity": 3}


def test_refuses_an_instant_without_zone() -> None:
    """Avro keeps instants, so a datetime without zone is an error that says so, not a guess."""

    class Came(Event):
        at: datetime

    with pytest.raises(Unencodable, match="has no zone: add one"):
        AVRO.encode(Came(at=datetime(2026, 1, 1)))  # noqa: DTZ001 - what is tested


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_refuses_a_number_beyond_64_bits(number: int) -> None:
    """Avro has no larger integers: a named error, not a wrong number."""

    class Counted(Event):
        number: int

    with pytest.raises(Unencodable, match="counted"):
        Serde(MemoryRegistry()).encode(Counted(number=number))


def test_refuses_text_that_is_no_unicode() -> None:
    """A lone surrogate has no UTF-8 form: a named error in both formats."""

    class Said(Event):
        text: str

    for serde in (AVRO, JSON):
        with pytest.raises(Unencodable, match="said"):
            serde.encode(Said(text="\ud800"))


def test_json_keeps_infinite_numbers() -> None:
    """JSON has no word for them; they are text there, and numbers again when read."""

    class Ratio(Event):
        ratio: float

    for serde in (AVRO, JSON):
        assert serde.decode(serde.encode(Ratio(ratio=float("inf")))) == Ratio(ratio=float("inf"))


def test_json_refuses_what_a_nested_model_would_lose() -> None:
    """A plain model writes an infinite number as null, which cannot be read again: an error names model and remedy."""

    class Inner(BaseModel):
        ratio: float

    class Outer(Event):
        inner: list[Inner]

    with pytest.raises(Unencodable, match=r"Inner.ratio is inf.*ser_json_inf_nan"):
        JSON.encode(Outer(inner=[Inner(ratio=float("inf"))]))


def test_aliases_do_not_reach_the_wire() -> None:
    """A field with an alias is written by its own name, so that both formats and upcasts see the same."""

    class Aliased(Event):
        name_: str = Field(alias="name")

    registry = MemoryRegistry()
    event = Aliased.model_validate({"name": "x"})
    for serde in (Serde(registry, [Aliased], format="avro"), Serde(registry, [Aliased], format="json")):
        assert serde.decode(serde.encode(event)) == event
    assert JSON.encode(event).endswith(b'{"name_":"x"}')


def test_computed_fields_are_not_written() -> None:
    """What a class computes is not data."""

    class Sum(Event):
        a: int

        @computed_field  # type: ignore[prop-decorator] # what is tested
        @property
        def double(self) -> int:
            return 2 * self.a

    for serde in (AVRO, JSON):
        assert serde.decode(serde.encode(Sum(a=2))) == Sum(a=2)


def test_a_serde_reads_both_formats() -> None:
    """A registry that holds both formats is read whatever the serde writes."""
    registry = MemoryRegistry()
    avro, other = Serde(registry, [Reserve], format="avro"), Serde(registry, [Reserve], format="json")
    command = Reserve(sku="a")

    assert other.decode(avro.encode(command)) == avro.decode(other.encode(command)) == command


def test_instants_are_read_as_utc_from_avro() -> None:
    """Avro keeps the instant; the zone it was written in is not kept."""
    event = Flat(
        order_id="1", customer="c", quantity=1, total_cents=1, discount=0.5, express=True, currency="EUR", note=None,
        weight=1, placed_at=datetime.fromisoformat("2026-01-01T12:00:00+02:00"),
    )  # fmt: skip

    read = AVRO.decode(AVRO.encode(event))

    assert isinstance(read, Flat)
    assert read.placed_at == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert read.placed_at.tzinfo is UTC


def test_literals_of_several_types() -> None:
    """A literal may mix numbers and text."""

    class Level(Event):
        level: Literal[1, 2, "max"]

    for serde in (AVRO, JSON):
        for level in (1, "max"):
            assert serde.decode(serde.encode(Level(level=level))).model_dump() == {"level": level}
