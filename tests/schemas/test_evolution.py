"""Old data becomes new, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from schemas import Command, Event, MemoryRegistry, Serde, Undecodable, Undo, UnknownType

Format = Literal["avro", "json"]
formats = pytest.mark.parametrize("kind", ["avro", "json"])


class PlacedV1(Event, name="order.placed", version=1):
    order: str
    total: Decimal
    raw: bytes = b"\xff\x00"
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)


class PlacedV2(Event, name="order.placed", version=2):
    order_id: str
    total: Decimal
    raw: bytes
    at: datetime


class Placed(Event, name="order.placed", version=3):
    order_id: str
    total_cents: int
    currency: str = "EUR"
    raw: bytes
    at: datetime


@Placed.upcast(from_version=1)
def _(old: Mapping[str, Any]) -> Mapping[str, object]:
    return {"order_id": old["order"], **{name: value for name, value in old.items() if name != "order"}}


@Placed.upcast(from_version=2)
def _(old: PlacedV2) -> Mapping[str, object]:
    return {"order_id": old.order_id, "total_cents": int(old.total * 100), "raw": old.raw, "at": old.at}


NEW = Placed(order_id="1", total_cents=1250, raw=b"\xff\x00", at=datetime(2026, 1, 1, tzinfo=UTC))


@formats
def test_version_1_is_read_as_version_3(kind: Format) -> None:
    """Two steps, one from a mapping and one from a model, in both formats; the code needs no class of version 1."""
    registry = MemoryRegistry()
    old = Serde(registry, [PlacedV1], format=kind).encode(PlacedV1(order="1", total=Decimal("12.50")))

    new = Serde(registry, [Placed], format=kind)

    assert new.decode(old) == NEW
    assert new.type_of(old) == ("order.placed", 1)


@formats
def test_version_2_takes_the_last_step_only(kind: Format) -> None:
    """The path begins at the version that was written."""
    registry = MemoryRegistry()
    second = PlacedV2(order_id="1", total=Decimal("12.50"), raw=b"\xff\x00", at=NEW.at)
    old = Serde(registry, [PlacedV2], format=kind).encode(second)

    assert Serde(registry, [Placed]).decode(old) == NEW


def test_the_newest_class_wins_over_the_old_one() -> None:
    """Where both classes are known and there is a path, everything is read as the newest, whatever came first."""
    serde = Serde(MemoryRegistry(), [PlacedV1])
    old = serde.encode(PlacedV1(order="1", total=Decimal("12.50")))
    assert isinstance(serde.decode(old), PlacedV1)

    serde.register([Placed])

    assert serde.decode(old) == NEW


def test_without_a_path_the_type_is_unknown() -> None:
    """A version that no steps lead from is not guessed at: the error names type and version."""

    class Old(Event, name="moved", version=1):
        x: int

    class New(Event, name="moved", version=3):
        y: int

    @New.upcast(from_version=2)
    def _(old: Mapping[str, Any]) -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction] - its decorator keeps it
        return old

    registry = MemoryRegistry(mode="none")
    old = Serde(registry, [Old]).encode(Old(x=1))
    new = Serde(registry, [New])

    with pytest.raises(UnknownType, match="'moved' of version 1") as unknown:
        new.decode(old)
    assert (unknown.value.name, unknown.value.version) == ("moved", 1)
    assert not new.knows(old)


def test_a_newer_version_than_the_code_has_is_unknown() -> None:
    """During a deployment, old code meets new data: it says so and loses nothing."""
    registry = MemoryRegistry()
    new = Serde(registry, [Placed]).encode(NEW)

    with pytest.raises(UnknownType, match="version 3"):
        Serde(registry, [PlacedV1]).decode(new)


def test_a_step_that_raises_makes_the_data_undecodable() -> None:
    """The error names the type, and its cause is what the step raised."""

    class Old(Event, name="broken", version=1):
        x: int

    class New(Event, name="broken", version=2):
        y: int

    @New.upcast(from_version=1)
    def _(old: Mapping[str, Any]) -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction] - its decorator keeps it
        return {"y": old["z"]}

    registry = MemoryRegistry()
    old = Serde(registry, [Old]).encode(Old(x=1))

    with pytest.raises(Undecodable, match=r"broken version 1.*KeyError: 'z'") as failed:
        Serde(registry, [New]).decode(old)
    assert isinstance(failed.value.__cause__, KeyError)


@formats
def test_an_undo_is_raised_with_its_command(kind: Format) -> None:
    """The steps of a command apply to what an Undo of it carries."""

    class BookV1(Command[None], name="book", version=1, to="hotels", key="trip"):
        trip: str
        stay: int

    class Book(Command[None], name="book", version=2, to="hotels", key="trip"):
        trip: str
        nights: int

    @Book.upcast(from_version=1)
    def _(old: Mapping[str, Any]) -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction] - its decorator keeps it
        return {"trip": old["trip"], "nights": old["stay"]}

    registry = MemoryRegistry()
    old = Serde(registry, format=kind).encode(Undo[BookV1](did=BookV1(trip="1", stay=2)))

    assert Serde(registry, [Undo[Book]]).decode(old) == Undo[Book](did=Book(trip="1", nights=2))


@formats
def test_fields_may_come_and_go_within_a_version(kind: Format) -> None:
    """A field with a default may be added, any field dropped: each side reads the other's data, nested models too."""

    def before() -> type[Event]:
        class Inner(BaseModel):
            a: int
            gone: int = 1

        class Grown(Event, name="grown"):
            x: int
            gone: str = "g"
            inner: Inner

        return Grown

    def after() -> type[Event]:
        class Inner(BaseModel, extra="forbid"):
            a: int
            fresh: list[str] = ["n"]

        class Grown(Event, name="grown"):
            inner: Inner
            x: int
            added: str | None = "new"

        return Grown

    registry, old, new = MemoryRegistry(), before(), after()
    written = Serde(registry, [old], format=kind).encode(old.model_validate({"x": 1, "inner": {"a": 2}}))
    serde = Serde(registry, [new], format=kind)

    assert serde.decode(written).model_dump() == {"x": 1, "added": "new", "inner": {"a": 2, "fresh": ["n"]}}
    back = Serde(registry, [old], format=kind).decode(serde.encode(serde.decode(written)))
    assert back.model_dump() == {"x": 1, "gone": "g", "inner": {"a": 2, "gone": 1}}


class TimedV1(Event, name="timed", version=1):
    seconds: int


class Timed(Event, name="timed", version=3):
    millis: int


@Timed.upcast(from_version=1)
def _first(old: Mapping[str, Any]) -> Mapping[str, object]:
    return {"milis": old["seconds"] * 1000}


@Timed.upcast(from_version=2)
def _second(old: Mapping[str, Any]) -> Mapping[str, object]:
    return {"milis": 1000 // old["milis"]}


@formats
def test_an_upcast_that_is_wrong_is_named_with_its_line(kind: Format) -> None:
    """Whether a step raised or gave what the class does not take: the bytes' writer is not at fault, the step is."""
    registry = MemoryRegistry()
    written = Serde(registry, [TimedV1], format=kind)
    serde = Serde(registry, [Timed])
    first, second = (f"{Path(__file__)}:{each.__code__.co_firstlineno}" for each in (_first, _second))

    with pytest.raises(Undecodable) as raised:
        serde.decode(written.encode(TimedV1(seconds=0)))
    with pytest.raises(Undecodable) as refused:
        serde.decode(written.encode(TimedV1(seconds=1)))

    assert raised.value.why.startswith(f"the upcast from version 2 ({second}) raised ZeroDivisionError: ")
    assert raised.value.why.endswith(": correct it")
    assert refused.value.why.startswith(
        f"the upcasts from version 1 ({first}) and from version 2 ({second}) gave what is no Timed, correct that or "
    )
    assert "\nmillis\n" in str(refused.value)


class Piece(BaseModel):
    data: bytes
    told: str = Field(serialization_alias="saying", default="")


@formats
def test_a_model_of_an_upcast_is_the_same_in_both_formats(kind: Format) -> None:
    """Its bytes are those of the message that it stands for; what it gives is read by the names of fields."""

    class First(Event, name="sample.piece"):
        data: bytes

    class Second(Event, name="sample.piece", version=2):
        piece: Piece

    given = list[Piece]()

    @Second.upcast(from_version=1)
    def _(old: Piece) -> dict[str, object]:
        given.append(old)
        return {"piece": Piece(data=b"plain", told=old.data.hex())}

    registry = MemoryRegistry()
    data = Serde(registry, [First], format=kind).encode(First(data=b"ab\xff"))
    read: Any = Serde(registry, [Second], format=kind).decode(data)

    assert given == [Piece(data=b"ab\xff")]
    assert type(given[0]) is Piece
    assert read.piece == Piece(data=b"plain", told="6162ff")
