"""The checker finds what is wrong with subscriptions and timers: each history has one promise broken."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from schemas import Event
from tests.chaos.streams.alarms import Armed, Disarmed, Expired
from tests.chaos.streams.story import A, B, C, Story
from tests.chaos.streams.violations import Rule


@pytest.fixture
def stream(story: Story) -> Story:
    """Three events, of which the first one is erased."""
    story.log(A, B, C)
    for number, content in enumerate("abc"):
        story.append(content, 1, 2 + number, version=number)
    story.log_erasure(1, 2, "t")
    story.erase("t", 6, 7, erased=1, first=1, before=1)
    return story


def test_a_subscriber_that_was_given_everything_has_no_violation(stream: Story) -> None:
    """Each event once; what was erased before it came there may be missing; so may what is beyond its position."""
    stream.deliver((0, A), offset=1)
    stream.deliver((1, B), (2, C), offset=3)
    stream.deliver((1, B), offset=2, subscriber="y.subscriber")

    assert stream.verdict().violations == []
    assert stream.verdict().delivered == 4


@pytest.mark.parametrize(
    "lines",
    [[(1, B), (1, B), (2, C)], [(2, C), (1, B)], [(2, C)], [(1, B), (2, A)], [(1, B), (2, C), (3, "d#0/1")]],
    ids=["twice", "order", "left out", "other event", "beyond the log"],
)
def test_a_subscription_gives_each_event_once_and_in_order(stream: Story, lines: Sequence[tuple[int, str]]) -> None:
    """Also where it was closed and resumed in between."""
    for line in lines:
        stream.deliver(line, offset=3)

    assert stream.verdict().rules == {Rule.SUBSCRIBED}


@pytest.mark.parametrize(
    "events",
    [[(Armed, 1), (Disarmed, 4)], [(Armed, 1), (Disarmed, 9)], [(Armed, 1)]],
    ids=["in time", "read late", "under way"],
)
def test_an_alarm_that_was_disarmed_in_time_does_not_go_off(
    story: Story, events: Sequence[tuple[type[Event], float]]
) -> None:
    """However late its end is decided on."""
    story.log_alarm(*events, due=5)
    story.alarm(0, 1)
    story.alarm(3, 4, disarmed_at=4)

    assert story.verdict().violations == []


@pytest.mark.parametrize(
    "events",
    [
        [(Armed, 1), (Expired, 6)],
        [(Armed, 1), (Disarmed, 4), (Expired, 6)],
        [(Armed, 1), (Expired, 6), (Expired, 7)],
    ],
    ids=["overtaken", "after its end", "twice"],
)
def test_a_timer_does_not_overtake(story: Story, events: Sequence[tuple[type[Event], float]]) -> None:
    """K9: the inbox had its end before its time."""
    story.log_alarm(*events, due=5)
    story.alarm(0, 1)
    story.alarm(3, 4, disarmed_at=4)

    assert story.verdict().rules == {Rule.TIMERS}


def test_a_timer_may_fire_before_what_came_later(story: Story) -> None:
    """Its end was in the inbox after its time only."""
    story.log_alarm((Armed, 1), (Expired, 5.2), due=5)
    story.alarm(0, 1)
    story.alarm(3, 6, disarmed_at=5.1)

    assert story.verdict().violations == []


@pytest.mark.parametrize("events", [[(Armed, 1), (Expired, 4.5)], [(Armed, 1), (Armed, 20)]], ids=["early", "again"])
def test_a_timer_fires_in_its_time(story: Story, events: Sequence[tuple[type[Event], float]]) -> None:
    """Not before it, and of an alarm that was set once."""
    story.log_alarm(*events, due=5)
    story.alarm(0, 1)

    assert story.verdict().rules == {Rule.TIMERS}


def test_a_timer_fires_at_last(story: Story) -> None:
    """Its partition has had other work done for long."""
    story.log_alarm((Armed, 1), due=5)
    story.alarm(0, 1)
    assert story.verdict().violations == []

    story.final.alarms["other"] = [story.final.alarms["k"][0].__class__("chaos.armed", 50_000, 0, 15_000)]

    assert story.verdict().rules == {Rule.TIMERS}


def test_an_alarm_may_be_set_after_its_time(story: Story) -> None:
    """Its message waited; it goes off soon."""
    story.log_alarm((Armed, 13), due=5)
    story.alarm(0, 14)
    story.final.alarms["other"] = [story.final.alarms["k"][0].__class__("chaos.armed", 50_000, 0, 15_000)]

    assert story.verdict().violations == []


def test_an_alarm_that_was_set_is_there(story: Story) -> None:
    """Acknowledged, and lost."""
    story.alarm(0, 1)

    assert story.verdict().rules == {Rule.ACKNOWLEDGED}
