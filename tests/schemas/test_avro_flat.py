"""Flat records are written as fastavro writes them, byte for byte, and read as it reads them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro_flat import flat_reader, flat_writer

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
    flat = flat_writer(_SCHEMA, b"header")

    assert flat is not None
    assert flat(fields) == b"header" + _written(fields)


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
    schema = {"type": "record", "fields": [{"name": "flat", "type": "long"}, {"name": "other", "type": type_}]}

    assert flat_writer(schema, b"") is None
    assert flat_reader(schema, 0) is None


@pytest.mark.parametrize(
    "schema", ["string", ["null", "string"], {"type": "enum", "name": "Colour", "symbols": ["RED"]}, {"type": "map"}]
)
def test_what_is_no_record_is_left_to_fastavro(schema: Any) -> None:
    """A registry may hold such schemas of foreign writers."""
    assert flat_reader(schema, 0) is None


def _written(fields: dict[str, Any], schema: Any = _SCHEMA) -> bytes:
    write: Any = fastavro
    out = io.BytesIO()
    write.schemaless_writer(out, schema, fields)
    return out.getvalue()


def _reader(schema: Any = _SCHEMA, start: int = 0) -> Callable[[bytes], dict[str, Any]]:
    read = flat_reader(schema, start)
    assert read is not None
    return read


@given(_FIELDS)
def test_what_fastavro_wrote_is_read(fields: dict[str, Any]) -> None:
    """Every field as it was, and of its type: `True` is no 1."""
    found = _reader(start=6)(b"header" + _written(fields))

    assert found == fields
    assert {name: type(value) for name, value in found.items()} == {name: type(fields[name]) for name in fields}


@given(_FIELDS, st.data())
def test_what_is_cut_or_longer_is_refused(fields: dict[str, Any], data: st.DataObject) -> None:
    """Whatever the end that is missing belonged to, and one byte too many."""
    written = _written(fields)
    size = data.draw(st.integers(0, len(written) - 1))

    for wrong in (written[:size], written + b"\0"):
        with pytest.raises((IndexError, ValueError, struct.error)):
            _reader()(wrong)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_as_fastavro_reads_them_or_refused(data: bytes) -> None:
    """Both read the same, and what fastavro could have written is refused by neither."""
    schema: Any = fastavro.parse_schema(
        {
            "type": "record",
            "name": "Some",
            "fields": [{"name": kind, "type": kind} for kind in ("long", "string")]
            + [{"name": "bytes_or_null", "type": ["null", "bytes"]}],
        }
    )
    source, theirs = io.BytesIO(data), None
    read: Any = fastavro
    with suppress(Exception):
        theirs = read.schemaless_reader(source, schema, None)
    try:
        ours = _reader(schema)(data)
    except (IndexError, ValueError, OverflowError):
        assert theirs is None or _written(theirs, schema) != data
    else:
        assert (ours, source.tell()) == (theirs, len(data))


@pytest.mark.parametrize("data", [b"\xff" * 9 + b"\x02", b"\xff" * 10 + b"\x00", b"\x80" * 40])
def test_numbers_that_go_on_beyond_64_bits_are_refused(data: bytes) -> None:
    """They are an error, and end where the longest number does."""
    with pytest.raises(OverflowError, match="64 bits"):
        _reader({"type": "record", "fields": [{"name": "number", "type": "long"}]})(data)


@pytest.mark.parametrize(("type_", "data"), [("string", b"\x01"), ("bytes", b"\x03\0\0"), (["null", "long"], b"\4\0")])
def test_negative_sizes_and_members_that_are_not_there_are_refused(type_: Any, data: bytes) -> None:
    """Such data was written by nobody."""
    with pytest.raises(ValueError, match=r"nothing has|no member"):
        _reader({"type": "record", "fields": [{"name": "one", "type": type_}]})(data)
