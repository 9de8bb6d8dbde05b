"""Sagas read from their events topic, without their definitions."""

from __future__ import annotations

from uuid import uuid4

import pytest

from consumers import Service
from eventstore.errors import TopicMissing
from eventstore.log import open_log
from sagas import Participant, SagaClient
from sagas.overview import read_history, read_overviews
from schemas import MemoryRegistry, Serde, Undo
from tests.sagas.trips import (
    BookHotel,
    BookSeat,
    BookTrip,
    CancelHotel,
    Charge,
    Declined,
    HotelBooked,
    SeatBooked,
    Trip,
)


async def test_a_list_and_a_history_come_from_the_log_alone() -> None:
    """A trip was declined, and its undos fail: it is listed as it stands."""
    hotels, seats, payments = Participant("hotels"), Participant("seats"), Participant("payments")

    @hotels.on
    async def book(command: BookHotel) -> HotelBooked:
        return HotelBooked(ref="H")

    @seats.on
    async def seat(command: BookSeat) -> SeatBooked:
        return SeatBooked(ref="S")

    @hotels.on
    async def cancel(command: CancelHotel) -> None:
        raise ConnectionError("the hotel does not answer")

    @seats.on
    async def release(command: Undo[BookSeat]) -> None:
        raise ConnectionError("the airline does not answer")

    @payments.on(idempotent=True)
    async def pay(command: Charge) -> Declined:
        return Declined(reason="poor")

    service = Service("trips", log=f"memory://{uuid4().hex}", components=[hotels, seats, payments, BookTrip])
    async with service:
        run = await SagaClient(service).start(BookTrip, Trip(trip_id="1"))
        await service.settled()
        host = service.runtime.host

        listed = read_overviews(host.log, host.serde, "book_trip")
        history = read_history(host.log, host.serde, "book_trip", "1")

        assert [(each.key, each.version, each.standing, each.reason) for each in listed] == [
            ("1", 2, "compensating", "declined")
        ]
        assert history == (await run.history())[: len(history)]


def test_a_saga_that_never_ran_is_a_missing_topic() -> None:
    """Named, with what to do."""
    log = open_log(f"memory://{uuid4().hex}")
    with pytest.raises(TopicMissing):
        read_overviews(log, Serde(MemoryRegistry()), "no_such")
    log.close()
