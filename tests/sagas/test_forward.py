"""Sagas that complete."""

from __future__ import annotations

from sagas import SagaProcessor
from sagas.messages import AskOutcome, SagaAccepted, SagaOutcome
from tests.sagas.trips import BookTrip, Trip, everybody
from tests.sagas.world import World


def test_a_saga_completes_when_all_its_steps_are_done() -> None:
    """Both bookings go out at once, the payment after both, the mail last; the result holds the receipt."""
    world = World(SagaProcessor([BookTrip]), participants=everybody())

    started = world.ask("book_trip", "1", BookTrip.start(Trip(trip_id="1")))
    world.run()

    assert world.replies[started] == SagaAccepted(key="1", version=2, is_new=True)
    names = world.names("book_trip", "1")
    assert names[:3] == ["started", "step_sent hotel", "step_sent seat"]
    assert sorted(names[3:5]) == ["step_replied hotel", "step_replied seat"]
    assert names[5:] == [
        "condition_answered vip",
        "step_sent pay",
        "step_replied pay",
        "step_sent mail",
        "step_replied mail",
        "completed",
    ]
    assert world.events("book_trip", "1")[-1].model_dump()["result"] == '{"reference":"R-H-1"}'
    assert world.timers == {}


def test_when_runs_the_branch_that_the_condition_chooses() -> None:
    """A VIP is insured between the bookings and the payment."""
    world = World(SagaProcessor([BookTrip]), participants=everybody())

    world.ask("book_trip", "1", BookTrip.start(Trip(trip_id="1", vip=True)))
    world.run()

    names = world.names("book_trip", "1")
    assert names.index("step_replied insure") < names.index("step_sent pay")
    assert names[-1] == "completed"


def test_the_outcome_reaches_those_who_asked_before_and_after_the_end() -> None:
    """One question waits for the end, another comes later: both get the same answer."""
    world = World(SagaProcessor([BookTrip]), participants=everybody())
    world.ask("book_trip", "1", BookTrip.start(Trip(trip_id="1")))

    early = world.ask("book_trip", "1", AskOutcome())
    world.run()
    late = world.ask("book_trip", "1", AskOutcome())
    world.run()

    expected = SagaOutcome(key="1", completed=True, result='{"reference":"R-H-1"}')
    assert world.replies[early] == world.replies[late] == expected


def test_a_state_folded_anew_before_each_input_goes_the_same_way() -> None:
    """Nothing that decides lives outside the history."""
    kept = World(SagaProcessor([BookTrip]), participants=everybody())
    folded = World(SagaProcessor([BookTrip]), participants=everybody())
    folded.refold = True

    for world in (kept, folded):
        world.ask("book_trip", "1", BookTrip.start(Trip(trip_id="1", vip=True)))
        world.run()

    assert kept.events("book_trip", "1") == folded.events("book_trip", "1")
