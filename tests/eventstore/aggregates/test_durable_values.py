"""What a durable state may hold: what is read again as what it is. With anything else no successor could serve."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, PrivateAttr

from consumers import Service
from eventstore import DurableState, InputFailed, decide
from schemas import Command, Reply, Unencodable
from schemas.definition import DefinitionError


class Cash(BaseModel):
    cents: int = 0


class Card(BaseModel):
    cents: int = 0


class Gold(Card):
    points: int = 0


class Rate(BaseModel):
    per_cent: float = 0.0


class Open(BaseModel, extra="allow"):
    name: str = ""


class Holder(DurableState, name="test_holder"):
    count: int = 0
    level: Annotated[int, Field(ge=0)] = 0
    kind: Literal["a", "b"] = "a"
    card: Card = Card()
    paid: Cash | Card | None = None
    rate: Rate | None = None
    open: Open | None = None
    at: datetime | None = None
    renamed: int = Field(default=0, alias="other")
    anything: Any = None

    _seen: int = PrivateAttr(default=0)


ODD = timezone(timedelta(hours=1, seconds=1))

UNKEPT: dict[str, tuple[str, Any]] = {
    "a half in a whole number": ("count", 2.5),
    "text for a number": ("count", "5"),
    "nothing": ("count", None),
    "below the bound": ("level", -1),
    "another literal": ("kind", "c"),
    "a subclass": ("card", Gold()),
    "one that looks like another": ("paid", Card(cents=4)),
    "no number, inside": ("rate", Rate(per_cent=float("nan"))),
    "an offset with seconds": ("at", datetime(2026, 1, 1, tzinfo=ODD)),
    "what only Python has": ("anything", {1: 2}),
}

KEPT: dict[str, tuple[str, Any]] = {
    "a whole float": ("count", 10 / 2),
    "fields beside the declared ones": ("open", Open.model_validate({"name": "x", "more": 1})),
    "an alias": ("renamed", 3),
    "what is private": ("_seen", 3),
}


@pytest.fixture(autouse=True)
def _pydantic_may_warn() -> Iterator[None]:
    """Of values that are not what is declared, as it does for users."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Pydantic serializer warnings")
        yield


@pytest.mark.parametrize("what", UNKEPT)
def test_what_would_come_back_as_something_else_is_refused_by_name(what: str) -> None:
    """Some of it stopped the partition for good when its next owner read it, the rest was changed silently."""
    field, value = UNKEPT[what]
    holder = Holder()
    setattr(holder, field, value)

    with pytest.raises(Unencodable, match=rf"^Holder cannot be encoded: .*\b{field}\b"):
        Holder.__processor__.encode_state(holder)


@pytest.mark.parametrize("what", KEPT)
def test_what_comes_back_is_kept(what: str) -> None:
    """Also what is of another type than was declared, and equal."""
    field, value = KEPT[what]
    holder = Holder(rate=Rate(per_cent=1.5))
    setattr(holder, field, value)

    back = Holder.__processor__.decode_state("k", Holder.__processor__.encode_state(holder))

    assert back.model_dump() == holder.model_dump()


def test_what_a_model_keeps_beside_its_fields_outlives_a_new_version() -> None:
    """Only fields that the class itself has no longer are left out."""

    class Next(DurableState, name="test_holder", version=2):
        open: Open | None = None

    holder = Holder(open=Open.model_validate({"name": "x", "more": 1}))

    assert Next.__processor__.decode_state("k", Holder.__processor__.encode_state(holder)) == Next(open=holder.open)


def test_defaults_that_could_not_be_kept_are_refused_at_import() -> None:
    """Every new key would start from them."""
    with pytest.raises(
        DefinitionError, match=r"test_durable_values\.py:\d+: the defaults of Bad cannot be encoded: .*n:"
    ):

        class Bad(DurableState):  # pyright: ignore[reportUnusedClass]
            n: int = None  # type: ignore[assignment] # that is the mistake


class Mean(Reply, name="test.values.mean"):
    mean: float


class Note(Command[Mean], to="test_means", key="key", name="test.values.note"):
    key: str
    amount: int


class Means(DurableState, name="test_means", partitions=1):
    sum: int = 0
    count: int = 0
    mean: int = 0

    @decide
    def note(self, command: Note) -> Mean:
        self.sum += command.amount
        self.count += 1
        self.mean = self.sum / self.count  # type: ignore[assignment] # the mistake of a user
        return Mean(mean=self.mean)


async def test_a_value_of_another_type_fails_its_command_alone(tmp_path: Any) -> None:
    """The successor could not serve the partition any more: one command had stopped all."""
    url = f"embedded://{tmp_path / 'log'}"
    async with Service("s", components=[Means], log=url) as service:
        assert await service.ask(Note(key="a", amount=2)) == Mean(mean=2)
        with pytest.raises(InputFailed, match=r"Unencodable.*mean"):
            await service.ask(Note(key="a", amount=3))

    async with Service("s", components=[Means], log=url) as service:
        assert await service.ask(Note(key="b", amount=4)) == Mean(mean=4)
        assert await service.ask(Note(key="a", amount=4)) == Mean(mean=3)
