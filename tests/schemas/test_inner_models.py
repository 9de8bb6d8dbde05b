"""Models inside of messages: nothing that they hold is lost, and all that is written is read again."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from schemas import Event, FieldNotSupported, MemoryRegistry, Serde, Unencodable
from schemas.schema import Format
from tests.schemas.samples import Color


class Named(BaseModel):
    """A model that the tests below derive from."""

    name: str


class Titled(Named):
    title: str


class Open(BaseModel, extra="allow"):
    name: str


def _said(annotation: Any) -> type[Event]:
    class Said(Event):
        locals().update(__annotations__={"by": annotation})

    return Said


def _read(event: Event) -> Any:
    serde = Serde(MemoryRegistry())
    return serde.decode(serde.encode(event))


@pytest.mark.parametrize("annotation", [Open, list[Open], dict[str, Open | None], Named | Open], ids=str)
def test_avro_refuses_a_model_that_keeps_what_it_does_not_declare(annotation: Any) -> None:
    """Such fields would be lost: refused by name when the schema is derived. JSON keeps them."""

    said = _said(annotation)

    with pytest.raises(
        FieldNotSupported, match=r'Said\.by has no Avro form: Open has extra="allow", and Avro would lose'
    ):
        Serde(MemoryRegistry(), [said])
    Serde(MemoryRegistry(), [said], format="json")


MORE = Open.model_validate({"name": "x", "more": 1, "inner": {"more": 2}})


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Open, MORE),
        (list[Open], [MORE]),
        (dict[str, Open | None], {"a": MORE}),
        (Annotated[tuple[Open, ...], Field(min_length=1)], (MORE,)),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_raised", [False, True])
def test_json_keeps_what_it_does_not_declare(annotation: Any, value: Any, is_raised: bool) -> None:
    """Also where the schema of the writer is another one: what was beside the fields of inner models was lost there."""

    def version(number: int, **more: Any) -> Any:
        class Kept(Event, name="kept", version=number):
            locals().update(more, __annotations__={"by": annotation} | dict.fromkeys(more, str))

        return Kept

    registry, new = MemoryRegistry(), version(2 if is_raised else 1, added="default")
    if is_raised:
        new.upcast(from_version=1)(_unchanged)
    written = Serde(registry, format="json").encode(version(1)(by=value))

    assert Serde(registry, [new], format="json").decode(written) == new(by=value)


@pytest.mark.parametrize("annotation", [Named, Named | Color | None, list[Named]], ids=str)
def test_avro_refuses_an_instance_of_a_subclass(annotation: Any) -> None:
    """Its fields would be lost: an error names both classes, and the base itself is written."""
    made, serde = _said(annotation), Serde(MemoryRegistry())

    def holding(value: Named) -> Event:
        return made.model_validate({"by": [value] if annotation == list[Named] else value})

    with pytest.raises(Unencodable, match=r"a Titled, declared is Named.*declare Named \| Titled"):
        serde.encode(holding(Titled(name="x", title="y")))
    assert serde.decode(serde.encode(holding(Named(name="x")))) == holding(Named(name="x"))


@pytest.mark.parametrize("annotation", [Named | Titled, Titled | Named])
def test_a_union_may_hold_a_class_and_its_subclass(annotation: Any) -> None:
    """The exact class decides."""
    made = _said(annotation)

    for value in (Named(name="x"), Titled(name="x", title="y")):
        event = made.model_validate({"by": value})
        assert repr(_read(event)) == repr(event)


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    pair: tuple[int, str]
    colors: set[Color]


def _unchanged(fields: Mapping[str, Any]) -> Mapping[str, object]:
    return fields


@pytest.mark.parametrize("is_strict", [True, False])
@pytest.mark.parametrize("is_raised", [True, False])
@pytest.mark.parametrize("kind", ["avro", "json"])
def test_strict_models_are_read_again(kind: Format, is_strict: bool, is_raised: bool) -> None:
    """What a strict class takes from Python is no list and no text: what was written is read all the same."""

    def version(number: int) -> type[Event]:
        class Kept(Event, name="kept", version=number):
            model_config = ConfigDict(strict=is_strict)

            color: Annotated[Color, Field(strict=True)]
            tags: Annotated[frozenset[str], Field(strict=True)]
            inner: Strict
            inners: tuple[Strict | None, ...]
            either: Strict | Named
            levels: dict[str, tuple[Decimal, ...]]

        return Kept

    strict = Strict(pair=(1, "a"), colors={Color.RED})
    old, new = version(1), version(2)
    new.upcast(from_version=1)(_unchanged)
    values = {"color": Color.RED, "tags": frozenset({"a"}), "inner": strict, "inners": (strict, None), "either": strict}
    event = old.model_validate({**values, "levels": {"a": (Decimal(1),)}})
    registry = MemoryRegistry()
    data = Serde(registry, [old], format=kind).encode(event)

    read = Serde(registry, [new if is_raised else old], format=kind).decode(data)

    assert repr(read) == repr(event)
