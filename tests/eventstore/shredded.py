"""A service with personal data: a store, an aggregate, a view, and a command that ends as a dead letter."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict

from consumers import Service, Table, View, on
from eventstore import Aggregate, EventStore, decide, evolve
from schemas import Command, Event, Personal, Reply, personal

ADA = "Ada King of Lovelace"


class CustomerRegistered(Event, name="shredded.registered"):
    customer_id: str
    name: Personal[str] = personal(subject="customer_id")
    born: Personal[date] | None = personal(subject="customer_id", default=None)


class Welcome(Reply):
    customer_id: str
    name: Personal[str] = personal(subject="customer_id")


class Register(Command[Welcome], to="shredded", key="customer_id"):
    customer_id: str
    name: Personal[str] = personal(subject="customer_id")


class Fail(Command[None], to="shredded", key="customer_id"):
    customer_id: str
    name: Personal[str] = personal(subject="customer_id")


class Customer(Aggregate[CustomerRegistered], name="shredded"):
    name: Personal[str] | None = None

    @decide
    def register(self, command: Register) -> Welcome:
        self.record(CustomerRegistered(customer_id=command.customer_id, name=command.name))
        return Welcome(customer_id=command.customer_id, name=command.name)

    @decide
    def fail(self, command: Fail) -> None:
        raise ArithmeticError("it cannot be done")

    @evolve
    def registered(self, event: CustomerRegistered) -> None:
        self.name = event.name


class Row(BaseModel):
    model_config = ConfigDict(frozen=True)
    name: Personal[str]


class Names(View, topics=[Customer], version=1):
    by_id: Table[str, Row]

    @on
    def registered(self, event: CustomerRegistered) -> None:
        self.by_id[event.customer_id] = Row(name=event.name)


def store(name: str, log: str | None = None) -> EventStore[CustomerRegistered]:
    """A store of customers."""
    return EventStore[CustomerRegistered](name, events=[CustomerRegistered], log=log)


def service(log: str, customers: EventStore[CustomerRegistered]) -> Service:
    """All of it."""
    return Service("shredded", components=[Customer, customers, Names], log=log, state="memory://")


def ada(subject: str) -> CustomerRegistered:
    """What she tells when she registers."""
    return CustomerRegistered(customer_id=subject, name=Personal(ADA), born=Personal(date(1815, 12, 10)))
