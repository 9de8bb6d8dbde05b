"""What a unit waits for between batches: it can wait for local calls or for its inbox, not for both."""

from __future__ import annotations

from datetime import timedelta

import pytest

from eventstore.clock import ManualClock
from eventstore.processor.calls import Calls
from eventstore.processor.pace import IDLE_SECONDS, LOCAL_IDLE_SECONDS, LOCAL_SECONDS, Pace


class Waits(Calls):
    """Notes how long local calls are waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []

    def wait(self, timeout: float, *, count: int = 1) -> None:
        self.waited.append(timeout)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def waits_for(pace: Pace, calls: Waits) -> str:
    """What it waits for while nothing comes."""
    calls.waited.clear()
    patience = 0.0
    for _ in range(3):
        patience = pace.patience(1.0)
        pace.idle(1.0)
    return "calls" if calls.waited else "inbox" if patience else "nothing"


def test_callers_are_waited_for_while_they_are_those_who_come(clock: ManualClock) -> None:
    """For a second; after that the inbox is."""
    pace = Pace(clock, calls := Waits())
    pace.took(calls=1, records=0)
    pace.worked()

    assert waits_for(pace, calls) == "calls"
    clock.advance(timedelta(seconds=LOCAL_SECONDS + 0.1))
    assert waits_for(pace, calls) == "inbox"


def test_the_inbox_is_waited_for_when_most_comes_through_it(clock: ManualClock) -> None:
    """A saga that a local caller starts goes on with replies: none of them waits for the end of a pause."""
    pace = Pace(clock, calls := Waits())
    for _ in range(5):
        for took_calls, took_records in ((1, 0), (0, 1), (0, 1), (0, 1)):
            pace.took(calls=took_calls, records=took_records)
            pace.worked()
    assert waits_for(pace, calls) == "inbox"

    for _ in range(5):
        pace.took(calls=1, records=0)
        pace.worked()
    assert waits_for(pace, calls) == "calls"


def test_pauses_grow_while_nothing_comes(clock: ManualClock) -> None:
    """A quiet unit looks fifty times a second."""
    pace = Pace(clock, Waits())
    clock.advance(timedelta(seconds=10))
    for _ in range(30):
        pace.idle(1.0)

    assert pace.patience(1.0) == IDLE_SECONDS
    pace.worked()
    assert pace.patience(1.0) == 0.0


def test_a_caller_does_not_wait_long_for_the_inbox(clock: ManualClock) -> None:
    """While callers come now and then, the pauses stay short, although most comes through the inbox."""
    pace = Pace(clock, Waits())
    for _ in range(10):
        pace.took(calls=0, records=3)
    pace.took(calls=1, records=0)
    for _ in range(30):
        pace.idle(1.0)

    assert pace.patience(1.0) == LOCAL_IDLE_SECONDS
    clock.advance(timedelta(seconds=LOCAL_SECONDS + 0.1))
    assert pace.patience(1.0) == IDLE_SECONDS
