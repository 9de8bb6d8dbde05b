"""The checker finds what is wrong with reads and with the order of operations: each history has one promise broken."""

from __future__ import annotations

import pytest

from tests.chaos.streams.history import NO_STREAM
from tests.chaos.streams.model import digests, labels
from tests.chaos.streams.story import A, B, C, Story
from tests.chaos.streams.violations import Rule


@pytest.mark.parametrize(
    ("events", "options"),
    [
        ([(0, A), (2, C)], {}),
        ([(0, A), (1, C)], {"until": 1}),
        ([(0, A), (1, B), (2, C), (3, "d#0/1")], {}),
        ([(1, B), (2, C)], {}),
        ([(2, C), (1, B)], {"backwards": True}),
    ],
    ids=["hole", "other event", "beyond the log", "begins late", "ends early backwards"],
)
def test_a_read_is_a_part_of_the_stream(
    story: Story, events: list[tuple[int, str]], options: dict[str, object]
) -> None:
    """Reads that the log does not bear out."""
    story.log(A, B, C)
    for number, content in enumerate("abc"):
        story.append(content, 1, 2, "unknown", number)
    story.read(1, 3, *events, **options)  # type: ignore[arg-type]

    assert story.verdict().rules == {Rule.PREFIX}


@pytest.mark.parametrize(("count", "names"), [(2, [A, C]), (4, [A, B, C, "d#0/1"])], ids=["other", "more"])
def test_a_load_is_the_beginning_of_the_stream(story: Story, count: int, names: list[str]) -> None:
    """An aggregate that was folded from other events than the log has."""
    story.log(A, B, C)
    for content in "abc":
        story.append(content, 1, 2, "unknown")
    story.load(1, 3, count, digests(names)[count])

    assert story.verdict().rules == {Rule.PREFIX}


def test_a_read_ends_where_an_append_ends(story: Story) -> None:
    """K15: whole batches; a read with a limit may end within one."""
    story.log(*labels("x", 3))
    story.append("x", 1, 10, version=2, count=3)
    story.read(2, 3, (0, "x#0/3"), limit=1)
    assert story.verdict().violations == []

    story.read(4, 5, (0, "x#0/3"), (1, "x#1/3"))

    assert story.verdict().rules == {Rule.BATCHES}


def test_reads_of_one_index_do_not_step_back(story: Story) -> None:
    """K15: monotonic per owner, whatever the nemesis does."""
    story.log(A)
    story.append("a", 1, 10, version=0)
    story.disturb(0, 20)
    story.read(2, 3, (0, A), way="index:1")
    story.read(4, 5, way="index:2")
    assert story.verdict().violations == []

    story.read(6, 7, way="index:1")

    assert story.verdict().rules == {Rule.MONOTONIC}


def test_reads_from_owners_do_not_step_back(story: Story) -> None:
    """K15: unless an owner may have been replaced without knowing it, or the read came straight from the topic."""
    story.log(A)
    story.append("a", 1, 10, version=0)
    story.read(2, 3, (0, A), way="topic")
    story.read(4, 5)
    assert story.verdict().violations == []

    story.read(4, 5, (0, A))
    story.read(6, 7)

    assert story.verdict().rules == {Rule.MONOTONIC}


def test_a_read_shows_what_was_acknowledged_before(story: Story) -> None:
    """K15: except while an owner may have been replaced without knowing it, which is counted."""
    story.log(A)
    story.append("a", 1, 2, version=0)
    story.read(3, 4)
    assert story.verdict().rules == {Rule.FRESH}

    story.disturb(2, 3)
    verdict = story.verdict()

    assert verdict.violations == []
    assert verdict.old_reads == 1


def test_an_index_has_what_others_were_told(story: Story) -> None:
    """An index that lacks it, be it for a moment, is wrong."""
    story.log(A)
    story.append("a", 1, 2, version=0)
    story.read(2.1, 2.2, way="index:0", process="owner")

    assert story.verdict().rules == {Rule.FRESH}


def test_a_read_from_the_topic_shows_what_was_acknowledged_before(story: Story) -> None:
    """K15: no owner is asked, so none can be behind."""
    story.log(A)
    story.append("a", 1, 2, version=0)
    story.disturb(0, 10)
    story.read(3, 4, way="topic")

    assert story.verdict().rules == {Rule.FRESH}


def test_a_consistent_read_shows_what_was_acknowledged_before(story: Story) -> None:
    """K15: whatever the nemesis does."""
    story.log(A)
    story.append("a", 1, 2, version=0)
    story.disturb(0, 10)
    story.read(3, 4, consistent=True)

    assert Rule.FRESH in story.verdict().rules
    assert Rule.LINEARIZABLE in story.verdict().rules


def test_consistent_reads_do_not_step_back(story: Story) -> None:
    """Two readers: the second began when the first had ended, and saw less; the append is still under way."""
    story.log(A)
    story.append("a", 1, None)
    story.read(2, 3, (0, A), consistent=True)
    story.read(4, 5, consistent=True, process="other")

    assert story.verdict().rules == {Rule.LINEARIZABLE}


def test_nothing_is_seen_before_it_was_appended(story: Story) -> None:
    """An event in a consistent read that ended before its append began."""
    story.log(A)
    story.read(1, 2, (0, A), consistent=True)
    story.append("a", 3, 4, version=0)

    assert story.verdict().rules == {Rule.LINEARIZABLE}


def test_appends_keep_the_clocks_order(story: Story) -> None:
    """The second began when the first had been acknowledged, and is before it in the stream."""
    story.log(B, A)
    story.append("a", 1, 2, version=1)
    story.append("b", 3, 4, version=0)

    assert story.verdict().rules == {Rule.LINEARIZABLE}


def test_a_lost_race_tells_the_head_of_its_time(story: Story) -> None:
    """An append that lost against a version that had been passed before it began."""
    story.log(A, B)
    story.append("a", 1, 2, version=0)
    story.append("b", 3, 4, version=1)
    story.append("lost", 5, 6, "lost", 0, expected=NO_STREAM)

    assert story.verdict().rules == {Rule.LINEARIZABLE}
