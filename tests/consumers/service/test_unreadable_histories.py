"""K7: an entity whose events this code cannot fold holds up nobody else: newer code wrote them, or an upcast fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from consumers import Client, Service, dlq
from eventstore import Aggregate, AskTimedOut, InputFailed, decide, evolve
from eventstore.log import open_log
from eventstore.processor.entities import Entities
from schemas import Command, Event, Reply, UnknownType


class Bought(Event, name="test.histories.bought"):
    credits: int


class Credits(Reply):
    credits: int


class Buy(Command[Credits], to="histories", key="member", name="test.histories.buy"):
    member: str
    credits: int = 1


class Members(Aggregate[Bought], name="histories", partitions=1):
    total: int = 0

    @decide
    def buy(self, command: Buy) -> Credits:
        self.record(Bought(credits=command.credits))
        return Credits(credits=self.total)

    @evolve
    def bought(self, event: Bought) -> None:
        self.total += event.credits


def raised(step: Callable[[Mapping[str, Any]], Mapping[str, object]]) -> type[Aggregate[Any]]:
    """The same with another version of the event, which holds cents."""

    class Paid(Event, name="test.histories.bought", version=2):
        cents: int

    Paid.upcast(from_version=1)(step)

    class Payers(Aggregate[Paid], name="histories", partitions=1):
        total: int = 0

        @decide
        def buy(self, command: Buy) -> Credits:
            self.record(Paid(cents=100 * command.credits))
            return Credits(credits=self.total // 100)

        @evolve
        def paid(self, event: Paid) -> None:
            self.total += event.cents

    return Payers


def to_cents(old: Mapping[str, Any]) -> Mapping[str, object]:
    """What was meant."""
    return {"cents": 100 * old["credits"]}


def mistaken(old: Mapping[str, Any]) -> Mapping[str, object]:
    """A slip of the pen."""
    return {"cents": 100 * old["credit"]}


@pytest.fixture
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A log that outlives services."""
    return f"embedded://{tmp_path_factory.mktemp('histories')}/log"


async def test_commands_to_what_newer_code_wrote_wait_for_it(url: str) -> None:
    """After a rollback all others are served; who asks in the owner's process is told; nothing is lost or doubled."""
    async with Service("gym", components=[raised(to_cents)], log=url) as newer:
        await newer.ask(Buy(member="new"))

    async with Service("gym", components=[Members], log=url) as older:
        assert await older.ask(Buy(member="old")) == Credits(credits=1)
        async with Client(log=url) as client:
            with pytest.raises(AskTimedOut):
                await client.ask(Buy(member="new"), timeout=timedelta(seconds=1))
        with pytest.raises(InputFailed, match="UnknownType"):
            await older.ask(Buy(member="new"))
        assert await older.ask(Buy(member="old")) == Credits(credits=2)

    async with Service("gym", components=[raised(to_cents)], log=url) as newer:
        await newer.settled()
        assert await newer.ask(Buy(member="new")) == Credits(credits=3)
        assert await newer.ask(Buy(member="old")) == Credits(credits=3)


async def test_an_upcast_that_fails_fails_its_entity_alone(url: str) -> None:
    """The command is a dead letter, to be sent back when the upcast is mended."""
    async with Service("gym", components=[Members], log=url) as service:
        await service.ask(Buy(member="old"))

    async with Service("gym", components=[raised(mistaken)], log=url) as service:
        with pytest.raises(InputFailed, match="KeyError: 'credit'"):
            await service.ask(Buy(member="old"))
        assert await service.ask(Buy(member="new")) == Credits(credits=1)

    async with Service("gym", components=[raised(to_cents)], log=url) as service:
        assert len(dlq.redrive(open_log(url), dlq.ALL).done) == 1
        await service.settled()
        assert await service.ask(Buy(member="old")) == Credits(credits=3)


async def test_memory_that_is_short_says_nothing_of_the_entity(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop begins anew and decides: nothing is a dead letter."""
    async with Service("gym", components=[Members], log=url) as service:
        await service.ask(Buy(member="old"))

    failures = [MemoryError()]
    evolve_once: Any = vars(Entities)["_folded"]  # where folding would run out of it

    def short(*given: Any) -> Any:
        if failures:
            raise failures.pop()
        return evolve_once(*given)

    monkeypatch.setattr(Entities, "_folded", short)
    async with Service("gym", components=[Members], log=url) as service:
        assert await service.ask(Buy(member="old")) == Credits(credits=2)
    assert not list(dlq.find(open_log(url)))


class Priced(Reply, name=Credits.__type_name__, version=2):
    """Newer code's."""

    cents: int


@Priced.upcast(from_version=1)
def _(old: Mapping[str, Any]) -> Mapping[str, object]:
    return {"cents": 100 * old["credits"]}


class Purchase(Command[Priced], to="histories", key="member", name=Buy.__type_name__):
    member: str
    credits: int = 1


class Buyers(Aggregate[Bought], name="histories", partitions=1):
    """The members, as newer code has them."""

    total: int = 0

    @decide
    def buy(self, command: Purchase) -> Priced:
        self.record(Bought(credits=command.credits))
        return Priced(cents=100 * self.total)

    @evolve
    def bought(self, event: Bought) -> None:
        self.total += event.credits


async def test_who_cannot_read_an_answer_is_told_at_once(url: str) -> None:
    """K8: newer code did it. Neither who asks again nor anybody else waits for a time-out."""
    async with Service("gym", components=[Buyers], log=url) as newer:
        assert await newer.ask(Purchase(member="new"), id="once") == Priced(cents=100)

    async with Service("gym", components=[Members], log=url) as older:
        with pytest.raises(InputFailed, match="it was done before; its answer: this code has no"):
            await older.ask(Buy(member="new"), id="once")
        async with Client(log=url) as client:
            with pytest.raises(UnknownType):
                await client.ask(Buy(member="new"), id="once")
        assert await older.ask(Buy(member="old")) == Credits(credits=1)
