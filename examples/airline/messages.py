"""What the airline's services tell each other."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from sagalog import Command, Event, Refusal, Reply


class Alternative(BaseModel, frozen=True):
    """A later flight of the same route."""

    flight: str
    departs: datetime


class FlightScheduled(Event, name="flight.scheduled"):
    origin: str
    destination: str
    carrier: str
    departs: datetime
    seats: int
    sold: int


class FlightDeparted(Event, name="flight.departed"):
    carrier: str
    origin: str
    destination: str
    delay_minutes: int


class FlightArrived(Event, name="flight.arrived"):
    carrier: str
    origin: str
    destination: str
    delay_minutes: int


class FlightCancelled(Event, name="flight.cancelled"):
    flight: str
    origin: str
    departs: datetime
    sold: int
    later: list[Alternative]


class SeatsOpened(Event, name="seats.opened"):
    seats: int


class SeatsHeld(Event, name="seats.held"):
    party: str
    travellers: int


class SeatsReleased(Event, name="seats.released"):
    party: str
    travellers: int


class Held(Reply):
    left: int


class FlightFull(Refusal):
    flight: str
    left: int


class OpenSeats(Command[None], to="seats", key="flight"):
    """Offer the seats of a flight that were not sold."""

    flight: str
    seats: int


class HoldSeats(Command[Held, FlightFull], to="seats", key="flight"):
    flight: str
    party: str
    travellers: int


class RoomsBooked(Event, name="rooms.booked"):
    party: str
    rooms: int


class RoomsCancelled(Event, name="rooms.cancelled"):
    party: str
    rooms: int


class Booked(Reply):
    voucher: str


class NoRooms(Refusal):
    airport: str
    left: int


class BookRooms(Command[Booked, NoRooms], to="hotels", key="airport"):
    airport: str
    party: str
    rooms: int


class Settled(Reply):
    receipt: str


class Declined(Refusal):
    why: str


class Settle(Command[Settled, Declined], to="settlement", key="party"):
    """One signed amount: above zero a charge, below zero a refund."""

    party: str
    cents: int


class SendNote(Command[None], to="notices", key="party"):
    party: str
    text: str
