"""A clock that jumps ahead and comes back makes nobody forget what a repeat needs (K8)."""

from __future__ import annotations

from datetime import timedelta

from eventstore.clock import ManualClock
from eventstore.log import open_log
from eventstore.processor.steady import TOLERATED_MS, SteadyTime
from tests.eventstore.processor.counters import Add, Ask, Bench, Total

DAY_MS = 24 * 60 * 60 * 1000


class SetClock(ManualClock):
    """A clock that somebody sets wrong."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


def test_a_repeat_is_known_after_the_clock_was_days_ahead() -> None:
    """What was answered meanwhile forgot nothing, although the window of repeats was over by the wrong clock."""
    clock = SetClock()
    bench = Bench(open_log("memory://", clock=clock), clock=clock)
    bench.run()
    assert bench.ask(Add(counter="a", by=5), id="one") == Total(is_=5)

    clock.ahead_ms = 9 * DAY_MS
    bench.ask(Ask(counter="a"))
    bench.ask(Ask(counter="a"))
    clock.ahead_ms = 0

    assert bench.ask(Add(counter="a", by=5), id="one") == Total(is_=5)
    assert bench.ask(Ask(counter="a")) == Total(is_=5)
    bench.close()


def test_what_has_really_passed_is_forgotten() -> None:
    """An outcome is kept for as long as a repeat can come, not for ever."""
    clock = SetClock()
    bench = Bench(open_log("memory://", clock=clock), clock=clock)
    bench.run()
    bench.ask(Add(counter="a", by=5), id="one")

    clock.advance(timedelta(days=9))
    bench.ask(Ask(counter="a"))
    bench.ask(Ask(counter="a"))

    assert bench.ask(Add(counter="a", by=5), id="one") == Total(is_=10)
    bench.close()


def test_a_clock_may_be_set_right_by_less_than_an_hour() -> None:
    """What is further ahead is not believed."""
    clock = ManualClock()
    steady, began = SteadyTime(1_000, clock.monotonic), 1_000
    clock.advance(timedelta(seconds=2))

    assert steady.not_ahead(began + TOLERATED_MS) == began + TOLERATED_MS
    assert steady.not_ahead(began + 9 * DAY_MS) == began + 2_000
    assert steady.not_ahead(0) == 0
