"""What is valid Avro, and what only looks like it."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from schemas import Event, SchemaInvalid
from schemas.avro import AvroCodec
from schemas.avro_validity import check_avro

POINT = {
    "type": "record",
    "name": "Point",
    "fields": [{"name": "x", "type": "int"}, {"name": "y", "type": "long", "default": 0}],
}
SIZE = {"type": "enum", "name": "Size", "symbols": ["S", "M"]}
KEY = {"type": "fixed", "name": "Key", "size": 2}
INTS, BY_NAME = {"type": "array", "items": "int"}, {"type": "map", "values": "int"}


def record(*fields: Any) -> str:
    """A schema with these fields."""
    return json.dumps({"type": "record", "name": "shop.placed", "fields": fields})


def field(type_: Any, default: Any) -> Any:
    return {"name": "a", "type": type_, "default": default}


class Color(Enum):
    RED = "red"


class Node(BaseModel):
    name: str = ""
    kids: list[Node] = []


class Rich(Event, name="validity.rich"):
    price: Annotated[Decimal, Field(max_digits=9, decimal_places=2)] = Decimal("-1.20")
    day: date = date(2026, 1, 2)
    took: timedelta | None = None
    color: Color = Color.RED
    data: bytes = b"\x00\xff"
    node: Node = Node(name="root")
    either: int | str = "x"
    tags: set[str] = Field(default_factory=set[str])


def test_what_we_write_is_valid() -> None:
    """With defaults of each kind, names that are used again and recursion."""
    check_avro(AvroCodec().schema_of(Rich).text)


@pytest.mark.parametrize(
    ("type_", "default"),
    [
        ("int", -(2**31)), ("long", 2**63 - 1), ("double", 1), ("bytes", "\u00ff"), ("boolean", True), ("null", None),
        (["null", "int"], 3), (["null", "int"], None), (INTS, [1]), (BY_NAME, {"a": 1}), (POINT, {"x": 1}), (SIZE, "M"),
        (KEY, "\u0000\u00ff"), ({"type": "string", "logicalType": "uuid"}, "x"),
    ],
)  # fmt: skip
def test_a_default_that_fits_is_valid(type_: Any, default: Any) -> None:
    """Of a union, that of any member."""
    check_avro(record(field(type_, default)))


@pytest.mark.parametrize(
    ("type_", "default"),
    [
        ("int", "x"), ("int", 2**31), ("int", True), ("long", 2**63), ("long", 1.5), ("double", "1"),
        ("bytes", "\u0100"),
        ("boolean", 0), ("null", 0), ("string", None), (["null", "int"], "x"), (INTS, ["x"]), (INTS, {}),
        (BY_NAME, {"a": 1.5}), (BY_NAME, []), (POINT, {"y": 1}), (POINT, {"x": "1"}), (SIZE, "L"), (KEY, "abc"),
    ],
)  # fmt: skip
def test_a_default_that_does_not_fit_is_named(type_: Any, default: Any) -> None:
    """With its field."""
    with pytest.raises(SchemaInvalid, match=r"shop\.placed: the default of field a does not fit its type"):
        check_avro(record(field(type_, default)))


def test_a_default_of_a_type_that_was_defined_before_is_looked_at() -> None:
    """By its name, with and without the namespace."""
    check_avro(record({"name": "at", "type": POINT}, field("Point", {"x": 1})))
    with pytest.raises(SchemaInvalid, match="the default of field a"):
        check_avro(record({"name": "at", "type": POINT}, field("shop.Point", {})))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (record({"name": "a", "type": "int"}, {"name": "a", "type": "int"}), r"shop\.placed has the field a twice"),
        (record({"name": "a", "type": POINT}, {"name": "b", "type": POINT}), r"shop\.Point is defined twice"),
        (record({"name": "a", "type": {**SIZE, "symbols": ["S", "S"]}}), r"shop\.Size has the symbol S twice"),
        (record({"name": "a", "type": {**SIZE, "default": "L"}}), "the default 'L' is no symbol of it"),
        (record({"name": "a", "type": "Nope"}), "'Nope' is no Avro type"),
        (record({"name": "a"}), "KeyError: 'type'"),
        ("[" * 100_000, "RecursionError"),
    ],
)
def test_what_is_no_schema_is_refused(text: str, why: str) -> None:
    """It says where."""
    with pytest.raises(SchemaInvalid, match=why):
        check_avro(text)
