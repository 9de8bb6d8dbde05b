"""What a registry accepts, it reads: what was written as one type is the same value as the other (S10)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import Enum, StrEnum
from typing import Any, Literal, NamedTuple
from uuid import UUID

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from schemas import Event, Incompatible, MemoryRegistry, Serde, Unencodable
from schemas.avro_shapes import avro_shape
from schemas.json_shapes import json_shape
from schemas.resolution import mismatches
from schemas.schema import Format
from schemas.shapes import Shape
from tests.schemas.samples import Color, Dashed, Rank, is_told, leaves, plain, texts

formats = pytest.mark.parametrize("kind", ["avro", "json"])


class Model(BaseModel):
    x: int


class Mixed(Enum):
    TEXT = "a-b"
    NUMBER = 1


class Red(Enum):
    A = "a"
    B = "b"


class Word(StrEnum):
    A = "a"
    C = "c"


def _enum(name: str, *values: str) -> Any:
    """Another form of an enum of this name: names of its class are part of an Avro schema."""
    return Enum(name, {value.upper(): value for value in values})


A: Any = Literal["a"]
B: Any = Literal["b"]
Grown: Any = _enum("Color", "red", "dark_blue", "light-blue")
Shrunk: Any = _enum("Dashed", "a-b")
Fewer: Any = _enum("Color", "red")


def event(annotation: Any, version: int = 1) -> type[Any]:
    """A class with a field of this type."""

    class Held(Event, name="sample.held", version=version):
        locals().update(__annotations__={"value": annotation})

    return Held


def refusal(old: Any, new: Any, kind: Format) -> str:
    """What is said of the change; empty: it is accepted."""
    registry = MemoryRegistry()
    Serde(registry, [event(old)], format=kind)
    try:
        Serde(registry, [event(new)], format=kind)
    except Incompatible as refused:
        return "; ".join(map(str, refused.problems))
    return ""


def read(old: Any, new: Any, value: Any, kind: Format) -> Any:
    """What was written as one type, read as the other."""
    registry, writer = MemoryRegistry(), event(old)
    written = Serde(registry, [writer], format=kind).encode(writer.model_validate({"value": value}))
    decoded: Any = Serde(registry, [event(new)], format=kind).decode(written)
    return decoded.value


@formats
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (str, bytes, "was string, is "),
        (bytes, str, ", is string"),
        (list[bytes], list[str], "field value[] was "),
        (str, Literal["a"], "was string, is one of a (TYPE_MISMATCH)"),
        (str, Literal["a"] | int, "was string, is one of a or long (MISSING_UNION_BRANCH)"),
        (str, Dashed, "was string, is one of a-b, c d (TYPE_MISMATCH)"),
        (int, Literal[1, 2], "was long, is one of 1, 2 (TYPE_MISMATCH)"),
        (bool, Literal[True], "was boolean, is one of true (TYPE_MISMATCH)"),
        (Literal["a", "b"], Literal["a"], "(one of a) lost b (MISSING_ENUM_SYMBOLS)"),
        (Literal["a", 1, 2], Literal["a", 1], "(one of 1) lost 2 (MISSING_ENUM_SYMBOLS)"),
        (Literal["a", "b"], Literal["a"] | int, "(one of a) lost b (MISSING_ENUM_SYMBOLS)"),
        (Literal["1"], Literal[1], '(one of 1) lost "1" (MISSING_ENUM_SYMBOLS)'),
        (Dashed, Shrunk, "(one of a-b) lost c d (MISSING_ENUM_SYMBOLS)"),
        (Grown, Color, "lost light-blue (MISSING_ENUM_SYMBOLS)"),
        (dict[str, int], dict[Literal["a"], int], "was map of long, is map of long by a (TYPE_MISMATCH)"),
        (dict[Literal["a", "b"], int], dict[Literal["a"], int], "(map of long by a) lost b (MISSING_ENUM_SYMBOLS)"),
        (
            tuple[int, int], tuple[int, int, int],
            "was tuple of 2 (long, long), is tuple of 3 (long, long, long) (TYPE_MISMATCH)",
        ),
        (tuple[int, str], tuple[str, int], "field value[0] was long, is string (TYPE_MISMATCH)"),
        (tuple[str, str], tuple[Literal["a"], str], "field value[0] was string, is one of a (TYPE_MISMATCH)"),
        (tuple[int, ...], tuple[int, int], "was array of long, is tuple of 2 (long, long) (TYPE_MISMATCH)"),
        (list[int], set[int], "was array of long, is set of long (TYPE_MISMATCH)"),
        (tuple[int, int], set[int], "was tuple of 2 (long, long), is set of long (TYPE_MISMATCH)"),
        (list[int], tuple[int] | tuple[int, int], "is tuple of 1 (long) or tuple of 2 (long, long)"),
    ],
    ids=str,
)  # fmt: skip
def test_what_could_not_be_read_is_refused(old: Any, new: Any, said: str, kind: Format) -> None:
    """Some value of the old type is no value of the new one: values and lengths are named."""
    assert said in refusal(old, new, kind)


@formats
@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        (Color, Grown, "red"),
        (Color | None, Grown | None, "dark_blue"),
        (Color | Model, Grown | Model, "red"),
        (list[Color | Model], list[Grown | Model], ["red", {"x": 1}]),
        (tuple[Model, Color], tuple[Model, Grown], ({"x": 1}, "red")),
        (Shrunk, Dashed, "a-b"),
        (Dashed, str, "c d"),
        (Literal["a"], Literal["a", "b"], "a"),
        (Literal["a"], str, "a"),
        (Literal["a", 1], A | int, 1),
        (A | B, Literal["a", "b"], "b"),
        (A | str, str, "x"),
        (dict[Literal["a"], int], dict[str, int], {"a": 1}),
        (tuple[int, str], list[int | str], (1, "a")),
        (tuple[int, int], tuple[float, int | None], (1, 2)),
        (tuple[int, int], tuple[int, int] | tuple[int, int, int], (1, 2)),
        (set[int], list[int], {1, 2}),
    ],
    ids=str,
)
def test_what_holds_the_old_values_may_follow(old: Any, new: Any, value: Any, kind: Format) -> None:
    """No value is lost, and the new class reads each."""
    assert plain(read(old, new, value, kind)) == plain(value)


def test_an_enum_of_several_types_is_kept_alone_and_refused_in_unions() -> None:
    """Avro could not tell its values from those of other members."""
    assert read(Mixed, Mixed, "a-b", "avro") is Mixed.TEXT
    assert read(list[Mixed], list[Mixed], [1], "avro") == [Mixed.NUMBER]
    with pytest.raises(Exception, match=r"Held\.value.* the values of Mixed are not all of one type"):
        Serde(MemoryRegistry(), [event(Mixed | None)])


def test_limits_are_properties_which_other_readers_ignore() -> None:
    """An array is an array, a string a string."""
    registry = MemoryRegistry()
    Serde(registry, [event(tuple[Literal["a"], set[int]])])
    [one] = registry.versions("sample.held")

    [field] = json.loads(one.schema.text)["fields"]

    text: dict[str, Any] = {"type": "string", "sagalog.values": ["a"]}
    numbers: dict[str, Any] = {"type": "array", "items": "long", "sagalog.unique": True}
    assert field["type"] == {"type": "array", "items": [text, numbers], "sagalog.tuple": [[text, numbers]]}


@pytest.mark.parametrize(
    ("shape", "personal"),
    [
        (avro_shape, {"type": "bytes", "logicalType": "sagalog-personal"}),
        (json_shape, {"type": "string", "format": "sagalog-personal"}),
    ],
)
def test_personal_data_that_does_not_say_what_it_holds_may_hold_anything(
    shape: Callable[[Any], Shape], personal: dict[str, Any]
) -> None:
    """Types were registered before schemas said it."""
    unsaid, text = shape(personal), shape({**personal, "sagalog.holds": {"type": "string"}})

    assert mismatches(text, unsaid) == mismatches(unsaid, text) == []
    assert mismatches(text, shape({**personal, "sagalog.holds": {}})) != []


class Pair(NamedTuple):
    """A type, its values, and the type that shall read them."""

    old: Any
    values: st.SearchStrategy[Any]
    new: Any


_NUMBERS = st.integers(-(2**53), 2**53)
_MODELS = st.builds(Model, x=_NUMBERS)
_LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (bool, st.booleans()),
    (int, _NUMBERS),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (str, texts | st.sampled_from(["a", "5", "red", "a-b"])),
    (bytes, st.binary(max_size=3)),
    (UUID, st.uuids()),
    (Color, st.sampled_from(Color)),
    (Grown, st.sampled_from(Grown)),
    (Dashed, st.sampled_from(Dashed)),
    (Shrunk, st.sampled_from(Shrunk)),
    (Literal["red", "a-b"], st.sampled_from(["red", "a-b"])),
    (Literal["red"], st.just("red")),
    (Literal[Word.A], st.just(Word.A)),
    (Color | Model, st.sampled_from(Color) | _MODELS),
    (Color | Red, st.sampled_from(Color) | st.sampled_from(Red)),
    (Grown | Red, st.sampled_from(Grown) | st.sampled_from(Red)),
    (Word | Model, st.sampled_from(Word) | _MODELS),
    (Word | Red, st.sampled_from(Word) | st.sampled_from(Red)),
    (float | Rank, st.floats(allow_nan=False, allow_infinity=False)),
    (Literal["5", "a"], st.sampled_from(["5", "a"])),
    (Literal[1, 5], st.sampled_from([1, 5])),
    (Literal[1, "a"] | None, st.sampled_from([1, "a", None])),
    (int | str | None, st.none() | _NUMBERS | texts),
    (Literal["a"] | int, st.just("a") | _NUMBERS),
]


def _leaf(old: tuple[Any, st.SearchStrategy[Any]], new: tuple[Any, object]) -> Pair:
    return Pair(old[0], old[1], new[0])


def _listed(of: Pair, kinds: tuple[str, str]) -> Pair:
    """In containers of these kinds."""
    old, new = kinds
    values: Mapping[str, st.SearchStrategy[Any]] = {
        "list": st.lists(of.values, max_size=3),
        "any": st.lists(of.values, max_size=3).map(tuple),
        "one": st.tuples(of.values),
        "two": st.tuples(of.values, of.values),
        "maybe": st.none() | of.values,
        "map": st.dictionaries(texts, of.values, max_size=2),
    }
    return Pair(_around(of.old)[old], values[old], _around(of.new)[new])


def _around(inner: Any) -> Mapping[str, Any]:
    return {
        "list": list[inner],
        "any": tuple[inner, ...],
        "one": tuple[inner],
        "two": tuple[inner, inner],
        "maybe": inner | None,
        "map": dict[str, inner],
    }


_KINDS = st.sampled_from(["list", "any", "one", "two", "maybe", "map"])
_BOTH = st.tuples(_KINDS, _KINDS) | _KINDS.map(lambda kind: (kind, kind))
PAIRS: st.SearchStrategy[Pair] = st.recursive(
    st.builds(_leaf, st.sampled_from(_LEAVES), st.sampled_from(_LEAVES)),
    lambda inner: st.builds(_listed, inner, _BOTH),
    max_leaves=2,
)


@formats
@given(PAIRS, st.data())
@settings(deadline=None, max_examples=400, print_blob=True)
def test_what_is_accepted_reads_as_what_was_written(kind: Format, pair: Pair, data: st.DataObject) -> None:
    """Whatever the types are: the change is refused, or each value is itself, of its class if the new type has it; or
    it is not written, since JSON does not tell it from another one.
    """
    if not refusal(pair.old, pair.new, kind):
        value = data.draw(pair.values)
        try:
            found = read(pair.old, pair.new, value, kind)
        except Unencodable:
            assume(kind != "json")
            raise

        assert plain(found) == plain(value)
        for one, other in zip(leaves(value), leaves(found), strict=True):
            assert type(other) is type(one) or not is_told(one, pair.new, is_named=kind == "avro")
