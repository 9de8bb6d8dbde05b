"""Bytes of a state folder that changed on disk: no answer is made of what is left, and the folder mends itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from consumers import Service, Table, View, on
from eventstore import ANY, Aggregate, EventStore, decide, evolve
from eventstore.component import Component
from eventstore.errors import EventStoreError
from schemas import Command, Event, Reply
from tests.damage import flip_a_bit
from tests.waiting import eventually_async

DEPOSITS = 400
Make: TypeAlias = Callable[..., Service]


class Deposited(Event, name="test.damaged.deposited"):
    cents: int
    note: str = ""


class Left(Reply):
    cents: int


class Deposit(Command[Left], to="damaged-accounts", key="account", name="test.damaged.deposit"):
    account: str
    cents: int = 1


class Account(Aggregate[Deposited], name="damaged-accounts", partitions=1):
    balance: int = 0

    @decide
    def deposit(self, command: Deposit) -> Left:
        self.record(Deposited(cents=command.cents, note=random.randbytes(50).hex()))
        return Left(cents=self.balance)

    @evolve
    def deposited(self, event: Deposited) -> None:
        self.balance += event.cents


NOTES = EventStore("damaged-notes", events=[Deposited], partitions=1)


class Notes(View, topics=[NOTES], version=1):
    rows: Table[int, str]

    @on
    def deposited(self, event: Deposited) -> None:
        self.rows[event.cents] = event.note


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A service with these components and its state in a folder."""

    def service(*parts: Component) -> Service:
        return Service("damaged", components=parts, log=f"embedded://{tmp_path}/log", state=f"{tmp_path}/state")

    return service


async def test_an_aggregate_never_decides_on_a_part_of_its_events(make: Make, tmp_path: Path) -> None:
    """K13: the rows are made again of the log, without anybody's help, and the next answer is right."""
    async with make(Account) as service:
        for _ in range(DEPOSITS):
            await service.ask(Deposit(account="ann"))
    async with make(Account):  # the rows are in tables now
        pass
    assert flip_a_bit(tmp_path / "state")

    async with make(Account) as service:
        answers = [await service.ask(Deposit(account="ann")) for _ in range(3)]

    assert answers == [Left(cents=DEPOSITS + number) for number in (1, 2, 3)]


async def test_a_view_is_made_again_when_a_reader_finds_the_damage(make: Make, tmp_path: Path) -> None:
    """A scan gives all rows or an error, never some; the view mends itself although nothing is written to it."""
    async with make(Notes, NOTES) as service:
        for first in range(0, 4 * DEPOSITS, DEPOSITS):
            events = [
                Deposited(cents=number, note=random.randbytes(50).hex()) for number in range(first, first + DEPOSITS)
            ]
            await NOTES.append("s", events, expected=ANY)
        await service.settled()
    async with make(Notes, NOTES):
        pass
    assert flip_a_bit(tmp_path / "state")

    async with make(Notes, NOTES) as service:

        async def rows() -> int:
            return len([row async for row in service.table(Notes.rows).scan()])

        with pytest.raises(EventStoreError, match="block checksum mismatch"):
            await rows()

        async def are_all() -> bool:
            try:
                return await rows() == 4 * DEPOSITS
            except EventStoreError:
                return False

        await eventually_async(are_all, 20)
