"""Keys and rows as bytes: they come back, and keys sort as their bytes do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from consumers.keys import KeyCodec, after_prefix, routing_key
from consumers.values import ValueCodec
from consumers.view_errors import BadRow, BadRowKey, RowTypeChanged
from eventstore.processor.row_layout import RowDamaged
from schemas import Personal

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
INTS = st.integers(-(2**63), 2**63 - 1)
KEYS: list[tuple[Any, Any]] = [
    (str, TEXT),
    (bytes, st.binary()),
    (int, INTS),
    (tuple[str, int], st.tuples(TEXT, INTS)),
    (tuple[bytes, str], st.tuples(st.binary(), TEXT)),
    (tuple[tuple[str, str], int], st.tuples(st.tuples(TEXT, TEXT), INTS)),
]


@given(st.data(), st.sampled_from(KEYS))
def test_keys_come_back_and_sort_as_their_bytes(data: st.DataObject, kind: tuple[Any, Any]) -> None:
    """So ranges and prefixes of bytes are ranges and prefixes of keys."""
    codec: KeyCodec[Any] = KeyCodec(kind[0])
    one, two = data.draw(kind[1]), data.draw(kind[1])

    assert codec.decode(codec.encode(one)) == one
    assert (one < two) == (codec.encode(one) < codec.encode(two))


@given(TEXT, TEXT, INTS)
def test_a_prefix_of_a_tuple_is_a_prefix_of_its_bytes(first: str, other: str, number: int) -> None:
    """And of no other tuple's."""
    codec: KeyCodec[tuple[str, int]] = KeyCodec(tuple[str, int])
    prefix = codec.prefix((first,))

    assert codec.encode((first, number)).startswith(prefix)
    assert codec.encode((other, number)).startswith(prefix) == (other == first)


@given(st.binary())
def test_what_follows_a_prefix_is_above_all_that_begin_with_it(prefix: bytes) -> None:
    """None if nothing is."""
    after = after_prefix(prefix)

    assert after is None or (after > prefix + b"\xff" * 9 and not after.startswith(prefix or b"-"))
    assert (after is None) == (prefix.strip(b"\xff") == b"")


@pytest.mark.parametrize(
    ("kind", "key"), [(str, 3), (int, "x"), (int, 2**63), (bytes, "x"), (tuple[str, int], ("x",)), (str, "\ud800")]
)
def test_a_key_of_another_type_is_refused(kind: Any, key: Any) -> None:
    """With what the table's keys are."""
    with pytest.raises(BadRowKey):
        KeyCodec[Any](kind).encode(key)


def test_the_first_element_decides_the_partition() -> None:
    """As a producer writes it into a record's key."""
    assert routing_key(("a", 3)) == routing_key("a") == b"a"
    assert routing_key((17, "a")) == b"17"


class Row(BaseModel, frozen=True):
    name: str | None = None
    when: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    ratio: float = 0.0


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        (Row, Row(name="x", ratio=0.1)),
        (Row, Row()),
        (int, 2**80),
        (float, 1e300),
        (bytes, b"\xff\0"),
        (tuple[str, int], ("a", 1)),
        (str, "null"),
    ],
)
def test_rows_come_back(kind: Any, row: Any) -> None:
    """Equal, and of the same type."""
    codec: ValueCodec[Any] = ValueCodec(kind)

    assert codec.decode(codec.encode(codec.checked(row))) == row


@pytest.mark.parametrize("row", [float("nan"), float("inf")])
def test_a_row_that_would_not_come_back_is_refused(row: float) -> None:
    """JSON has no such numbers: the error says so when it is written."""
    codec: ValueCodec[Row] = ValueCodec(Row)
    codec.encode(Row())

    with pytest.raises(BadRow):
        codec.encode(Row(ratio=row))


class Longer(BaseModel, frozen=True):
    """What `Row` may become."""

    name: str | None = None
    seats: int


class Inner(BaseModel, frozen=True):
    """What rows hold."""

    seats: int = 0


def row_class(inner: type[BaseModel], **fields: Any) -> type[BaseModel]:
    """A row class of this name, with these fields beside the inner one."""
    made: type[BaseModel] = create_model("Row", __config__=ConfigDict(frozen=True), inner=(inner, ...), **fields)
    return made


def other_inner(**fields: Any) -> type[BaseModel]:
    """A class of the name of `Inner`, with these fields."""
    made: type[BaseModel] = create_model("Inner", __config__=ConfigDict(frozen=True), __module__=__name__, **fields)
    return made


@pytest.mark.parametrize(
    ("changed", "is_same"),
    [
        (row_class(Inner, cents=(int, 0)), True),
        (row_class(Inner, cents=(int, 1)), False),
        (row_class(Inner, cents=(float, 0)), False),
        (row_class(Inner, cents=(int, 0), more=(int, 0)), False),
        (row_class(Inner), False),
        (row_class(other_inner(seats=(int, 0), rows=(int, 0)), cents=(int, 0)), False),
    ],
    ids=["same", "default", "type", "added", "removed", "inside"],
)
def test_the_form_of_rows_is_that_of_their_fields(changed: type[BaseModel], is_same: bool) -> None:
    """Also of the types in it. The class's name alone would let rows of two forms lie in one table."""
    form = ValueCodec[Any](row_class(Inner, cents=(int, 0))).form

    assert (ValueCodec[Any](changed).form == form) is is_same


def test_a_row_of_an_earlier_row_type_is_named() -> None:
    """The field, and that the view's version is to be raised; nothing is wrong with the disk."""
    stored = ValueCodec[Row](Row).encode(Row(name="x"))

    with pytest.raises(RowTypeChanged, match=r"seats: Field required.*Raise version="):
        ValueCodec[Longer](Longer).decode(stored)


def test_bytes_that_are_no_row_are_damaged() -> None:
    """Not of another type: no type reads them."""
    stored = ValueCodec[Row](Row).encode(Row(name="x"))

    with pytest.raises(RowDamaged):
        ValueCodec[Longer](Longer).decode(stored[:-1])


class Sub(Inner, frozen=True):
    """One more field than its table's rows declare."""

    extra: int = 1


class Loose(BaseModel):
    model_config = ConfigDict(frozen=True)
    id: UUID | str = ""
    at: datetime | None = None
    inner: Inner | None = None


@pytest.mark.parametrize(
    "row",
    [
        Loose(id=str(UUID(int=1))),
        Loose(at=datetime(1900, 1, 1, tzinfo=timezone(timedelta(seconds=61)))),
        Loose(inner=Sub()),
    ],
    ids=["union", "offset", "subclass"],
)
def test_each_row_is_refused_that_would_come_back_different(row: Loose) -> None:
    """Not only the first one that is written: what comes before it says nothing of it."""
    codec = ValueCodec[Loose](Loose)
    codec.encode(Loose(id="x", inner=Inner()))

    with pytest.raises(BadRow, match="come back different"):
        codec.encode(row)


class Named(BaseModel):
    model_config = ConfigDict(frozen=True)
    name: Personal[str]


def test_no_error_of_a_row_shows_personal_data() -> None:
    """A view that stops says why, in the log and to whoever reads it."""
    ValueCodec[Named](Named)

    with pytest.raises(ValidationError) as raised:
        Named(name="Ada Lovelace")  # type: ignore[arg-type]

    assert "Lovelace" not in f"{raised.value} {raised.value!r}"
