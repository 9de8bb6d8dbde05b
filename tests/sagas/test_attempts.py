"""Time-outs and retries (P4), the pivot in doubt (P3), deadlines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sagas import SagaProcessor
from sagas.history import CompensationStarted, StepFailed, StepResent
from sagas.messages import CancelSaga, Refused
from schemas import Failure, Message, Metadata
from tests.sagas.trips import BookHotel, BookTrip, Charge, Declined, SendMail, Trip, answers, everybody
from tests.sagas.world import START_MS, Participant, Unanswered, World

UNKNOWN = Failure(error="Down", detail="no line", final=False)


def scripted(command: type[Message], script: Sequence[Message | None], seen: list[str] | None = None) -> Participant:
    """A participant that answers one command by a script (None: not at all), then as usual."""
    left = list(script)

    def act(message: Message, metadata: Metadata) -> Message | None:
        if isinstance(message, command):
            if seen is not None:
                seen.append(metadata.id)
            if left:
                answer = left.pop(0)
                if answer is None:
                    raise Unanswered
                return answer
        return answers(message, metadata)

    return act


def started(**others: Participant) -> World:
    """A world in which a trip was asked for."""
    world = World(SagaProcessor([BookTrip]), participants=everybody(**others))
    world.ask("book_trip", "1", BookTrip.start(Trip(trip_id="1")))
    return world


def turned(world: World) -> CompensationStarted:
    """Where and why it turned back, which happened once."""
    found = [event for event in world.events("book_trip", "1") if isinstance(event, CompensationStarted)]
    assert len(found) == 1
    return found[0]


def test_a_step_that_times_out_is_sent_again_under_the_same_id() -> None:
    """P4: the second attempt carries the id of the first; its answer completes the step."""
    seen = list[str]()
    world = started(hotels=scripted(BookHotel, [None], seen))
    world.settle()

    assert len(seen) == 2
    assert seen[0] == seen[1]
    names = world.names("book_trip", "1")
    assert "step_failed hotel" in names
    assert "step_resent hotel" in names
    assert names[-1] == "completed"


def test_attempts_follow_the_schedule() -> None:
    """30 s for the attempt, then the delay of the retry policy (at most 20 % less by jitter), 30 s again."""
    world = started(hotels=scripted(BookHotel, [None, None, None]))
    world.settle()

    failed = [event for event in world.events("book_trip", "1") if isinstance(event, StepFailed)]
    assert [event.attempt for event in failed] == [1, 2, 3]
    first = failed[0].retry_ms - (START_MS + 30_000)
    second = failed[1].retry_ms - (failed[0].retry_ms + 30_000)
    assert 800 <= first <= 1_000
    assert 1_600 <= second <= 2_000
    assert failed[2].retry_ms == 0


def test_a_step_out_of_attempts_turns_the_saga_back() -> None:
    """P1: the step itself is in doubt and undone too."""
    world = started(hotels=scripted(BookHotel, [None, None, None]))
    world.settle()

    assert (turned(world).step, turned(world).reason) == ("hotel", "timed out")
    names = world.names("book_trip", "1")
    assert "step_undone hotel" in names
    assert "step_undone seat" in names
    assert names[-1] == "undone"


def test_an_unknown_outcome_is_handled_like_a_time_out() -> None:
    """P4: a failure that is not final is followed by another attempt, without waiting for the time-out."""
    world = started(hotels=scripted(BookHotel, [UNKNOWN]))
    world.settle()

    assert world.names("book_trip", "1")[-1] == "completed"
    assert world.now_ms < START_MS + 2_000


def test_a_final_failure_turns_back_at_once() -> None:
    """A participant that says that trying again cannot help is believed."""
    world = started(hotels=scripted(BookHotel, [Failure(error="Bug", detail="", final=True)]))
    world.settle()

    assert turned(world).reason == "failed"
    assert not [event for event in world.events("book_trip", "1") if isinstance(event, StepResent)]


def test_the_pivot_in_doubt_is_repeated_beyond_its_attempts() -> None:
    """P3: neither undone nor passed; the twentieth attempt is answered and the saga completes."""
    seen = list[str]()
    world = started(payments=scripted(Charge, [None] * 19, seen))
    world.settle()

    assert len(seen) == 20
    assert len(set(seen)) == 1
    assert world.names("book_trip", "1")[-1] == "completed"


def test_the_pivot_in_doubt_may_still_be_refused() -> None:
    """P3: a refusal after many attempts undoes the saga."""
    world = started(payments=scripted(Charge, [None] * 9 + [Declined(reason="poor")]))
    world.settle()

    assert (turned(world).step, turned(world).reason) == ("pay", "refused")
    assert world.names("book_trip", "1")[-1] == "undone"


def test_deadline_and_cancel_wait_while_the_pivot_is_in_doubt() -> None:
    """P3: two hours pass, somebody cancels: neither turns the saga back."""
    world = started(payments=scripted(Charge, [None] * 30))
    world.run()
    while world.now_ms < START_MS + timedelta(hours=3).total_seconds() * 1000:
        world.wake()
        world.run()

    cancelled = world.ask("book_trip", "1", CancelSaga())
    world.run()
    assert isinstance(world.replies[cancelled], Refused)
    world.settle()

    assert world.names("book_trip", "1")[-1] == "completed"


def test_after_the_pivot_attempts_go_on_for_ever() -> None:
    """Delays are capped at an hour; every attempt is in the history."""
    world = started(mail=scripted(SendMail, [None, UNKNOWN] * 15))
    world.settle()

    failed = [event for event in world.events("book_trip", "1") if isinstance(event, StepFailed)]
    assert [event.attempt for event in failed] == list(range(1, 31))
    assert all(event.retry_ms for event in failed)
    assert world.names("book_trip", "1")[-1] == "completed"


def test_a_deadline_that_passes_before_the_pivot_undoes() -> None:
    """The hotel fails slowly for two hours; the deadline comes first."""
    world = started(seats=scripted(BookHotel, []), hotels=scripted(BookHotel, [None] * 3))
    world.run()
    world.now_ms = START_MS + 2 * 3_600_000
    world.wake()
    world.settle()

    assert (turned(world).step, turned(world).reason) == ("hotel", "deadline")
    assert world.names("book_trip", "1")[-1] == "undone"


def test_an_answer_to_an_earlier_attempt_counts() -> None:
    """The first attempt's answer comes after the second was sent: the step is done, the second one is ignored."""
    world = started(hotels=scripted(BookHotel, [None]))
    world.run()
    world.wake()
    world.wake()
    world.run()

    names = world.names("book_trip", "1")
    assert names.count("step_replied hotel") == 1
    assert names[-1] == "completed"


def test_a_late_failure_of_an_earlier_attempt_burns_none() -> None:
    """An unknown that answers attempt 1 while attempt 2 runs is ignored."""
    world = started(hotels=scripted(BookHotel, [None, None]))
    world.run()
    world.wake()
    world.wake()
    world.run()
    sent = next(each for each in world.events("book_trip", "1") if each.__type_name__.endswith("step_sent"))
    before = len(world.events("book_trip", "1"))

    stale = Metadata(id="stale", correlation="hotel/do/1", causation=sent.model_dump()["id"])
    world.decide("book_trip", "1", UNKNOWN, stale)

    assert len(world.events("book_trip", "1")) == before
