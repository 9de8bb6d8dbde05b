"""What most tests run: a hotel and a seat at once, insurance for some, a payment that decides, a mail."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel

from consumers.retry import Retry
from sagas import Saga, condition, parallel, result, step, when
from schemas import Command, Message, Metadata, Refusal, Reply, Undo
from tests.sagas.world import Participant


class Trip(BaseModel):
    trip_id: str
    city: str = "Rome"
    vip: bool = False


class Ticket(BaseModel):
    reference: str


class HotelBooked(Reply):
    ref: str


class SoldOut(Refusal):
    city: str


class BookHotel(Command[HotelBooked, SoldOut], to="hotels", key="trip_id"):
    trip_id: str
    city: str


class CancelHotel(Command[None], to="hotels", key="booking"):
    booking: str


class SeatBooked(Reply):
    ref: str


class BookSeat(Command[SeatBooked, SoldOut], to="seats", key="trip_id"):
    trip_id: str


class Charged(Reply):
    receipt: str


class Declined(Refusal):
    reason: str


class Charge(Command[Charged, Declined], to="payments", key="trip_id"):
    trip_id: str
    reference: str


class Insure(Command[None, Declined], to="insurance", key="trip_id"):
    trip_id: str


class SendMail(Command[None], to="mail", key="trip_id"):
    trip_id: str
    text: str


class BookTrip(Saga[Trip, Ticket], name="book_trip", version=2, key="trip_id", deadline=timedelta(hours=2)):
    @step(timeout=timedelta(seconds=30), retry=Retry(attempts=3))
    def hotel(self) -> BookHotel:
        return BookHotel(trip_id=self.input.trip_id, city=self.input.city)

    @hotel.undo
    def _(self, did: BookHotel, reply: HotelBooked | None) -> CancelHotel:
        return CancelHotel(booking=reply.ref if reply else f"of {did.trip_id}")

    @step(undo=Undo)
    def seat(self) -> BookSeat:
        return BookSeat(trip_id=self.input.trip_id)

    @condition
    def vip(self) -> bool:
        return self.input.vip

    @step(undo=Undo, optional=True)
    def insure(self) -> Insure:
        return Insure(trip_id=self.input.trip_id)

    @step(pivot=True)
    def pay(self) -> Charge:
        return Charge(trip_id=self.input.trip_id, reference=self.hotel.ref)

    @step
    def mail(self) -> SendMail:
        return SendMail(trip_id=self.input.trip_id, text=self.seat.ref)

    @result
    def ticket(self) -> Ticket:
        return Ticket(reference=self.pay.receipt)

    flow = parallel(hotel, seat) >> when(vip, insure) >> pay >> mail


def answers(message: Message, metadata: Metadata) -> Message | None:
    """Participants that always do what is asked."""
    match message:
        case BookHotel():
            return HotelBooked(ref=f"H-{message.trip_id}")
        case BookSeat():
            return SeatBooked(ref=f"S-{message.trip_id}")
        case Charge():
            return Charged(receipt=f"R-{message.reference}")
        case _:
            return None


def everybody(**others: Participant) -> dict[str, Participant]:
    """All participants, some of them replaced."""
    return {name: others.get(name, answers) for name in ("hotels", "seats", "payments", "insurance", "mail")}
