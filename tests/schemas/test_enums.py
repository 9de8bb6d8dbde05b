"""Enums as members of unions, and a `Literal` of their members: read as what they were, or refused."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from schemas import FieldNotSupported, MemoryRegistry, Serde
from schemas.schema import Format
from tests.schemas.samples import Color, Dashed, Rank
from tests.schemas.test_accepted import Fewer, Grown, Model, Red, Word, event, formats, read, refusal


class Raw(bytes, enum.Enum):
    A = b"a"


class Holder(BaseModel):
    color: Literal[Color.RED]


@formats
@pytest.mark.parametrize(
    "annotation",
    [Literal[Color.RED], Literal[Color.RED] | None, list[Literal[Color.RED]], Literal[Color.RED] | int, Holder],
    ids=str,
)
def test_a_member_that_is_neither_text_nor_number_is_refused(annotation: Any, kind: Format) -> None:
    """It would be written, and never read again."""
    held = event(annotation)

    with pytest.raises(
        FieldNotSupported, match=r"Color\.RED is written as 'red', .* or declare Color or Literal\['red'\]"
    ):
        Serde(MemoryRegistry(), [held], format=kind)


@formats
@pytest.mark.parametrize(
    ("annotation", "value"),
    [(Literal[Dashed.A] | None, Dashed.A), (list[Literal[Rank.LOW]], [Rank.LOW]), (Literal[Rank.LOW, Rank.HIGH], 9)],
    ids=str,
)
def test_a_member_that_is_text_or_a_number_is_read_again(annotation: Any, value: Any, kind: Format) -> None:
    """As the member."""
    held = event(annotation)
    serde = Serde(MemoryRegistry(), [held], format=kind)
    given = held.model_validate({"value": value})

    assert repr(serde.decode(serde.encode(given))) == repr(given)


def test_a_member_that_is_bytes_is_read_from_avro_only() -> None:
    """JSON has text for it."""
    held = event(Literal[Raw.A])
    serde = Serde(MemoryRegistry(), [held])

    assert serde.decode(serde.encode(held(value=Raw.A))) == held(value=Raw.A)
    with pytest.raises(FieldNotSupported, match=r"Held\.value has no JSON form: Raw\.A"):
        Serde(MemoryRegistry(), [held], format="json")


@pytest.mark.parametrize(
    ("annotation", "value"), [(Grown | Red, Grown.RED), (Literal["red", "dark_blue"] | Red, "red")], ids=str
)
def test_an_enum_that_an_upcast_copies_is_read_as_what_holds_it(annotation: Any, value: Any) -> None:
    """If the union has no enum of its name: as text that is limited to values, among them this one."""
    before, after = event(Color), event(annotation, 2)

    def raised(old: Mapping[str, Any]) -> Mapping[str, object]:
        return old

    after.upcast(from_version=1)(raised)
    registry = MemoryRegistry()
    data = Serde(registry, [before]).encode(before(value=Color.RED))

    found: Any = Serde(registry, [after]).decode(data)

    assert (found.value, type(found.value)) == (value, type(value))


@pytest.mark.parametrize(
    ("old", "new", "value", "found"),
    [
        (Literal["red"], Color | Model, "red", Color.RED),
        (list[Literal["red"]], list[Color | Red], ["red"], [Color.RED]),
        (Literal["red"], bytes | Color, "red", Color.RED),
        (Literal["red"], Color | Dashed, "red", Color.RED),
        (Literal["a"], Red | Literal["a", "b"], "a", "a"),
        (Literal[Word.A], Word | Model, Word.A, Word.A),
        (Color, Grown | Red, Color.RED, Grown.RED),
        (Color | None, Grown | Red | None, Color.RED, Grown.RED),
        (Red, Literal["a", "b"] | Word, Red.A, "a"),
        (int, float | Rank, 5, 5.0),
        (Literal[5], float | Rank, 5, 5.0),
    ],
    ids=str,
)
def test_a_union_reads_an_enum_as_the_member_that_holds_it(old: Any, new: Any, value: Any, found: Any) -> None:
    """As the one of its name, else of its type, else as the only enum that has its values."""
    after = read(old, new, value, "avro")

    assert (after, type(after)) == (found, type(found))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (Literal["a"], Red | Word, "was one of a, is enum held_Red or enum held_Word (MISSING_UNION_BRANCH)"),
        (Color, Fewer | Literal["red", "dark_blue"], "lost dark_blue (MISSING_ENUM_SYMBOLS)"),
    ],
    ids=str,
)
def test_an_enum_that_a_union_could_not_place_is_refused(old: Any, new: Any, said: str) -> None:
    """Several enums have its values, or the one of its name has not."""
    assert said in refusal(old, new, "avro")
