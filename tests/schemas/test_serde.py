"""What a serde does with what it does not know, and with bytes that are none."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from typing import Generic, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import field_validator

from schemas import (
    DecodeError,
    DefinitionError,
    Event,
    MemoryRegistry,
    Message,
    Nothing,
    Schema,
    SchemaConflict,
    Serde,
    TypeName,
    Undecodable,
    UnknownSchema,
    UnknownType,
)
from schemas.registry import Entry
from schemas.wire import header_of, schema_id_of
from tests.schemas.samples import Everything, Flat, Reserve, Reserved, everythings

T = TypeVar("T")


class Counting(MemoryRegistry):
    """Counts what a serde asks of it."""

    def __init__(self) -> None:
        super().__init__()
        self.registered = self.refreshed = 0

    def register_many(self, entries: Sequence[Entry]) -> list[int]:
        self.registered += len(entries)
        return super().register_many(entries)

    def refresh(self) -> None:
        self.refreshed += 1


class Lagging(Counting):
    """Shows what was registered only after a refresh, as a registry in a topic does."""

    def get(self, id: int) -> Schema | None:
        return super().get(id) if self.refreshed else None


def test_an_unknown_schema_is_looked_for_once_more() -> None:
    """The registry is read to its end before a schema id is called unknown."""
    registry = Lagging()
    serde = Serde(registry, [Reserve])

    assert serde.decode(serde.encode(Reserve(sku="a"))) == Reserve(sku="a")
    assert registry.refreshed == 1


def test_a_schema_that_nobody_registered_is_unknown() -> None:
    """After one refresh, the error names the id."""
    registry = Counting()

    with pytest.raises(UnknownSchema, match="no schema 77") as unknown:
        Serde(registry).decode(header_of(77) + b"x")
    assert unknown.value.id == 77
    assert registry.refreshed == 1
    assert not Serde(registry).knows(header_of(77))


def test_a_type_without_class_is_unknown_until_it_is_registered() -> None:
    """The registry knows it, this code does not; when the class comes, the same bytes are read."""
    registry = MemoryRegistry()
    data = Serde(registry, [Reserve]).encode(Reserve(sku="a"))
    serde = Serde(registry)

    with pytest.raises(UnknownType, match="'reserve' of version 1"):
        serde.decode(data)
    assert serde.type_of(data) == TypeName("reserve", 1)
    assert not serde.knows(data)

    serde.register([Reserve])

    assert serde.knows(data)
    assert serde.decode(data) == Reserve(sku="a")


def test_who_knows_a_command_reads_its_answers() -> None:
    """A caller registers the command only."""
    registry = MemoryRegistry()
    answer = Serde(registry, [Reserved]).encode(Reserved(ref="r"))

    assert Serde(registry, [Reserve]).decode(answer) == Reserved(ref="r")


def test_registering_again_costs_nothing() -> None:
    """A class is registered once; encoding does not ask the registry."""
    registry = Counting()
    serde = Serde(registry, [Reserve, Reserve])

    serde.register([Reserve])
    serde.encode(Reserve(sku="a"))

    assert registry.registered == 1


def test_an_unregistered_class_is_registered_when_it_is_encoded() -> None:
    """`encode` takes any message."""
    serde = Serde(MemoryRegistry())

    assert serde.decode(serde.encode(Reserve(sku="a"))) == Reserve(sku="a")


def test_two_classes_of_one_name_are_refused() -> None:
    """Which of them data is would be a guess: the error names both."""

    class Other(Event, name="reserve"):
        x: int

    with pytest.raises(SchemaConflict, match=r"samples\.Reserve and .*Other both claim 'reserve' version 1"):
        Serde(MemoryRegistry(), [Reserve, Other])


def test_an_annotation_that_only_type_checkers_see_is_named() -> None:
    """A field's type that is not there at run time is an error at the class's line when it is registered."""
    with pytest.raises(DefinitionError, match="'Missing', which Lost names, is not defined"):
        Serde(MemoryRegistry(), [_lost()])


def _lost() -> type[Event]:
    class Lost(Event):
        x: Missing  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable] - what is tested

    return Lost


def test_threads_may_share_a_serde() -> None:
    """Eight threads meet ids and classes for the first time at once."""
    registry = MemoryRegistry()
    data = Serde(registry, [Reserve]).encode(Reserve(sku="a"))
    serde, read = Serde(registry), list[object]()
    serde.register([Reserve])
    threads = [threading.Thread(target=lambda: read.append(serde.decode(data))) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert read == [Reserve(sku="a")] * 8


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x00\x00\x00", b"\x01\x00\x00\x00\x01x", b"{}"])
def test_bytes_without_header_are_undecodable(data: bytes) -> None:
    """Whoever wrote them did not use the wire format."""
    for ask in (Serde(MemoryRegistry()).decode, Serde(MemoryRegistry()).type_of, Serde(MemoryRegistry()).knows):
        with pytest.raises(Undecodable):
            ask(data)


@pytest.mark.parametrize(
    "text", ['"string"', '["null", "string"]', '{"type": "enum", "name": "answer", "symbols": ["YES", "NO"]}']
)
def test_a_foreign_schema_that_is_no_record_is_named(text: str) -> None:
    """A registry that others write to may hold one under a name that this code knows."""
    registry = MemoryRegistry()
    name = Nothing.__type_name__
    data = header_of(registry.register(name, Schema(name, 1, "avro", text))) + b"\x00"

    with pytest.raises(Undecodable, match=name):
        Serde(registry).decode(data)


def test_bytes_too_many_are_undecodable() -> None:
    """What follows a complete message is not ignored."""
    serde = Serde(MemoryRegistry())

    with pytest.raises(Undecodable, match="1 bytes too many"):
        serde.decode(serde.encode(Reserve(sku="a")) + b"x")


def test_data_that_breaks_its_classs_rules_is_undecodable() -> None:
    """A validator that was added later does not let old data pass; the error says what it says."""

    class Loose(Event, name="ruled"):
        x: int

    class Strict(Event, name="ruled"):
        x: int

        @field_validator("x")
        @classmethod
        def _positive(cls, x: int) -> int:
            return x if x > 0 else 1 // 0

    registry = MemoryRegistry()
    data = Serde(registry, [Loose]).encode(Loose(x=0))

    with pytest.raises(Undecodable, match=r"ruled version 1.*ZeroDivisionError"):
        Serde(registry, [Strict]).decode(data)


REGISTRY = MemoryRegistry()
TYPES: list[type[Message]] = [Everything, Flat, Reserve]
SERDES = {"avro": Serde(REGISTRY, TYPES, format="avro"), "json": Serde(REGISTRY, TYPES, format="json")}
ids = st.integers(0, 8) | st.integers(0, 2**32 - 1)


def _with_header(schema_id: int, rest: bytes) -> bytes:
    return header_of(schema_id) + rest


@given(st.binary(max_size=200) | st.builds(_with_header, ids, st.binary(max_size=300)))
@settings(deadline=None, max_examples=400)
def test_arbitrary_bytes_raise_named_errors_only(data: bytes) -> None:
    """Whatever arrives is a message or a named error."""
    with contextlib.suppress(DecodeError):
        assert isinstance(SERDES["avro"].decode(data), Message)


@given(everythings(alike=False), st.data())
@settings(deadline=None, max_examples=150)
def test_damaged_messages_raise_named_errors_only(event: Everything, draw: st.DataObject) -> None:
    """A message with a byte changed, lost or cut off is a message or a named error."""
    serde = SERDES[draw.draw(st.sampled_from(["avro", "json"]))]
    data = bytearray(serde.encode(event))
    place = draw.draw(st.integers(5, len(data) - 1))
    match draw.draw(st.sampled_from(["change", "drop", "cut"])):
        case "change":
            data[place] = draw.draw(st.integers(0, 255))
        case "drop":
            del data[place]
        case _:
            del data[place:]

    with contextlib.suppress(Undecodable):
        assert isinstance(serde.decode(bytes(data)), Everything)


@given(st.integers(0, 2**32 - 1))
def test_headers_keep_their_id(id: int) -> None:
    """An id is read as it was written."""
    assert schema_id_of(header_of(id) + b"rest") == id


def test_a_generic_class_needs_a_name_of_its_own() -> None:
    """With its parameters filled in it would be `boxed[int]` in the log, whatever name the template has."""

    class Boxed(Event, Generic[T], name="sample.boxed"):
        item: T

    class BoxedNumber(Boxed[int], name="sample.boxed.number"):
        pass

    with pytest.raises(DefinitionError, match=r"Boxed\[int\] has no name in the log"):
        Serde(MemoryRegistry(), [Boxed[int]])
    serde = Serde(MemoryRegistry(), [BoxedNumber])
    assert serde.decode(serde.encode(BoxedNumber(item=1))) == BoxedNumber(item=1)
