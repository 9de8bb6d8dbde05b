"""What was written with other schemas than ours is read by Avro's rules, not by pydantic's."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any, cast

import fastavro
import pytest
from pydantic import BaseModel

from schemas import Event, MemoryRegistry, Schema, Serde
from schemas.wire import header_of
from tests.schemas.samples import Rank


class Cash(BaseModel):
    cents: int


class Card(BaseModel):
    cents: int


def _event(annotation: Any) -> type[Any]:
    class Paid(Event, name="paid"):
        locals().update(__annotations__={"field": annotation})

    return Paid


def _same(of: Any) -> Any:
    return of


def _listed(of: Any) -> Any:
    return list[of]


def _or_null(of: Any) -> Any:
    return of | None


def _or_number(of: Any) -> Any:
    return of | float


@pytest.mark.parametrize(("before", "after", "value", "read"), [(str, bytes, "ab=", b"ab="), (bytes, str, b"ab", "ab")])
def test_text_and_bytes_are_read_as_each_other(before: Any, after: Any, value: Any, read: Any) -> None:
    """As Avro 1.12 promotes them, in UTF-8, where a registry lets that pass; also in lists and in unions."""
    for wrap in (_same, _listed, _or_null, _or_number):
        old, new = _event(wrap(before)), _event(wrap(after))
        registry = MemoryRegistry(mode="none")
        data = Serde(registry, [old]).encode(old(field=[value] if wrap is _listed else value))

        found: Any = Serde(registry, [new]).decode(data)

        assert found.field == ([read] if wrap is _listed else read)


def _foreign(reader: type[Any], type_: Any, value: Any) -> Any:
    """Read a field that somebody else wrote with this type."""
    schema = {"type": "record", "name": "paid", "sagalog.version": 1, "fields": [{"name": "field", "type": type_}]}
    registry, out, write = MemoryRegistry(mode="none"), io.BytesIO(), cast("Any", fastavro).schemaless_writer
    number = registry.register("paid", Schema("paid", 1, "avro", json.dumps(schema)))
    write(out, schema, {"field": value})
    return Serde(registry, [reader]).decode(header_of(number) + out.getvalue())


@pytest.mark.parametrize(
    ("type_", "value", "annotation", "read"),
    [
        (["null", {"type": "record", "name": "paid_Card", "fields": [{"name": "cents", "type": "int"}]}],
         {"cents": 5}, Cash | Card | None, Card(cents=5)),
        ([{"type": "record", "name": "paid_Card", "fields": [{"name": "cents", "type": "int"}]}], {"cents": 5}, Card,
         Card(cents=5)),
        (["int", "string"], 5, float | str, 5.0),
        ("float", 0.5, Rank | float, 0.5),
        ({"type": "long", "logicalType": "timestamp-millis"}, datetime(2026, 1, 1, tzinfo=UTC), datetime | float,
         datetime(2026, 1, 1, tzinfo=UTC)),
        ("long", 5, datetime | float, 5.0),
        ({"type": "fixed", "name": "two", "size": 2}, b"ab", bytes, b"ab"),
        ([{"type": "fixed", "name": "two", "size": 2}, "null"], b"ab", bytes, b"ab"),
    ],
    ids=str,
)  # fmt: skip
def test_what_others_wrote_is_read_by_name_and_type(type_: Any, value: Any, annotation: Any, read: Any) -> None:
    """Also types and unions that we do not write."""
    found = _foreign(_event(annotation), type_, value).field

    assert (found, type(found)) == (read, type(read))
