"""Rates and circuit breakers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import pytest

from consumers.breaker import Breaker
from consumers.delivery import Context
from consumers.errors import BreakerOpen, Permanent
from consumers.rate import Bucket, Rate
from consumers.retry import Retry
from consumers.worker import Worker
from eventstore.clock import ManualClock
from tests.consumers.worker.bench import Bench, Placed

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("count", [20, 1_000])
def test_a_bucket_keeps_the_rate_over_late_wake_ups(count: int) -> None:
    """W9: over ten seconds of wake-ups every 7 ms, the starts are within 5 % of the rate."""
    bucket, now, starts = Bucket(Rate(count, per=SECOND)), 0.0, 0

    while now < 10:
        while bucket.delay(now) == 0:
            bucket.take(now)
            starts += 1
        now += 0.007

    assert abs(starts - count * 10) <= count * 10 * 0.05


def test_a_worker_starts_no_faster_than_its_rate(bench: Bench) -> None:
    """Two a second: after each half second of the clock one more handler has run."""
    worker, done, feed = Worker("mailer", topics=["orders"], rate=Rate(2, per=SECOND)), list[float](), bench.feed()

    @worker.on
    async def confirm(event: Placed) -> None:
        done.append(bench.clock.monotonic())

    for number in range(4):
        feed.send(f"o{number}", Placed(order=f"o{number}"))
    loop = bench.open(worker)
    for count in range(1, 5):
        bench.drive(loop, partial(_has, done, count))
        bench.clock.advance(timedelta(seconds=0.5))

    assert done == [0, 0.5, 1.0, 1.5]


@pytest.mark.parametrize("wrong", [(0, SECOND), (1, timedelta(0))])
def test_a_wrong_rate_is_refused(wrong: tuple[int, timedelta]) -> None:
    """A rate of nothing, or per no time, is refused where it is written."""
    with pytest.raises(ValueError, match="at least 1"):
        Rate(wrong[0], per=wrong[1])


def made(clock: ManualClock) -> Breaker:
    """A breaker that looks at the last four calls."""
    breaker = Breaker("smtp", failure_ratio=0.5, slow_after=5 * SECOND, reset=30 * SECOND, calls=4)
    breaker.use(clock)
    return breaker


async def call(breaker: Breaker, error: Exception | None = None, clock: ManualClock | None = None) -> None:
    """A call through it, which may fail or, with the clock, take six seconds."""
    async with breaker:
        if clock is not None:
            clock.advance(6 * SECOND)
        if error is not None:
            raise error


async def test_a_breaker_opens_at_its_failure_ratio() -> None:
    """W8: when two of the last four calls failed, the next one does not pass for thirty seconds."""
    clock = ManualClock()
    breaker = made(clock)
    await call(breaker)
    await call(breaker)
    for _ in range(2):
        with pytest.raises(OSError, match="down"):
            await call(breaker, OSError("down"))

    with pytest.raises(BreakerOpen) as refused:
        await call(breaker)

    assert refused.value.delay == 30 * SECOND
    assert breaker.state == "open"


async def test_a_probe_closes_or_reopens_it() -> None:
    """After the reset one call passes: a failed probe opens it again, a good one closes it."""
    clock = ManualClock()
    breaker = made(clock)
    for _ in range(4):
        with pytest.raises(OSError, match="down"):
            await call(breaker, OSError("down"))
    clock.advance(30 * SECOND)
    states = [breaker.state]

    with pytest.raises(OSError, match="down"):
        await call(breaker, OSError("down"))
    states.append(breaker.state)
    clock.advance(30 * SECOND)
    async with breaker:
        with pytest.raises(BreakerOpen):
            await call(breaker)

    states.append(breaker.state)

    assert states == ["half-open", "open", "closed"]


async def test_slow_calls_count_as_failed_and_permanent_ones_do_not() -> None:
    """Calls beyond `slow_after` open it; `Permanent` says nothing about the other side."""
    clock = ManualClock()
    patient, slow = made(clock), made(clock)

    for _ in range(4):
        with pytest.raises(Permanent):
            await call(patient, Permanent("no such address"))
        await call(slow, clock=clock)

    assert (patient.state, slow.state) == ("closed", "open")


def test_an_open_breaker_pauses_the_worker_without_burning_attempts(bench: Bench) -> None:
    """W8: while the breaker is open nothing is started; afterwards the record has its first attempt still."""
    breaker = Breaker("smtp", reset=30 * SECOND, calls=1)
    worker = Worker("mailer", topics=["orders"], breakers=[breaker], retry=Retry(attempts=2, first=SECOND, jitter=0))
    started, feed = list[tuple[str, int, float]](), bench.feed()

    @worker.on
    async def confirm(event: Placed, context: Context) -> None:
        started.append((event.order, context.attempt, bench.clock.monotonic()))
        async with breaker:
            if bench.clock.monotonic() < 1:
                raise ConnectionError("down")

    feed.send("a", Placed(order="a"))
    loop = bench.open(worker)
    bench.drive(loop, lambda: len(started) == 1 and breaker.state == "open")
    feed.send("b", Placed(order="b"))
    bench.clock.advance(SECOND * 10)
    for _ in range(5):
        loop.step(0.01)
    assert len(started) == 1
    assert loop.metrics()['breaker_open{breaker="smtp"}'] == 1

    bench.clock.advance(SECOND * 20)
    bench.settle(loop)

    assert sorted(started[1:]) == [("a", 2, 30.0), ("b", 1, 30.0)]
    assert breaker.state == "closed"


def _has(seen: Sequence[object], count: int) -> bool:
    return len(seen) == count
