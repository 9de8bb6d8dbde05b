"""A small service for tests: an aggregate, a store, a reactor that links them, a view and a worker."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from consumers import Client, Reactor, Service, Table, View, Worker, on
from eventstore import Aggregate, EventStore, decide, evolve
from schemas import Command, Event, Refusal, Reply

NOTES_VARIABLE = "SAGALOG_TEST_NOTES"
LIMIT = 1_000_000


class Added(Event, name="test.tally.added"):
    counter: str
    amount: int


class Wanted(Event, name="test.wishes.wanted"):
    counter: str
    amount: int


class Sum(Reply):
    total: int


class TooMuch(Refusal):
    limit: int


class Add(Command[Sum, TooMuch], to="tally", key="counter"):
    counter: str
    amount: int = 1


class Explode(Command[None], to="tally", key="counter"):
    counter: str


class Counter(Aggregate[Added], name="tally"):
    total: int = 0

    @decide
    def add(self, command: Add) -> Sum | TooMuch:
        if self.total + command.amount > LIMIT:
            return TooMuch(limit=LIMIT)
        self.record(Added(counter=command.counter, amount=command.amount))
        return Sum(total=self.total)

    @decide
    def explode(self, command: Explode) -> None:
        raise ArithmeticError(f"{command.counter} is not to be touched")

    @evolve
    def added(self, event: Added) -> None:
        self.total += event.amount


class Line(BaseModel, frozen=True):
    total: int


wishes = EventStore("wishes", events=[Wanted])


class TallyTotals(View, topics=[Counter], version=1):
    by_counter: Table[str, Line]

    @on
    def added(self, event: Added) -> None:
        before = self.by_counter.get(event.counter)
        self.by_counter[event.counter] = Line(total=event.amount + (before.total if before else 0))


granting = Reactor("granting", topics=[wishes])


@granting.on
def grant(event: Wanted) -> Iterator[Command[Any, Any]]:
    yield Add(counter=event.counter, amount=event.amount)


noting = Worker("noting", topics=[wishes], concurrency=4)


@noting.on
async def note(event: Wanted) -> None:
    """Take a moment, then write a line into the file that the environment names, if it names one."""
    notes = os.environ.get(NOTES_VARIABLE)
    if notes:
        await asyncio.sleep(0.02)
        await asyncio.to_thread(_write, Path(notes), f"{event.counter} {event.amount}\n")


def _write(notes: Path, line: str) -> None:
    with notes.open("a") as file:
        file.write(line)


service = Service("tallies", components=[Counter, wishes, TallyTotals, granting, noting])
not_a_service = Client(name="front")


def fresh(
    name: str = "tallies", *, log: str | None = None, http: str = "127.0.0.1:0", standby: bool = False
) -> Service:
    """The same service once more; it runs once at a time in one process."""
    return Service(
        name, components=[Counter, wishes, TallyTotals, granting, noting], log=log, state="memory://", http=http,
        standby=standby,
    )  # fmt: skip
