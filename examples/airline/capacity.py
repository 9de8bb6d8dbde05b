"""What is finite: seats per flight, rooms per airport. Each is an aggregate that never gives out more than it has."""

from __future__ import annotations

from examples.airline.messages import (
    Booked,
    BookRooms,
    FlightFull,
    Held,
    HoldSeats,
    NoRooms,
    OpenSeats,
    RoomsBooked,
    RoomsCancelled,
    SeatsHeld,
    SeatsOpened,
    SeatsReleased,
)
from sagalog import Aggregate, Undo, decide, evolve

ROOMS_PER_AIRPORT = 4_500


class Seats(Aggregate[SeatsOpened | SeatsHeld | SeatsReleased], name="seats"):
    """The seats of one flight that are left for the travellers of cancelled ones."""

    seats: int = 0
    held: int = 0

    @decide
    def open(self, command: OpenSeats) -> None:
        if self.seats == 0:
            self.record(SeatsOpened(seats=command.seats))

    @decide
    def hold(self, command: HoldSeats) -> Held | FlightFull:
        left = self.seats - self.held
        if command.travellers > left:
            return FlightFull(flight=command.flight, left=left)
        self.record(SeatsHeld(party=command.party, travellers=command.travellers))
        return Held(left=left - command.travellers)

    @decide
    def release(self, command: Undo[HoldSeats]) -> None:
        self.record(SeatsReleased(party=command.did.party, travellers=command.did.travellers))

    @evolve
    def on_opened(self, event: SeatsOpened) -> None:
        self.seats = event.seats

    @evolve
    def on_held(self, event: SeatsHeld) -> None:
        self.held += event.travellers

    @evolve
    def on_released(self, event: SeatsReleased) -> None:
        self.held -= event.travellers


class Hotels(Aggregate[RoomsBooked | RoomsCancelled], name="hotels"):
    """The rooms around one airport."""

    booked: int = 0

    @decide
    def book(self, command: BookRooms) -> Booked | NoRooms:
        left = ROOMS_PER_AIRPORT - self.booked
        if command.rooms > left:
            return NoRooms(airport=command.airport, left=left)
        self.record(RoomsBooked(party=command.party, rooms=command.rooms))
        return Booked(voucher=f"{command.airport}/{command.party}")

    @decide
    def cancel(self, command: Undo[BookRooms]) -> None:
        self.record(RoomsCancelled(party=command.did.party, rooms=command.did.rooms))

    @evolve
    def on_booked(self, event: RoomsBooked) -> None:
        self.booked += event.rooms

    @evolve
    def on_cancelled(self, event: RoomsCancelled) -> None:
        self.booked -= event.rooms
