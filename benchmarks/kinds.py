"""A service with one component of each kind, whose idle memory is measured."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from benchmarks.commands import Account, Deposit, Deposited
from benchmarks.setting import RUN
from benchmarks.trips import BookTrip, agents
from sagalog import Component, EventStore, Reactor, Service, Table, View, Worker, on

store = EventStore(f"bench_{RUN}_ledger", events=[Deposited])
mailer = Worker(f"bench-{RUN}-mailer", topics=[store])
reactor = Reactor(f"bench-{RUN}-reactor", topics=[store])


class Total(BaseModel, frozen=True):
    """A row."""

    cents: int = 0


class Totals(View, topics=[store]):
    """A view."""

    totals: Table[str, Total]

    @on
    def deposited(self, event: Deposited) -> None:
        """Add it."""
        self.totals["all"] = Total(cents=event.cents)


@mailer.on
async def mail(event: Deposited) -> None:
    """Nothing."""


@reactor.on
def react(event: Deposited) -> Iterator[Deposit]:
    """One command."""
    yield Deposit(account="a", cents=event.cents)


def service(*, log: str, state: str) -> Service:
    """An aggregate, a store, a view, a worker, a reactor, a participant and a saga."""
    components: list[Component] = [Account, store, Totals, mailer, reactor, agents, BookTrip]
    return Service(f"bench-{RUN}", components=components, log=log, state=state)
