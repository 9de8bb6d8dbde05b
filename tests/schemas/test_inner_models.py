"""Models inside of messages: nothing that they hold is lost, and all that is written is read again."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from schemas import Event, MemoryRegistry, Serde
from schemas.schema import Format
from tests.schemas.samples import Color


class Named(BaseModel):
    """A model that the tests below derive from."""

    name: str


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
