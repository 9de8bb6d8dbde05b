"""Events, an aggregate, and a store of them."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import TypeVar

from eventstore.aggregate import Aggregate, evolve
from eventstore.store import EventStore
from schemas import Event

T = TypeVar("T")


class Opened(Event, name="account.opened"):
    owner: str


class Deposited(Event, name="account.deposited"):
    cents: int


class Closed(Event, name="account.closed"):
    pass


class Account(Aggregate[Opened | Deposited], name="account"):
    owner: str = ""
    cents: int = 0

    @evolve
    def opened(self, event: Opened) -> None:
        self.owner = event.owner

    @evolve
    def deposited(self, event: Deposited) -> None:
        self.cents += event.cents


def accounts(log: str = "memory://", partitions: int | None = None) -> EventStore[Opened | Deposited]:
    """A store that is used alone."""
    return EventStore[Opened | Deposited]("accounts", events=[Opened, Deposited], log=log, partitions=partitions)


def deposits(*cents: int) -> list[Deposited]:
    """One event each."""
    return [Deposited(cents=each) for each in cents]


async def collect(items: AsyncIterable[T]) -> list[T]:
    """All of them."""
    return [item async for item in items]
