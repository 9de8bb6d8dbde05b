"""Sagas read from their events topic, without their definitions."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from consumers import Service
from sagas import Participant, SagaClient
from sagas.history import (
    CompensationStarted,
    SagaCompleted,
    SagaStarted,
    SagaUndone,
    StepReplied,
    StepSent,
    StepUndone,
    UndoParked,
    UndoResent,
    UndoSent,
    WaitBegan,
)
from sagas.overview import overview, read_history, read_overviews
from sagas.timeline import Happened
from schemas import Event, Undo
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


def sent(step: str) -> Event:
    """Its command was sent."""
    return StepSent(step=step, type="t", version=1, command="{}", id=step, topic="t", partition=0, key="1", due_ms=0)


def done(step: str) -> Event:
    """It was answered."""
    return StepReplied(step=step, type="t", version=1, reply="{}")


def turned(step: str) -> Event:
    """The saga turns back there."""
    return CompensationStarted(step=step, reason="failed")


def undo(step: str) -> Event:
    """Its undo was sent."""
    return UndoSent(step=step, type="t", version=1, command="{}", id=step, due_ms=0, in_doubt=False)


def parked(step: str) -> Event:
    """Its undo failed too often."""
    return UndoParked(step=step, error="OSError")


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


@pytest.mark.parametrize(
    ("events", "standing", "at"),
    [
        ([], "forward", ""),
        ([sent("a")], "forward", "a"),
        ([sent("a"), done("a")], "forward", "a"),
        ([sent("a"), sent("b")], "forward", "a, b"),
        ([sent("a"), sent("b"), done("b")], "forward", "a"),
        ([sent("a"), done("a"), WaitBegan(wait="w", due_ms=0)], "forward", "w"),
        ([sent("a"), done("a"), SagaCompleted()], "completed", "a"),
        ([sent("a"), done("a"), sent("b"), turned("b")], "compensating", "b"),
        ([sent("a"), done("a"), sent("b"), turned("b"), undo("a")], "compensating", "a"),
        ([sent("a"), done("a"), turned("b"), undo("a"), parked("a")], "parked", "a"),
        ([turned("c"), undo("a"), undo("b"), parked("a")], "parked", "a"),
        ([turned("c"), undo("a"), parked("a"), UndoResent(step="a", attempt=2, due_ms=0)], "compensating", "a"),
        ([sent("a"), done("a"), sent("b"), turned("b"), undo("a"), StepUndone(step="a"), SagaUndone()], "undone", "b"),
    ],
)
def test_a_saga_is_at_the_step_it_waits_for(events: list[Event], standing: str, at: str) -> None:
    """Several with commas; the undo under way, or parked; at the end the last step, or the one where it turned back."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    started = SagaStarted(saga="s", version=1, input="{}")

    seen = overview("1", [Happened(version, now, event) for version, event in enumerate([started, *events])])

    assert (seen.standing, seen.at_step) == (standing, at)
