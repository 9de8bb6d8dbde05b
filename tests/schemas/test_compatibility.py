"""What may follow what, in each mode, and what is said of a change that may not (S10)."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import fastavro
import fastavro.utils
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model

from schemas import Event, Incompatible, MemoryRegistry, Schema, Serde, UpcastMissing
from schemas.compatibility import MODES, Mode, check, problems
from schemas.registry import Registry

Format = Literal["avro", "json"]
formats = pytest.mark.parametrize("kind", ["avro", "json"])
READS_OLD: tuple[Mode, ...] = ("backward", "backward_transitive", "full", "full_transitive")
READS_NEW: tuple[Mode, ...] = ("forward", "forward_transitive", "full", "full_transitive")


def event(version: int = 1, **fields: Any) -> type[Event]:
    """A class named `order.placed` with these fields; a pair gives type and default."""
    given: dict[str, Any] = {name: each for name, each in fields.items() if isinstance(each, tuple)}
    annotations: dict[str, Any] = {name: given.get(name, (each,))[0] for name, each in fields.items()}
    defaults: dict[str, Any] = {name: each[1] for name, each in given.items()}

    class Placed(Event, name="order.placed", version=version):
        locals()["__annotations__"] = annotations
        locals().update(defaults)

    return Placed


def schema(kind: Format = "avro", version: int = 1, **fields: Any) -> Schema:
    """The schema of such a class."""
    registry = MemoryRegistry(mode="none")
    Serde(registry, [event(version, **fields)], format=kind)
    found = registry.get(1)
    assert found is not None
    return found


def forbidding(new: Schema, old: Schema) -> set[Mode]:
    """The modes that forbid it."""
    return {mode for mode in MODES if problems(new, old, mode)}


@formats
def test_a_field_added_with_a_default_is_full(kind: Format) -> None:
    """Both sides read the other's data."""
    assert forbidding(schema(kind, a=int, b=(str, "x")), schema(kind, a=int)) == set()


@formats
def test_a_field_added_without_a_default_is_forward_only(kind: Format) -> None:
    """Old data lacks it, old readers do not miss it."""
    assert forbidding(schema(kind, a=int, b=str), schema(kind, a=int)) == set(READS_OLD)


@formats
def test_a_field_removed_without_a_default_is_backward_only(kind: Format) -> None:
    """New readers ignore it, old readers miss it."""
    assert forbidding(schema(kind, a=int), schema(kind, a=int, b=str)) == set(READS_NEW)


@formats
def test_a_number_may_become_a_wider_one(kind: Format) -> None:
    """Avro promotes long to double, and not back."""
    assert forbidding(schema(kind, a=float), schema(kind, a=int)) == set(READS_NEW)


@formats
def test_a_type_may_be_widened_to_a_union(kind: Format) -> None:
    """What had one type is a member; what the union may hold besides, old readers cannot take."""
    assert forbidding(schema(kind, a=int | None), schema(kind, a=int)) == set(READS_NEW)


class Two(Enum):
    RED = "red"
    BLUE = "blue"


Three = Enum("Three", {"RED": "red", "BLUE": "blue", "GREEN": "green"})
Three.__name__ = "Two"


@formats
def test_an_enum_may_gain_values(kind: Format) -> None:
    """Old readers do not know the new one."""
    assert forbidding(schema(kind, a=Three), schema(kind, a=Two)) == set(READS_NEW)
    [problem] = problems(schema(kind, a=Two), schema(kind, a=Three), "backward")
    assert (problem.field, problem.rule) == ("a", "MISSING_ENUM_SYMBOLS")
    assert "lost green" in str(problem)


def _price(digits: int, places: int) -> Any:
    return Annotated[Decimal, Field(max_digits=digits, decimal_places=places)]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (str, int, "field a was string, is long (TYPE_MISMATCH)"),
        (list[str], list[int], "field a[] was string, is long (TYPE_MISMATCH)"),
        (dict[str, int], dict[str, str], "field a{} was long, is string (TYPE_MISMATCH)"),
        (list[int], dict[str, int], "field a was array of long, is map of long (TYPE_MISMATCH)"),
        (int | str, int, "field a was long or string, is long (MISSING_UNION_BRANCH)"),
        (Decimal, str, "field a was sagalog-decimal, is string (LOGICAL_TYPE_MISMATCH)"),
        (_price(9, 2), _price(9, 4), "field a was decimal(9, 2), is decimal(9, 4) (LOGICAL_TYPE_MISMATCH)"),
    ],
    ids=str,
)
def test_the_error_names_field_types_and_rule(old: Any, new: Any, said: str) -> None:
    """What was, what is, and which rule of Avro's resolution that breaks."""
    registry = MemoryRegistry()
    Serde(registry, [event(a=old)])

    with pytest.raises(Incompatible) as refused:
        Serde(registry, [event(a=new)])

    assert said in str(refused.value)
    assert (refused.value.subject, refused.value.version, refused.value.mode) == (
        "order.placed", 1, "backward_transitive",
    )  # fmt: skip
    assert "version=2 and an upcast from 1" in str(refused.value)
    assert len(registry.versions("order.placed")) == 1


@formats
def test_a_field_of_a_nested_model_is_named_by_its_path(kind: Format) -> None:
    """Through lists and models, also recursive ones."""

    def tree(**fields: Any) -> Any:
        class Tree(BaseModel):
            locals()["__annotations__"] = {"children": "list[Tree]", **fields}

        Tree.model_rebuild(_types_namespace={"Tree": Tree})
        return Tree

    one: Any = list[tree(sku=str)]  # type: ignore[misc]
    two: Any = list[tree(sku=str, n=int)]  # type: ignore[misc]
    [problem] = problems(schema(kind, lines=two), schema(kind, lines=one), "full")

    assert (problem.field, problem.direction) == ("lines[].n", "backward")
    assert str(problem).startswith("field lines[].n (long) was added without a default")


def test_a_renamed_nested_record_is_told() -> None:
    """Foreign readers match records by name."""
    one, other = create_model("One", x=(int, ...)), create_model("Other", x=(int, ...))

    [problem] = problems(schema(a=other), schema(a=one), "backward")

    assert problem.rule == "NAME_MISMATCH"
    assert problems(schema("json", a=other), schema("json", a=one), "full") == []


def test_modes_that_are_not_transitive_look_at_the_last_schema_only() -> None:
    """A default that is given in a second step and removed in a third is seen by the transitive modes alone."""
    first, second, third = schema(a=int), schema(a=int, b=(str, "")), schema(a=int, b=str)
    for mode in MODES:
        check("order.placed", second, [first], mode)
    check("order.placed", third, [first, second], "backward")

    for mode in ("backward_transitive", "full_transitive"):
        with pytest.raises(Incompatible, match=r"field b \(string\) was added without a default"):
            check("order.placed", third, [first, second], mode)


def test_a_subject_may_have_a_mode_of_its_own() -> None:
    """The general mode holds for the others."""
    registry = MemoryRegistry(mode="full")
    registry.set_mode("order.placed", "none")

    Serde(registry, [event(a=int)])
    Serde(registry, [event(a=str)])

    assert (registry.mode("order.placed"), registry.mode("other"), registry.mode()) == ("none", "full", "full")
    registry.set_mode("order.placed", None)
    with pytest.raises(Incompatible):
        Serde(registry, [event(a=float)])


def test_all_or_nothing_is_registered() -> None:
    """One schema that is refused keeps the others of its call out."""

    class Fine(Event):
        x: int

    registry = MemoryRegistry()
    Serde(registry, [event(a=int)])

    with pytest.raises(Incompatible):
        Serde(registry, [Fine, event(a=str)])

    assert registry.subjects() == ["order.placed"]


@formats
def test_a_new_version_needs_steps_from_the_older_ones(kind: Format) -> None:
    """Any change is allowed by a new version, if what is in the log can be raised to it; else the field is named."""
    registry = MemoryRegistry()
    Serde(registry, [event(total=str)], format=kind)
    new = event(2, total=int)

    with pytest.raises(UpcastMissing, match=r"field total was string, is long .*add @Placed\.upcast\(from_version=1\)"):
        Serde(registry, [new], format=kind)
    assert len(registry.versions("order.placed")) == 1

    @new.upcast(from_version=1)
    def _(old: Mapping[str, Any]) -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction]
        return {"total": int(old["total"])}

    Serde(registry, [new], format=kind)
    assert [each.schema.version for each in registry.versions("order.placed")] == [1, 2]


def test_an_old_class_that_is_kept_needs_no_steps() -> None:
    """It reads its own data."""
    registry: Registry = MemoryRegistry()
    old, new = event(total=str), event(2, total=int)
    Serde(registry, [old])

    Serde(registry, [old, new])


def test_a_default_made_by_a_function_is_none() -> None:
    """Old data would get another value at each read."""
    registry = MemoryRegistry()
    Serde(registry, [event(a=int)])

    with pytest.raises(Incompatible, match=r"field id \(string\) was added without a default"):
        Serde(registry, [event(a=int, id=(str, Field(default_factory=lambda: "x")))])


NAMES = st.sampled_from("abc")
LEAVES: st.SearchStrategy[Any] = st.sampled_from(["long", "double", "string", "boolean", "int", "float"])


def _enums(names: str) -> st.SearchStrategy[Any]:
    symbols = st.lists(st.sampled_from(["X", "Y", "Z"]), min_size=1, unique=True)
    return symbols.map(lambda found: {"type": "enum", "name": names, "symbols": found})


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        inner.map(lambda items: {"type": "array", "items": items}),
        inner.map(lambda values: {"type": "map", "values": values}),
        LEAVES.map(lambda member: ["null", member]),
    )


TYPES: st.SearchStrategy[Any] = st.recursive(LEAVES, _containers, max_leaves=3)


@st.composite
def records(draw: st.DrawFn) -> Any:
    """An Avro record with a few fields of any type."""
    fields: list[dict[str, Any]] = []
    for name in draw(st.lists(NAMES, unique=True)):
        kind = draw(TYPES | _enums(f"E_{name}"))
        default = {"default": 1} if kind in ("long", "double", "int", "float") and draw(st.booleans()) else {}
        fields.append({"name": name, "type": kind, **default})
    return {"type": "record", "name": "order.placed", "sagalog.version": 1, "fields": fields}


@given(records(), records())
@settings(deadline=None, max_examples=300, print_blob=True)
def test_what_is_called_compatible_is_read_by_another_implementation(old: Any, new: Any) -> None:
    """fastavro resolves every value of the old schema to the new one where no problem is found."""
    if problems(Schema.parse("avro", json.dumps(new)), Schema.parse("avro", json.dumps(old)), "backward"):
        return

    writer, reader = fastavro.parse_schema(old), fastavro.parse_schema(new)
    for value in fastavro.utils.generate_many(writer, 5):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, writer, value)
        fastavro.schemaless_reader(io.BytesIO(out.getvalue()), writer, reader)
