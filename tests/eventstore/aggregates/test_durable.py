"""Durable states as a user writes them, in a service; and what is refused when their module is imported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from consumers import Service
from eventstore import DecideContext, DurableState, InputFailed, decide
from eventstore.processor.port import NotKnownHere
from eventstore.state.errors import StateUndecodable
from schemas import Command, Refusal, Reply
from schemas.definition import DefinitionError
from tests.waiting import eventually_async


class Stand(Reply, name="test.durable.stand"):
    visits: int
    pages: list[str]


class Closed(Refusal, name="test.durable.closed"):
    pass


class Visit(Command[Stand, Closed], to="site", key="site", name="test.durable.visit"):
    site: str
    page: str
    then_fail: bool = False
    then_refuse: bool = False


class Look(Command[Stand], to="site", key="site", name="test.durable.look"):
    site: str


class Close(Command[None], to="site", key="site", name="test.durable.close"):
    """Refuse visits, and forget the site after a while."""

    site: str
    for_ms: int


class Drop(Command[None], to="site", key="site", name="test.durable.drop"):
    site: str


class Follow(Command[None], to="site", key="site", name="test.durable.follow"):
    site: str
    other: str


class Site(DurableState, name="site", partitions=2):
    """Visits of a site."""

    pages: list[str] = Field(default_factory=list[str])
    visits: int = 0
    is_closed: bool = False

    @decide
    def visit(self, command: Visit) -> Stand | Closed:
        if self.is_closed:
            return Closed()
        self.visits += 1
        self.pages.append(command.page)
        if command.then_fail:
            raise ValueError("as it was told")
        if command.then_refuse:
            return Closed()
        return Stand(visits=self.visits, pages=self.pages)

    @decide
    def look(self, command: Look) -> Stand:
        assert self.key == command.site
        return Stand(visits=self.visits, pages=self.pages)

    @decide
    def close(self, command: Close, context: DecideContext[Any]) -> None:
        self.is_closed = True
        context.schedule("drop", context.now + timedelta(milliseconds=command.for_ms), Drop(site=self.key))

    @decide
    def drop(self, command: Drop) -> None:
        self.delete()

    @decide
    def follow(self, command: Follow, context: DecideContext[Any]) -> None:
        context.send(Visit(site=command.other, page=f"from {self.key}"))


@pytest.fixture(params=["memory", "embedded"])
def url(request: pytest.FixtureRequest, unique: Callable[[str], str], tmp_path: Path) -> str:
    return f"memory://{unique('durable')}" if request.param == "memory" else f"embedded://{tmp_path / 'log'}"


async def test_a_state_outlives_its_service(url: str) -> None:
    """Changed in place, kept, and read by the next process."""
    for number in range(1, 4):
        async with Service("s", components=[Site], log=url) as service:
            stand = await service.ask(Visit(site="a", page=f"p{number}"))
            assert stand == Stand(visits=number, pages=[f"p{n}" for n in range(1, number + 1)])


async def test_many_callers_at_once(url: str) -> None:
    """Each is answered with what it did; ids make repeats harmless (K8)."""
    async with Service("s", components=[Site], log=url) as service:
        answers = await asyncio.gather(
            *(service.ask(Visit(site="a", page="p"), id=f"visit {n % 50}") for n in range(100))
        )

        assert sorted({answer.visits for answer in answers if isinstance(answer, Stand)}) == list(range(1, 51))
        assert (await service.ask(Look(site="a"))).visits == 50


async def test_a_handler_that_fails_or_refuses_leaves_the_state_as_it_was(url: str) -> None:
    """K7, P1: also its lists, which were changed in place, and whatever came before it in the batch."""
    async with Service("s", components=[Site], log=url) as service:
        visits = [service.ask(Visit(site="a", page=f"p{n}", then_fail=n == 2, then_refuse=n == 4)) for n in range(6)]
        results = await asyncio.gather(*visits, return_exceptions=True)

        failed = {n: str(result) for n, result in enumerate(results) if isinstance(result, InputFailed)}
        assert failed.keys() == {2, 4}
        assert "as it was told" in failed[2]
        assert "RefusedAfterChanging" in failed[4]
        assert await service.ask(Look(site="a")) == Stand(visits=4, pages=["p0", "p1", "p3", "p5"])


async def test_timers_sends_and_deletion(url: str) -> None:
    """What a decision of an aggregate can do, that of a durable state can, too."""
    async with Service("s", components=[Site], log=url) as service:
        await service.ask(Follow(site="a", other="b"))
        await eventually_async(lambda: _visits(service, "b", 1))
        await service.ask(Close(site="b", for_ms=300))
        assert await service.ask(Visit(site="b", page="late")) == Closed()
        await eventually_async(lambda: _visits(service, "b", 0))
        assert await service.ask(Visit(site="b", page="new")) == Stand(visits=1, pages=["new"])


async def _visits(service: Service, site: str, count: int) -> bool:
    return (await service.ask(Look(site=site))).visits == count


def test_a_state_of_an_older_version_is_read_without_what_is_gone() -> None:
    """Fields that are gone are left out, new ones have their defaults; that of a newer version waits (K7)."""

    class Old(DurableState, name="evolving", version=1):
        kept: int = 0
        gone: int = 0

    class New(DurableState, name="evolving", version=2):
        kept: int = 0
        added: str = "default"

    written = Old.__processor__.encode_state(Old(kept=1, gone=2))

    assert New.__processor__.decode_state("k", written) == New(kept=1)
    with pytest.raises(NotKnownHere, match="has version 2, this code 1"):
        Old.__processor__.decode_state("k", New.__processor__.encode_state(New()))


def test_a_state_that_does_not_fit_its_class_is_named() -> None:
    """A type was changed without another name for the field: nothing is lost, and the message says the way out."""

    class Before(DurableState, name="changing"):
        amount: str = ""

    class After(DurableState, name="changing"):
        amount: int = 0

    with pytest.raises(StateUndecodable, match="the state of 'k' of changing cannot be read"):
        After.__processor__.decode_state("k", Before.__processor__.encode_state(Before(amount="much")))


def test_mistakes_are_refused_at_import_with_their_line() -> None:
    """A field without a default, a hidden name, an unknown option, a version that is none, an evolve."""
    with pytest.raises(DefinitionError, match=r"test_durable\.py:\d+: Bare\.field has no default"):

        class Bare(DurableState):  # pyright: ignore[reportUnusedClass]
            field: int

    with pytest.raises(DefinitionError, match=r"Hidden\.delete hides"):

        class Hidden(DurableState):  # pyright: ignore[reportUnusedClass]
            delete: int = 0  # type: ignore[assignment] # that is the mistake

    with pytest.raises(DefinitionError, match="Optional has no option nme="):

        class Optional(DurableState, nme="x"):  # pyright: ignore[reportUnusedClass]
            pass

    with pytest.raises(DefinitionError, match="version=0 is no whole number"):

        class Zeroth(DurableState, version=0):  # pyright: ignore[reportUnusedClass]
            pass


class Nested(BaseModel):
    """What a state may hold."""

    at: bytes
    rate: float


def test_what_a_state_holds_comes_back() -> None:
    """Bytes, infinities, nested models, optional ones."""

    class Holder(DurableState):
        nested: Nested | None = None
        rates: dict[str, float] = Field(default_factory=dict[str, float])

    holder = Holder(rates={"a": float("inf")})
    assert Holder.__processor__.decode_state("k", Holder.__processor__.encode_state(holder)) == holder
    assert Holder.__durable__ == "holder"
