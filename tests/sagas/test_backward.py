"""Sagas that are undone: what is undone, in which order, where the undo goes (rules P1 and P2)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sagas import SagaProcessor
from sagas.history import CompensationStarted, UndoSent
from sagas.messages import AskOutcome, CancelSaga, Noted, RetryUndo, SagaOutcome, SkipUndo
from schemas import Event, Failure, Message, Metadata, Nothing, Undo
from tests.sagas.trips import (
    BookHotel,
    BookSeat,
    BookTrip,
    CancelHotel,
    Charge,
    Declined,
    Insure,
    SoldOut,
    Trip,
    answers,
    everybody,
)
from tests.sagas.world import Envelope, Participant, Unanswered, World


def refusing(refused: type[Message], refusal: Message) -> Participant:
    """A participant that refuses one command."""
    return lambda message, metadata: refusal if isinstance(message, refused) else answers(message, metadata)


def silent(ignored: type[Message]) -> Participant:
    """A participant that never answers one command."""

    def act(message: Message, metadata: Metadata) -> Message | None:
        if isinstance(message, ignored):
            raise Unanswered
        return answers(message, metadata)

    return act


def started(**others: Participant) -> World:
    """A world in which a VIP's trip was asked for."""
    world = World(SagaProcessor([BookTrip]), participants=everybody(**others))
    world.ask("book_trip", "1", BookTrip.start(Trip(trip_id="1", vip=True)))
    return world


def undone(world: World) -> list[str]:
    """Which steps were undone, in order."""
    return [event.step for event in world.events("book_trip", "1") if isinstance(event, UndoSent)]


def of_type(world: World, kind: type[Event]) -> list[Event]:
    """The events of this type."""
    return [event for event in world.events("book_trip", "1") if isinstance(event, kind)]


def test_a_refused_pivot_undoes_everything_before_it_in_reverse_order() -> None:
    """The insurance first, then hotel and seat at once; the mail was never sent."""
    world = started(payments=refusing(Charge, Declined(reason="poor")))
    world.run()

    order = undone(world)
    assert order[0] == "insure"
    assert sorted(order[1:]) == ["hotel", "seat"]
    names = world.names("book_trip", "1")
    assert names.index("step_undone insure") < min(names.index("undo_sent hotel"), names.index("undo_sent seat"))
    assert max(names.index("undo_sent hotel"), names.index("undo_sent seat")) < names.index("step_undone hotel") or (
        max(names.index("undo_sent hotel"), names.index("undo_sent seat")) < names.index("step_undone seat")
    )
    assert "step_sent mail" not in names
    assert names[-1] == "undone"
    assert world.timers == {}


def test_the_outcome_says_where_and_why() -> None:
    """P2: a refusal stands in the outcome as it was answered."""
    world = started(payments=refusing(Charge, Declined(reason="poor")))
    world.run()
    asked = world.ask("book_trip", "1", AskOutcome())
    world.run()

    assert world.replies[asked] == SagaOutcome(
        key="1",
        completed=False,
        step="pay",
        reason="refused",
        type="declined",
        version=1,
        refusal='{"reason":"poor"}',
    )


def noted(world: World) -> list[Envelope]:
    """What is delivered from now on."""
    sent = list[Envelope]()
    deliver = world.deliver

    def noting(envelope: Envelope) -> None:
        sent.append(envelope)
        deliver(envelope)

    world.deliver = noting  # type: ignore[method-assign] # the test stands in between
    return sent


def test_the_undo_goes_where_its_do_went() -> None:
    """P2: topic, partition and key are those recorded for the do, whatever the undo's own key says."""
    world = started(payments=refusing(Charge, Declined(reason="poor")))
    sent = noted(world)

    world.run()

    hotel = [each for each in sent if isinstance(each.message, (BookHotel, CancelHotel))]
    assert [(each.topic, each.key) for each in hotel] == [("hotels.inbox", "1"), ("hotels.inbox", "1")]
    assert hotel[1].message == CancelHotel(booking="H-1")
    assert hotel[1].metadata.attributes == {"saga": "book_trip/1", "step": "hotel", "role": "undo"}


def test_a_mirrored_undo_carries_the_command() -> None:
    """undo=Undo sends Undo[BookSeat] with the original command."""
    seen = list[Message]()

    def seats(message: Message, metadata: Metadata) -> Message | None:
        seen.append(message)
        return answers(message, metadata)

    world = started(seats=seats, payments=refusing(Charge, Declined(reason="poor")))
    world.run()

    assert seen == [BookSeat(trip_id="1"), Undo[BookSeat](did=BookSeat(trip_id="1"))]


@pytest.mark.parametrize(("is_final", "expected"), [(True, ["hotel"]), (False, ["hotel", "seat"])])
def test_a_refused_step_is_undone_unless_the_refusal_is_final(is_final: bool, expected: list[str]) -> None:
    """P1: an aggregate's refusal is final; a worker's may come from a second run after a first one that succeeded."""
    world = started(seats=refusing(BookSeat, SoldOut(city="Rome")))
    world.refusals_are_final = is_final
    world.run()

    assert sorted(undone(world)) == expected
    assert world.names("book_trip", "1")[-1] == "undone"


def test_a_step_in_doubt_is_undone_too() -> None:
    """P1: the seat never answered; when the hotel refuses, both are undone."""
    world = started(hotels=refusing(BookHotel, SoldOut(city="Rome")), seats=silent(BookSeat))
    world.refusals_are_final = True
    world.run()

    assert undone(world) == ["seat"]
    doubts = [event for event in world.events("book_trip", "1") if isinstance(event, UndoSent)]
    assert doubts[0].in_doubt
    assert world.names("book_trip", "1")[-1] == "undone"


def test_a_late_reply_changes_nothing_after_the_undo_was_sent() -> None:
    """The seat's reply arrives when its undo is under way: no event, and no second undo."""
    late = list[Envelope]()
    world = started(hotels=refusing(BookHotel, SoldOut(city="Rome")))
    deliver = world.deliver

    def holding(envelope: Envelope) -> None:
        if envelope.metadata.correlation.startswith("seat/do") and envelope.topic == "book_trip.inbox":
            late.append(envelope)
        else:
            deliver(envelope)

    world.deliver = holding  # type: ignore[method-assign] # the test stands in between
    world.run()
    before = list(world.events("book_trip", "1"))
    for envelope in late:
        deliver(envelope)
    world.run()

    assert late
    assert world.events("book_trip", "1") == before


def test_the_undo_of_a_done_step_gets_its_reply() -> None:
    """The insurer refuses when the hotel is booked: the hotel's undo is built from command and reply."""
    world = started(insurance=refusing(Insure, Declined(reason="old")))
    world.run()

    sent = [event for event in world.events("book_trip", "1") if isinstance(event, UndoSent) and event.step == "hotel"]
    assert sent[0].command == '{"booking":"H-1"}'


def test_an_inbox_that_grew_gets_the_undo_where_it_got_the_do() -> None:
    """P2: partition counts change between do, a repeated do and undo; all three go to the partition of the first."""
    world = started(hotels=silent(BookHotel))
    sent = noted(world)

    world.run()
    world.partitions = 64
    world.settle()

    hotel = [each for each in sent if each.topic == "hotels.inbox"]
    assert [type(each.message) for each in hotel] == [BookHotel, BookHotel, BookHotel, CancelHotel]
    assert len({each.partition for each in hotel}) == 1


def test_an_answer_to_no_command_of_this_saga_changes_nothing() -> None:
    """A stray answer names the right step, but another command."""
    world = started(hotels=silent(CancelHotel), payments=refusing(Charge, Declined(reason="poor")))
    world.run()
    before = list(world.events("book_trip", "1"))

    stray = Metadata(id="stray", correlation="hotel/undo/1", causation="another command")
    world.decide("book_trip", "1", Nothing(), stray)

    assert world.events("book_trip", "1") == before


def test_a_cancel_before_the_pivot_undoes() -> None:
    """The saga is cancelled while the seat is pending."""
    world = started(seats=silent(BookSeat))
    world.run()

    cancelled = world.ask("book_trip", "1", CancelSaga(who="Ann", why="changed plans"))
    world.run()

    assert world.replies[cancelled] == Noted()
    assert world.names("book_trip", "1")[-1] == "undone"
    turned = of_type(world, CompensationStarted)[0]
    assert isinstance(turned, CompensationStarted)
    assert (turned.step, turned.reason) == ("seat", "cancelled")


def failing_undo(times: int) -> Callable[[Message, Metadata], Message | None]:
    """A participant whose undo fails so often."""
    left = [times]

    def act(message: Message, metadata: Metadata) -> Message | None:
        if metadata.attributes.get("role") == "undo" and left[0]:
            left[0] -= 1
            return Failure(error="Down", detail="no line", final=False)
        return answers(message, metadata)

    return act


def test_an_undo_is_tried_again_until_it_succeeds() -> None:
    """Two failures, then undone; the command's id stays the same."""
    world = started(hotels=failing_undo(2), payments=refusing(Charge, Declined(reason="poor")))
    world.settle()

    names = world.names("book_trip", "1")
    assert names.count("undo_failed hotel") == 2
    assert names.count("undo_resent hotel") == 2
    assert names[-1] == "undone"


def test_an_undo_that_keeps_failing_is_parked_until_an_operator_retries() -> None:
    """After the last attempt it waits for a person; who and why are recorded."""
    world = started(hotels=failing_undo(3), payments=refusing(Charge, Declined(reason="poor")))
    world.settle()
    assert "undo_parked hotel" in world.names("book_trip", "1")
    assert world.timers == {}

    retried = world.ask("book_trip", "1", RetryUndo(step="hotel", who="Ann", why="line is up"))
    world.settle()

    assert world.replies[retried] == Noted()
    assert world.names("book_trip", "1")[-1] == "undone"


def test_an_operator_can_declare_a_parked_step_undone() -> None:
    """Skipped with who and why; the rest goes on."""
    world = started(hotels=failing_undo(99), payments=refusing(Charge, Declined(reason="poor")))
    world.settle()

    world.ask("book_trip", "1", SkipUndo(step="hotel", who="Ann", why="done by phone"))
    world.settle()

    assert world.names("book_trip", "1")[-2:] == ["undo_skipped hotel", "undone"]
