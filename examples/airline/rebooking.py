"""Rebook a party of travellers, or leave no trace of it.

Parties are synthesised: the sold seats of a cancelled flight, divided by a fixed seed into parties of 4 to 24.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from zlib import crc32

from pydantic import BaseModel

from examples.airline.flights import flights
from examples.airline.messages import (
    Alternative,
    BookRooms,
    Declined,
    FlightCancelled,
    HoldSeats,
    SendNote,
    Settle,
    Settled,
)
from sagalog import Command, Participant, Reactor, Retry, Saga, Undo, condition, result, step, when

SMALLEST, LARGEST = 4, 24
FARE_CENTS = 9_000


class Party(BaseModel, frozen=True):
    """Travellers who stay together, and the flight that was chosen for them."""

    party: str
    travellers: int
    airport: str
    flight: str
    leaves_next_day: bool
    cents: int


class Rebooked(BaseModel):
    flight: str
    receipt: str


class Rebook(Saga[Party, Rebooked], name="rebook", key="party", deadline=timedelta(minutes=10)):
    """Seats, a hotel when it leaves the next day, one signed amount, a note."""

    @step(undo=Undo, timeout=timedelta(seconds=20), retry=Retry(attempts=10))
    def seats(self) -> HoldSeats:
        return HoldSeats(flight=self.input.flight, party=self.input.party, travellers=self.input.travellers)

    @condition
    def stays(self) -> bool:
        return self.input.leaves_next_day

    @step(undo=Undo, optional=True, timeout=timedelta(seconds=20), retry=Retry(attempts=10))
    def rooms(self) -> BookRooms:
        rooms = (self.input.travellers + 1) // 2
        return BookRooms(airport=self.input.airport, party=self.input.party, rooms=rooms)

    @step(pivot=True, timeout=timedelta(seconds=20))
    def settle(self) -> Settle:
        return Settle(party=self.input.party, cents=self.input.cents)

    @step(timeout=timedelta(seconds=20))
    def note(self) -> SendNote:
        bed = f", hotel {self.rooms.voucher}" if self.rooms else ""
        return SendNote(party=self.input.party, text=f"You leave with {self.input.flight}{bed}.")

    @result
    def rebooked(self) -> Rebooked:
        return Rebooked(flight=self.input.flight, receipt=self.settle.receipt)

    flow = seats >> when(stays, rooms) >> settle >> note


def parties(event: FlightCancelled) -> Iterator[Party]:
    """The parties of a cancelled flight, each with one of the later flights; always the same for one flight."""
    chance = random.Random(crc32(event.flight.encode()))
    left, number = event.sold, 0
    while left > 0:
        size = min(left, chance.randint(SMALLEST, LARGEST))
        chosen = chance.choice(event.later) if event.later else Alternative(flight="none", departs=event.departs)
        yield Party(
            party=f"{event.flight}/{number}",
            travellers=size,
            airport=event.origin,
            flight=chosen.flight,
            leaves_next_day=chosen.departs.date() != event.departs.date(),
            cents=FARE_CENTS * chance.randint(-2, 3) * size,
        )
        left, number = left - size, number + 1


rebooking = Reactor("rebooking", topics=[flights], commands=[type(Rebook.start(Party(
    party="any", travellers=0, airport="", flight="", leaves_next_day=False, cents=0)))])  # fmt: skip


@rebooking.on
def cancelled(event: FlightCancelled) -> Iterator[Command[Any, Any]]:
    for party in parties(event):
        yield Rebook.start(party)


settlement = Participant("settlement")


@settlement.on(idempotent=True)
async def settle(command: Settle) -> Settled | Declined:
    """Every fortieth party's bank says no."""
    if crc32(command.party.encode()) % 40 == 0:
        return Declined(why="the bank declined")
    return Settled(receipt=f"{command.cents / 100:+.2f} USD")


notices = Participant("notices")


@notices.on
async def note(command: SendNote) -> None:
    """A real one would send mail."""
