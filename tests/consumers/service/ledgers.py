"""A service with a store that others use: what the service and its callers import."""

from __future__ import annotations

from consumers import Service
from eventstore import Aggregate, EventStore, evolve
from schemas import Event


class Paid(Event, name="test.ledger.paid"):
    cents: int


class Balance(Aggregate[Paid], name="test.balance"):
    cents: int = 0

    @evolve
    def paid(self, event: Paid) -> None:
        self.cents += event.cents


Ledger = EventStore[Paid]


def new_ledger() -> Ledger:
    """The store, as code of another process would define it; an object runs in one place at a time."""
    return EventStore("ledger", events=[Paid], partitions=2)


ledger = new_ledger()
service = Service("bank-of-ledgers", components=[ledger])
