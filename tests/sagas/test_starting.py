"""Starts: idempotent by key, refused under a used key, of known versions; builders that raise."""

from __future__ import annotations

from typing import cast

import pytest
from pydantic import BaseModel

from sagas import ReplyNotThere, Saga, SagaProcessor, step
from sagas.errors import BadStep, SagaKeyEmpty
from sagas.history import StepNotBuilt
from sagas.messages import AskOutcome, AskStatus, KeyTaken, SagaAccepted, SagaStatus, UnknownSaga, start_command
from schemas import Failure, Metadata, Unencodable
from tests.sagas.trips import BookHotel, BookTrip, HotelBooked, SendMail, Trip, everybody
from tests.sagas.world import World


def world() -> World:
    """A world in which nothing was asked for."""
    return World(SagaProcessor([BookTrip]), participants=everybody())


def test_a_repeated_start_changes_nothing() -> None:
    """The second start finds the first one's saga."""
    here = world()
    here.ask("book_trip", "1", BookTrip.start(Trip(trip_id="1")))
    here.run()
    before = len(here.events("book_trip", "1"))

    again = here.ask("book_trip", "1", BookTrip.start(Trip(trip_id="1")))
    here.run()

    assert here.replies[again] == SagaAccepted(key="1", version=2, is_new=False)
    assert len(here.events("book_trip", "1")) == before


def test_other_input_under_the_same_key_is_refused() -> None:
    """A typed refusal, which the client raises as SagaKeyReused."""
    here = world()
    here.ask("book_trip", "1", BookTrip.start(Trip(trip_id="1")))

    other = here.ask("book_trip", "1", BookTrip.start(Trip(trip_id="1", city="Oslo")))
    here.run()

    assert here.replies[other] == KeyTaken(key="1")


def test_a_version_that_is_not_known_here_is_a_named_failure() -> None:
    """P8: nothing is recorded; the failure names the version."""
    here = world()

    start = start_command("book_trip", key="1", version=3, input='{"trip_id":"1"}')
    asked = here.ask("book_trip", "1", start)
    here.run()

    answer = here.replies[asked]
    assert isinstance(answer, Failure)
    assert answer.error == "SagaVersionUnknown"
    assert "version 3" in answer.detail
    assert here.events("book_trip", "1") == []


def test_questions_about_a_saga_that_never_was_are_refused() -> None:
    """Status and outcome of an unknown key."""
    here = world()

    asked = [here.ask("book_trip", "9", AskStatus()), here.ask("book_trip", "9", AskOutcome())]
    here.run()

    assert [here.replies[each] for each in asked] == [UnknownSaga(key="9")] * 2


def test_the_status_shows_steps_and_attempts() -> None:
    """While nobody answers: two steps sent, in their first attempt."""
    here = world()
    here.decide("book_trip", "1", BookTrip.start(Trip(trip_id="1")), Metadata(id="start"))
    here.queues.clear()

    asked = here.ask("book_trip", "1", AskStatus())
    here.run()

    assert here.replies[asked] == SagaStatus(
        key="1",
        version=2,
        phase="forward",
        steps={"hotel": "sent", "seat": "sent"},
        attempts={"hotel": 1, "seat": 1},
        parked=[],
    )


def test_versions_are_pinned() -> None:
    """An instance of version 1 goes on under the old class while version 2 is there."""

    class Old(Saga[Trip], name="book_trip", version=1, key="trip_id"):
        @step(undo=None)
        def mail(self) -> SendMail:
            return SendMail(trip_id=self.input.trip_id, text="old")

        flow = mail

    here = World(SagaProcessor([Old]).joined(SagaProcessor([BookTrip])), participants=everybody())
    here.ask("book_trip", "1", Old.start(Trip(trip_id="1")))
    here.ask("book_trip", "2", BookTrip.start(Trip(trip_id="2")))
    here.run()

    assert here.names("book_trip", "1") == ["started", "step_sent mail", "step_replied mail", "completed"]
    assert "step_sent pay" in here.names("book_trip", "2")


def test_a_saga_of_a_version_that_is_gone_sleeps_until_its_code_is_back() -> None:
    """P8: its answers are failures with the version's name, its timer stands, and with the class it goes on."""

    class Old(Saga[Trip], name="book_trip", version=1, key="trip_id"):
        @step(undo=None)
        def mail(self) -> SendMail:
            return SendMail(trip_id=self.input.trip_id, text="old")

        flow = mail

    here = World(SagaProcessor([Old]), participants=everybody())
    here.refold = True
    here.ask("book_trip", "1", Old.start(Trip(trip_id="1")))
    here.step()
    here.processors["book_trip"] = SagaProcessor([BookTrip])
    here.run()
    assert here.failures == ["SagaVersionUnknown"]
    for _ in range(3):
        assert here.wake()

    here.processors["book_trip"] = SagaProcessor([Old, BookTrip])
    here.settle()

    assert here.names("book_trip", "1")[-1] == "completed"


def test_two_classes_of_one_version_cannot_be_joined() -> None:
    """The error names both."""

    class Twin(Saga[Trip], name="book_trip", version=2, key="trip_id"):
        @step(undo=None)
        def mail(self) -> SendMail:
            return SendMail(trip_id=self.input.trip_id, text="twin")

        flow = mail

    with pytest.raises(ValueError, match="book_trip"):
        SagaProcessor([BookTrip]).joined(SagaProcessor([Twin]))


class Input(BaseModel):
    id: str


class Broken(Saga[Input], name="broken", key="id"):
    @step(undo=None)
    def hotel(self) -> BookHotel:
        return BookHotel(trip_id=self.input.id, city="Rome")

    @step(undo=None)
    def mail(self) -> SendMail:
        raise ValueError("no text")

    flow = hotel >> mail


def test_a_builder_that_raises_turns_the_saga_back() -> None:
    """The error is in the history; nothing is silent."""
    here = World(SagaProcessor([Broken]), participants=everybody())
    here.ask("broken", "1", Broken.start(Input(id="1")))
    here.settle()

    names = here.names("broken", "1")
    assert names[-3:] == ["step_not_built mail", "compensation_started mail", "undone"]


class Late(Saga[Input], name="late", key="id"):
    broken = True

    @step(pivot=True)
    def hotel(self) -> BookHotel:
        return BookHotel(trip_id=self.input.id, city="Rome")

    @step
    def mail(self) -> SendMail:
        if Late.broken:
            raise ValueError("no text")
        return SendMail(trip_id=self.input.id, text="sent")

    flow = hotel >> mail


def test_after_the_pivot_a_builder_that_raises_is_tried_until_it_is_mended() -> None:
    """There is no way back: each attempt is recorded, and a deploy heals it."""
    here = World(SagaProcessor([Late]), participants=everybody())
    here.ask("late", "1", Late.start(Input(id="1")))
    here.run()
    for _ in range(3):
        here.wake()
        here.run()
    failed = [event for event in here.events("late", "1") if isinstance(event, StepNotBuilt)]
    assert [event.attempt for event in failed] == [1, 2, 3, 4]

    Late.broken = False
    try:
        here.settle()
    finally:
        Late.broken = True

    assert here.names("late", "1")[-1] == "completed"


def _read(saga: object) -> HotelBooked:
    return getattr(saga, "hot" + "el")  # type: ignore[no-any-return] # no name that a checker knows


class Sly(Saga[Input], name="sly", key="id"):
    @step(undo=None)
    def mail(self) -> SendMail:
        return SendMail(trip_id=self.input.id, text=_read(self).ref)

    @step(undo=None)
    def hotel(self) -> BookHotel:
        return BookHotel(trip_id=self.input.id, city="Rome")

    flow = mail >> hotel


def test_a_read_that_import_cannot_see_is_a_named_error() -> None:
    """Another function reads a reply that is not there."""
    here = World(SagaProcessor([Sly]), participants=everybody())
    here.ask("sly", "1", Sly.start(Input(id="1")))
    here.settle()

    failed = [event for event in here.events("sly", "1") if isinstance(event, StepNotBuilt)]
    assert failed[0].error == ReplyNotThere.__name__


def test_a_saga_without_a_key_is_refused() -> None:
    """No answer would find it; by client, reactor and parent alike."""
    with pytest.raises(SagaKeyEmpty, match="sly cannot be started with an empty id"):
        Sly.start(Input(id=""))


class Careless(Saga[Input], name="careless", key="id"):
    gives: object = None

    @step(undo=None)
    def hotel(self) -> BookHotel:
        return cast("BookHotel", self.gives)

    flow = hotel


@pytest.mark.parametrize(
    ("gives", "told"),
    [
        (SendMail(trip_id="1", text="sent"), "Careless.hotel gave one SendMail and is annotated to return BookHotel"),
        (None, "Careless.hotel gave nothing (None) and is annotated"),
    ],
)
def test_a_builder_that_gives_something_else_turns_the_saga_back(
    monkeypatch: pytest.MonkeyPatch, gives: object, told: str
) -> None:
    """Nothing is sent that the definition does not name: nobody could read its answer."""
    monkeypatch.setattr(Careless, "gives", gives)
    here = World(SagaProcessor([Careless]), participants=everybody())
    here.ask("careless", "1", Careless.start(Input(id="1")))
    here.settle()

    failed = [event for event in here.events("careless", "1") if isinstance(event, StepNotBuilt)]
    assert failed[0].error == BadStep.__name__
    assert told in failed[0].detail
    assert here.names("careless", "1")[-1] == "undone"


class _Cash(BaseModel):
    cents: int


class _Card(BaseModel):
    cents: int


class _Order(BaseModel):
    order_id: str
    method: _Cash | _Card


class _Ordering(Saga[_Order], name="ordering", key="order_id"):
    @step(pivot=True)
    def book(self) -> BookHotel:
        return BookHotel(trip_id=self.input.order_id, city=type(self.input.method).__name__)

    flow = book


def test_input_that_its_history_would_give_back_as_something_else_is_refused() -> None:
    """JSON has no classes: steps never see another class than the saga was started with."""
    with pytest.raises(Unencodable, match=r"_Order cannot be encoded: of its field method, _Card comes back as _Cash"):
        _Ordering.start(_Order(order_id="1", method=_Card(cents=1)))

    _Ordering.start(_Order(order_id="1", method=_Cash(cents=1)))
