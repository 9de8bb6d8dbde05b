"""What is accepted comes back as it was: what JSON, or pydantic when it reads, would change is refused by name."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import (
    AliasPath,
    Base64Bytes,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FutureDate,
    FutureDatetime,
    Json,
    SecretStr,
)
from pydantic.dataclasses import dataclass

from schemas import Event, FieldNotSupported, MemoryRegistry, Personal, Serde, Unencodable, personal
from schemas.kept_json import kept_json
from schemas.kept_types import kept
from schemas.same import is_same

both = pytest.mark.parametrize("format", ["avro", "json"])
ODD = timezone(timedelta(minutes=53, seconds=28))
NOW = datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


class Base(BaseModel):
    a: int = 1


class Derived(Base):
    b: int = 2


class Numbers(BaseModel):
    of: list[float] = []


class Crossed(BaseModel):
    one: int = Field(alias="other")
    other: int = Field(alias="one")


@dataclasses.dataclass
class Noted:
    at: datetime


@dataclass
class Counted:
    of: float


class Pairs(Enum):
    A = (1, 2)


class Rank(IntEnum):
    LOW = 1


class Masked(BaseModel):
    card: str = Field(exclude=True, default="")


def event(annotation: Any) -> type[Any]:
    class Held(Event, name="sample.held"):
        locals().update(__annotations__={"value": annotation})

    return Held


def through(annotation: Any, value: Any, format: Any) -> Any:
    message = event(annotation)
    serde = Serde(MemoryRegistry(), [message], format=format)
    back: Any = serde.decode(serde.encode(message(value=value)))
    return back.value


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Base, Derived()),
        (list[Base], [Derived()]),
        (Numbers, Numbers(of=[math.nan])),
        (Noted, Noted(datetime(1900, 1, 1, tzinfo=ODD))),
        (Counted, Counted(math.inf)),
        (dict[int | str, int], {1: 1, "1": 2}),
        (dict[str | None, int], {None: 1}),
        (dict[tuple[int, int], int], {(1, 2): 1}),
        (dict[Literal[1, 2], int], {1: 1}),
        (dict[datetime, int], {datetime(1900, 1, 1, tzinfo=ODD): 1}),
        (UUID | str, str(UUID(int=1))),
        (date | str, "2024-01-02"),
        (float | str, math.inf),
        (Literal[b"x"], b"x"),
        (Any, Decimal("1.5")),
        (dict[str, Any], {"at": NOW}),
        (Json[list[int]], "[1]"),
        (Annotated[int, BeforeValidator(operator.neg)], 1),
        (Iterable[int], [1]),
    ],
    ids=str,
)
def test_json_writes_nothing_that_would_come_back_as_something_else(annotation: Any, value: Any) -> None:
    """The writer is told, not the reader years later."""
    with pytest.raises(Unencodable, match=r"comes back as|cannot be read back|offset with seconds|JSON lacks"):
        through(annotation, value, "json")


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Base | None, Base()),
        (Numbers, Numbers(of=[1.5])),
        (Counted, Counted(1.5)),
        (UUID | str, "x"),
        (dict[int, str], {1: "a"}),
        (dict[Rank, datetime], {Rank.LOW: NOW}),
        (dict[str, Any], {"a": [1, None, {"b": "c"}]}),
        (list[float], [math.nan]),
        (datetime | None, None),
        (datetime, NOW),
    ],
    ids=str,
)
def test_json_writes_what_comes_back(annotation: Any, value: Any) -> None:
    """Doubt refuses nothing by itself."""
    assert is_same(through(annotation, value, "json"), value)


@pytest.mark.parametrize("annotation", [SecretStr, list[SecretStr], Pairs, dict[str, Pairs | int]], ids=str)
def test_json_refuses_what_it_would_hide_or_not_read(annotation: Any) -> None:
    """Stars are no secret, and a list is no member of an enum of tuples."""
    with pytest.raises(FieldNotSupported, match=r"Held\.value has no JSON form.*(stars|does not read it again)"):
        Serde(MemoryRegistry(), [event(annotation)], format="json")


@both
@pytest.mark.parametrize("annotation", [FutureDatetime, list[FutureDate], FutureDatetime | None], ids=str)
def test_what_time_makes_unreadable_is_refused(annotation: Any, format: Any) -> None:
    """It is in the future when it is written, and no more when it is read."""
    with pytest.raises(FieldNotSupported, match=r"Held\.value.*in the future when it is written.*declare date"):
        Serde(MemoryRegistry(), [event(annotation)], format=format)


@pytest.mark.parametrize("annotation", [Json[list[int]], list[Base64Bytes], Base64Bytes | None], ids=str)
def test_avro_refuses_what_would_be_decoded_twice(annotation: Any) -> None:
    """Avro keeps what it is, pydantic takes its text."""
    with pytest.raises(FieldNotSupported, match=r"Held\.value.*declare what it is"):
        Serde(MemoryRegistry(), [event(annotation)])


@both
def test_aliases_take_no_part(format: Any) -> None:
    """Neither one that is another field's name, nor one that leads into another field."""

    class Led(Event, name="sample.led"):
        model_config = ConfigDict(serialize_by_alias=True)
        a: int = Field(validation_alias=AliasPath("b", "c"), serialization_alias="b", default=0)
        b: dict[str, int]

    crossed = Crossed.model_validate({"one": 1, "other": 2})
    serde = Serde(MemoryRegistry(), [Led], format=format)

    assert through(Crossed, crossed, format) == crossed
    assert serde.decode(serde.encode(Led(b={"c": 5}))) == Led(b={"c": 5})


@pytest.mark.parametrize("beside", [dict[str, datetime] | date, date | dict[str, datetime] | Base], ids=str)
def test_avro_reads_maps_beside_dates(beside: Any) -> None:
    """What converts a map's values is not taken for a date's."""
    assert through(beside, {"at": NOW}, "avro") == {"at": NOW}
    assert through(beside, NOW.date(), "avro") == NOW.date()


def test_flat_types_need_no_second_reading() -> None:
    """Text, whole numbers, enums of these, personal data, containers: nothing of it is read back."""

    class Flat(Event, name="sample.flat"):
        id: str
        count: int | None = None
        rank: Rank = Rank.LOW
        prices: dict[str, list[Decimal]]
        ratio: float = 0.5
        name: Personal[str] | None = personal(subject="id", default=None)

    class Timed(Flat, name="sample.timed"):
        at: datetime

    assert kept(Flat.__pydantic_core_schema__).is_sure
    known = kept(Timed.__pydantic_core_schema__)
    assert (known.is_doubted, known.instants) == (False, ("at",))


def test_a_model_in_a_field_is_read_back_only_if_it_is_another_class() -> None:
    """Or if something in it is in doubt."""

    class Holding(BaseModel):
        one: Base | None = None
        of: Numbers = Numbers()

    known = kept(Holding.__pydantic_core_schema__)

    assert not known.is_in_doubt(Holding(one=Base()), b"")
    assert known.is_in_doubt(Holding(one=Derived()), b"")
    assert known.is_in_doubt(Holding(of=Numbers(of=[math.nan])), b"null")


def test_kept_json_refuses_what_serializers_hide_and_what_passes() -> None:
    """A saga's input with a masked card would be booked with the mask."""

    class Due(BaseModel):
        at: FutureDatetime

    for model in (Masked(card="4111"), Due(at=datetime.now(UTC) + timedelta(days=1))):
        with pytest.raises(Unencodable, match=r"field card, what it holds|in the future when it is written"):
            kept_json(model)


def test_secrets_are_never_sealed_as_stars() -> None:
    """Two secrets look alike, and are not the same."""

    class Holding(Event, name="sample.holding"):
        id: str
        pin: Personal[SecretStr] = personal(subject="id")

    with pytest.raises(ValueError, match="personal data cannot be sealed"):
        Holding(id="a", pin=Personal(SecretStr("1234")))
