"""A clock that differs from the log's is told: what is forgotten and when is decided by time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from eventstore import EventStore
from eventstore.clock import ManualClock, SystemClock
from eventstore.hosting import Hosting
from eventstore.log.records import Record
from eventstore.processor import clock_check
from eventstore.processor.clock_check import EVERY_SECONDS, ClockCheck
from eventstore.processor.topics import replies_of
from schemas import Event
from tests.eventstore.processor.counters import records_of
from tests.waiting import eventually_async


@pytest.mark.parametrize(
    ("broker_ms", "ahead"),
    [
        (0, 0.0),  # when it was sent
        (2_000, 0.0),  # when it came back
        (-90_000, 90.0),
        (92_000, -90.0),
        (1_000, 0.0),
        (-5_000, 5.0),
    ],
)
def test_a_difference_is_what_lies_outside_of_the_round_trip(broker_ms: int, ahead: float) -> None:
    """However slow the broker is, a clock that is right is not suspected; more than a minute is a warning."""
    clock = ManualClock()
    check, sent_ms = ClockCheck(clock), clock.now_ms()
    question = check.question()
    clock.advance(timedelta(seconds=2))
    with capture_logs() as said:
        check.take(Record("s.replies", 0, 0, sent_ms + broker_ms, clock_check.KEY, question))

    assert check.ahead_seconds == ahead
    assert [each["event"] for each in said] == ["clock_differs"] * (abs(ahead) > 60)


def test_it_is_asked_now_and_then_and_others_answers_are_passed_over() -> None:
    """Each process has an id of its own."""
    clock = ManualClock()
    check, other = ClockCheck(clock), ClockCheck(clock)
    assert check.question() is not None
    assert check.question() is None
    clock.advance(timedelta(seconds=EVERY_SECONDS))
    assert check.question() is not None

    check.take(Record("s.replies", 0, 0, 0, clock_check.KEY, other.question()))
    check.take(Record("s.replies", 0, 0, 0, clock_check.KEY, None))
    for wrong in (b"", b"x", b"-5", b"9" * 5_000):
        check.take(Record("s.replies", 0, 0, 0, clock_check.KEY, check._id + b" " + wrong))
    assert check.ahead_seconds == 0


class Happened(Event, name="clock_check.happened"):
    pass


@pytest.mark.kafka
async def test_a_real_broker_notes_its_own_time(kafka: str, unique: Callable[[str], str]) -> None:
    """Whatever the client says; and a clock that is right is not suspected."""
    name = unique("clock")
    async with EventStore(name, events=[Happened], log=f"kafka://{kafka}", partitions=1) as store:
        hosting = store._running()
        assert isinstance(hosting, Hosting)
        log, topic, now_ms = hosting.host.log, replies_of(name), SystemClock().now_ms()

        def seen() -> list[Record]:
            return [record for record in records_of(log, topic) if record.key == clock_check.KEY]

        await eventually_async(lambda: bool(seen()))
        [own] = seen()
        assert abs(hosting.metrics()["replies"]["clock_ahead_seconds"]) < 5
        producer = log.producer()
        producer.produce(topic, own.partition, clock_check.KEY, own.value, timestamp_ms=now_ms - 3 * 86_400_000)
        producer.close()

        assert [abs(record.timestamp_ms - now_ms) < 60_000 for record in seen()] == [True, True]
