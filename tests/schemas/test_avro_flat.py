"""Flat records are written as fastavro writes them, byte for byte."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro_flat import flat_writer

_LONGS = st.integers(-(1 << 63), (1 << 63) - 1)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "bytes": st.binary(max_size=3_000),
    "double": st.floats(allow_nan=False),
    "long": st.one_of(_LONGS, st.integers(-2_000, 2_000)),
    "string": st.one_of(st.text(), st.text(min_size=1_000, max_size=1_100)),
}
_SCHEMA: Any = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Flat",
        "fields": [
            *({"name": kind, "type": kind} for kind in _VALUES),
            *({"name": f"{kind}_or_null", "type": ["null", kind]} for kind in _VALUES),
        ],
    }
)
_FIELDS = st.fixed_dictionaries(
    {**_VALUES, **{f"{kind}_or_null": st.none() | values for kind, values in _VALUES.items()}}
)


@given(_FIELDS)
def test_the_bytes_are_fastavros(fields: dict[str, Any]) -> None:
    """Numbers of every size, texts, bytes and nulls have the one form that Avro gives them."""
    write: Any = fastavro
    out = io.BytesIO()
    write.schemaless_writer(out, _SCHEMA, fields)

    flat = flat_writer(_SCHEMA, b"header")

    assert flat is not None
    assert flat(fields) == b"header" + out.getvalue()


@pytest.mark.parametrize("number", [1 << 63, -(1 << 63) - 1])
def test_numbers_beyond_64_bits_are_refused(number: int) -> None:
    """Avro has no larger ones, so they are an error and no other number."""
    flat = flat_writer({"fields": [{"name": "number", "type": "long"}]}, b"")

    assert flat is not None
    with pytest.raises(OverflowError, match="64 bits"):
        flat({"number": number})


@pytest.mark.parametrize(
    "type_",
    [
        {"type": "array", "items": "long"},
        {"type": "string", "logicalType": "uuid"},
        {"type": "record", "name": "Inner", "fields": []},
        ["null", "string", "long"],
        ["long", "string"],
        "Named",
    ],
)
def test_other_records_are_left_to_fastavro(type_: Any) -> None:
    """One field that is not flat, and the record is not."""
    schema = {"fields": [{"name": "flat", "type": "long"}, {"name": "other", "type": type_}]}

    assert flat_writer(schema, b"") is None
