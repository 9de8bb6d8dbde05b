"""Every construct of the saga language in one definition, and what import refuses."""

from datetime import timedelta

from pydantic import BaseModel

from consumers.retry import Retry
from sagas import (
    Completed,
    Participant,
    Saga,
    SagaClient,
    Undone,
    child,
    condition,
    parallel,
    result,
    step,
    wait_for,
    when,
)
from sagas.client import Hosted
from schemas import Command, Event, Refusal, Reply, Undo


class Trip(BaseModel):
    trip_id: str
    city: str
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


class CancelHotel(Command[None], to="hotels", key="trip_id"):
    trip_id: str


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


class SendMail(Command[None], to="mail", key="trip_id"):
    trip_id: str
    text: str


class Insure(Command[None, Declined], to="insurance", key="trip_id"):
    trip_id: str


class Approved(Event, name="trip.approved"):
    by: str


class InsureTrip(Saga[Trip], name="insure_trip", key="trip_id"):
    @step(undo=Undo)
    def insure(self) -> Insure:
        return Insure(trip_id=self.input.trip_id)

    flow = insure


class BookTrip(Saga[Trip, Ticket], name="book_trip", version=2, key="trip_id", deadline=timedelta(hours=2)):
    @step(timeout=timedelta(seconds=30), retry=Retry(attempts=5))
    def hotel(self) -> BookHotel:
        return BookHotel(trip_id=self.input.trip_id, city=self.input.city)

    @hotel.undo
    def _(self, did: BookHotel) -> CancelHotel:
        return CancelHotel(trip_id=did.trip_id)

    @step(undo=Undo)
    def seat(self) -> BookSeat:
        return BookSeat(trip_id=self.input.trip_id)

    @condition
    def vip(self) -> bool:
        return self.input.vip

    approval = wait_for(Approved, timeout=timedelta(hours=1), optional=True)

    @child(InsureTrip, optional=True)
    def insure(self) -> Trip:
        return self.input

    @step(pivot=True)
    def pay(self) -> Charge:
        return Charge(trip_id=self.input.trip_id, reference=self.hotel.ref)

    @step
    def mail(self) -> SendMail:
        by = self.approval.by if self.approval else "nobody"
        return SendMail(trip_id=self.input.trip_id, text=f"{self.seat.ref}, approved by {by}")

    @result
    def ticket(self) -> Ticket:
        return Ticket(reference=self.pay.receipt)

    flow = parallel(hotel, seat) >> when(vip, approval >> insure) >> pay >> mail


hotels = Participant("hotels")


@hotels.on
async def book(command: BookHotel) -> HotelBooked | SoldOut:
    """Book a room."""
    return HotelBooked(ref=f"H-{command.trip_id}")


async def use(service: Hosted) -> None:
    """Start a trip, approve it, see how it ends."""
    trips = SagaClient(service)
    run = await trips.start(BookTrip, Trip(trip_id="1", city="Rome", vip=True))
    await run.signal(BookTrip.approval, Approved(by="Ann"))
    match await run.outcome(timeout=timedelta(minutes=1)):
        case Completed(ticket):
            print(ticket.reference)
        case Undone(step=where, reason=reason):
            print(where, reason)
