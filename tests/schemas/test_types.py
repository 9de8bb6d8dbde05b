"""Types made at random: whatever a field is, both formats keep its values, or the type is refused by name."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, create_model

from schemas import Event, FieldNotSupported, MemoryRegistry, Serde, Unencodable
from schemas.compatibility import MODES, problems
from schemas.schema import Format
from tests.schemas import samples
from tests.schemas.samples import Color, Rank, Tree, repr_of, same


class Typed(NamedTuple):
    """A type, and a strategy of its values."""

    annotation: Any
    values: st.SearchStrategy[Any]


LEAVES = [
    Typed(bool, st.booleans()),
    Typed(int, samples.longs),
    Typed(float, samples.floats),
    Typed(str, samples.texts),
    Typed(bytes, st.binary(max_size=9)),
    Typed(UUID, st.uuids()),
    Typed(Decimal, samples.amounts),
    Typed(Annotated[Decimal, Field(max_digits=12, decimal_places=2)], samples.prices),
    Typed(datetime, samples.instants),
    Typed(date, st.dates()),
    Typed(time, st.times()),
    Typed(timedelta, samples.spans),
    Typed(Color, st.sampled_from(Color)),
    Typed(Rank, st.sampled_from(Rank)),
    Typed(Literal["a", "b c"], st.sampled_from(["a", "b c"])),
    Typed(Tree, samples.trees),
    Typed(int | str, samples.longs | samples.texts),
]


_INNER = ConfigDict(ser_json_inf_nan="strings", ser_json_bytes="base64", val_json_bytes="base64")


def _list(of: Typed) -> Typed:
    return Typed(list[of.annotation], st.lists(of.values, max_size=3))  # type: ignore[name-defined]


def _several(of: Typed) -> Typed:
    return Typed(tuple[of.annotation, ...], st.lists(of.values, max_size=3).map(tuple))  # type: ignore[name-defined]


def _map(of: Typed) -> Typed:
    return Typed(dict[str, of.annotation], st.dictionaries(samples.texts, of.values, max_size=3))  # type: ignore[name-defined]


def _maybe(of: Typed) -> Typed:
    return Typed(of.annotation | None, st.none() | of.values)


def _model(of: Typed) -> Typed:
    model = create_model("Inner", value=(of.annotation, ...), label=(str, ""), __config__=_INNER)
    return Typed(model, st.builds(model, value=of.values))


_WRAP: list[Callable[[Typed], Typed]] = [_list, _several, _map, _maybe, _model]


def _wrapped(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    return st.tuples(st.sampled_from(_WRAP), inner).map(lambda pair: pair[0](pair[1]))


TYPES: st.SearchStrategy[Typed] = st.recursive(st.sampled_from(LEAVES), _wrapped)


def _event(annotations: Mapping[str, Any]) -> type[Event]:
    class Generated(Event, name="sample.generated"):
        locals().update(__annotations__=dict(annotations))

    return Generated


@given(st.lists(TYPES, min_size=1, max_size=3), st.data())
@settings(deadline=None, max_examples=150, print_blob=True)
def test_any_type_is_kept_by_both_formats(types: list[Typed], data: st.DataObject) -> None:
    """A class of random fields, at random depth: JSON and Avro read what was written, and the same."""
    made = _event({f"field_{number}": each.annotation for number, each in enumerate(types)})
    event = made.model_validate({f"field_{number}": data.draw(each.values) for number, each in enumerate(types)})
    read = {kind: _through(kind, event) for kind in ("avro", "json")}

    assert same(read["avro"], event)
    assert same(read["json"], event)
    assert repr_of(read["avro"]) == repr_of(read["json"])


def _through(kind: Format, event: Event) -> Any:
    serde = Serde(MemoryRegistry(), format=kind)
    return serde.decode(serde.encode(event))


@given(TYPES)
@settings(deadline=None, max_examples=100, print_blob=True)
def test_any_type_is_compatible_with_itself(typed: Typed) -> None:
    """In every mode and both formats: a deploy that changes nothing is never refused."""
    for kind in ("avro", "json"):
        registry = MemoryRegistry()
        Serde(registry, [_event({"field": typed.annotation})], format=kind)
        [one] = registry.versions("sample.generated")
        assert [mode for mode in MODES if problems(one.schema, one.schema, mode)] == []


@given(TYPES, st.data())
@settings(deadline=None, max_examples=60, print_blob=True)
def test_any_default_is_read_by_those_who_wrote_without(typed: Typed, data: st.DataObject) -> None:
    """A field that is added with a default reads as that default, whatever its type, from data that lacks it."""
    registry, default = MemoryRegistry(mode="none"), data.draw(typed.values)

    class Grown(Event, name="sample.generated"):
        locals().update(__annotations__={"field": typed.annotation})
        field = default

    empty = _event({})
    old = Serde(registry, [empty]).encode(empty())

    read = Serde(registry, [Grown]).decode(old)

    assert repr_of(read) == repr_of(Grown())


class Opaque:
    """A class that is no model."""


class Odd(enum.Enum):
    A = 1.5


@pytest.mark.parametrize("annotation", [Opaque, list[Opaque], dict[str, Opaque] | None], ids=str)
def test_a_type_that_no_format_has_is_refused_where_it_is_written(annotation: Any) -> None:
    """When the class is made: field, line and reason."""
    with pytest.raises(
        FieldNotSupported, match=r"Wrong\.field has no Avro or JSON form: .*Opaque.* is no type of data"
    ) as refused:

        class Wrong(Event):  # pyright: ignore[reportUnusedClass]
            fine: int
            field: annotation  # pyright: ignore[reportInvalidTypeForm]

    assert refused.value.field == "Wrong.field"
    assert str(refused.value).startswith(f"{__file__}:")


def test_an_enum_of_what_avro_has_not_is_refused() -> None:
    """Its values are neither text nor whole numbers."""

    class Wrong(Event):
        field: Odd

    with pytest.raises(
        FieldNotSupported, match=r"Wrong\.field has no Avro form: its values \[1\.5\] are not all str or int"
    ):
        Serde(MemoryRegistry(), [Wrong])


def test_json_says_how_bytes_of_a_nested_model_are_written() -> None:
    """A plain model writes bytes as text, which not all are: an error names the remedy."""

    class Inner(BaseModel):
        raw: bytes

    class Outer(Event):
        inner: Inner

    with pytest.raises(Unencodable, match=r"outer cannot be encoded.*ser_json_bytes=\"base64\""):
        Serde(MemoryRegistry(), format="json").encode(Outer(inner=Inner(raw=b"\x80")))


def test_json_says_that_it_is_json() -> None:
    """Not every refusal is Avro's."""

    class Wrong(Event):
        field: Callable[[], int]

    with pytest.raises(FieldNotSupported, match="Wrong has no JSON form"):
        Serde(MemoryRegistry(), [Wrong], format="json")


class Leaf(BaseModel):
    """For the recursion below."""

    value: int
    left: Leaf | None = None
    right: Leaf | None = None


def test_a_recursive_model_may_have_a_default_of_its_own() -> None:
    """Also one that holds another."""

    class Rooted(Event):
        root: Leaf = Leaf(value=1, left=Leaf(value=2))

    for kind in ("avro", "json"):
        assert _through(kind, Rooted()) == Rooted()
