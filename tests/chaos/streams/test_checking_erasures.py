"""The checker finds what is wrong with deletions and truncations (E2): each history has one promise broken."""

from __future__ import annotations

import pytest

from tests.chaos.streams.history import NO_STREAM, Outcome
from tests.chaos.streams.model import digests, labels
from tests.chaos.streams.story import A, B, C, Story
from tests.chaos.streams.violations import Rule


@pytest.fixture
def truncated(story: Story) -> Story:
    """Three events, of which the last one is kept, and the first one has its tombstone."""
    story.log(A, B, C)
    for number, content in enumerate("abc"):
        story.append(content, 1 + number, 1.5 + number, version=number)
    story.log_erasure(2, 2, "t")
    story.log_erasure(2, 2, "t", done=1)
    story.clean(0)
    story.erase("t", 5, 6, erased=2, first=2, before=2)
    return story


@pytest.fixture
def deleted(story: Story) -> Story:
    """Two events that are gone with their tombstones, and one that came later."""
    story.log(A, B, C)
    story.append("a", 1, 2, version=0)
    story.append("b", 3, 4, version=1)
    story.log_erasure(2, 1, "d", done=2)
    story.clean(0, tombstones=False)
    story.clean(1)
    story.erase("d", 5, 6, erased=2, first=2)
    story.append("c", 9, 10, version=2, expected=NO_STREAM)
    return story


def test_a_right_history_of_a_truncation_has_no_violation(truncated: Story) -> None:
    """Reads of every kind before, while and after it; those that erased nothing; lost races; repeats."""
    truncated.read(4.5, 5.5, (0, A), (1, B), (2, C), consistent=True)
    truncated.read(5.1, 5.6, (0, A), (1, B), (2, C))
    truncated.read(7, 8, (2, C), consistent=True)
    truncated.read(7, 8, consistent=True, until=1)
    truncated.read(7, 8, (2, C), backwards=True)
    truncated.load(7, 8, 1, digests([C])[1], version=2, consistent=True)
    truncated.load(7, 8, 3, digests([A, B, C])[3], version=2, aggregate="kept", consistent=True)
    truncated.erase("t", 7, 8, erased=2, first=2, before=2)
    truncated.erase("again", 7, 8, first=2, before=1, expected=2)
    truncated.erase("lost", 7, 8, "lost", before=1, expected=0, head=2)
    truncated.erase("never", 7, None, before=3)

    assert truncated.verdict().violations == []
    assert truncated.verdict().erased == 2


def test_a_right_history_of_a_deletion_has_no_violation(deleted: Story) -> None:
    """No stream, to reads, loads and appends; then it begins again behind its last version."""
    deleted.read(5.1, 5.2, (0, A), (1, B), consistent=True)
    deleted.read(7, 8, consistent=True)
    deleted.load(7, 8, 0, "", consistent=True)
    deleted.append("lost", 7, 8, "lost", -1, expected=1)
    deleted.erase("gone", 7, 8, first=2, expected=NO_STREAM)
    deleted.read(11, 12, (2, C), consistent=True)
    deleted.load(11, 12, 1, digests([C])[1], version=2, aggregate="kept", consistent=True)

    assert deleted.verdict().violations == []


@pytest.mark.parametrize("is_consistent", [False, True])
def test_what_was_erased_is_read_no_more(truncated: Story, is_consistent: bool) -> None:
    """A read that began when the erasure had been acknowledged."""
    truncated.read(7, 8, (0, A), (1, B), (2, C), consistent=is_consistent)

    rules = truncated.verdict().rules

    assert rules == ({Rule.ERASED, Rule.LINEARIZABLE} if is_consistent else {Rule.ERASED})


def test_an_ordinary_read_of_an_owner_that_was_replaced_may_show_it(truncated: Story) -> None:
    """K15: as with appends; counted."""
    truncated.disturb(6, 7)
    truncated.read(7, 8, (0, A), (1, B), (2, C))

    assert truncated.verdict().violations == []
    assert truncated.verdict().old_reads == 1


def test_a_deleted_stream_is_none_to_a_lost_race(deleted: Story) -> None:
    """An append that is told the head of what was deleted."""
    deleted.append("lost", 7, 8, "lost", 1, expected=5)

    assert deleted.verdict().rules == {Rule.LINEARIZABLE}


def test_a_deletion_is_not_undone(deleted: Story) -> None:
    """The later append is known, and the deletion forgotten: at no moment the stream was like that."""
    deleted.read(11, 12, (0, A), (1, B), (2, C), consistent=True)

    assert deleted.verdict().rules == {Rule.ERASED, Rule.LINEARIZABLE}


def test_versions_are_not_used_again(story: Story) -> None:
    """A deleted stream that begins at version 0."""
    story.log(A)
    story.log(B, versions=[0])
    story.append("a", 1, 2, version=0)
    story.log_erasure(1, 0, "d")
    story.erase("d", 3, 4, erased=1, first=1)
    story.append("b", 5, 6, version=0)

    assert Rule.VERSIONS in story.verdict().rules


def test_a_snapshot_does_not_outlive_a_deletion(deleted: Story) -> None:
    """E3: what was folded before goes with it."""
    deleted.load(11, 12, 3, digests([A, B, C])[3], version=2, aggregate="kept", consistent=True)

    assert Rule.LINEARIZABLE in deleted.verdict().rules


def test_a_fold_without_snapshots_begins_at_the_first_kept_event(truncated: Story) -> None:
    """A load that folds what was truncated."""
    truncated.load(7, 8, 3, digests([A, B, C])[3], version=2, consistent=True)

    assert truncated.verdict().rules == {Rule.ERASED, Rule.LINEARIZABLE}


def test_an_acknowledged_erasure_is_there(story: Story) -> None:
    """It was acknowledged, and is lost."""
    story.log(A)
    story.append("a", 1, 2, version=0)
    story.erase("d", 3, 4, erased=1, first=1)

    assert story.verdict().rules >= {Rule.ERASED}


def test_an_unknown_erasure_may_be_there(story: Story) -> None:
    """Once or not at all, as appends."""
    story.log(A)
    story.append("a", 1, 2, version=0)
    story.log_erasure(1, 0, "d")
    story.erase("d", 3, None)
    story.erase("other", 3, 8, "unknown", before=1)
    story.read(5, 6, (0, A), consistent=True)

    assert story.verdict().violations == []


@pytest.mark.parametrize(("first", "head", "told"), [(1, 1, (1, 1)), (2, 1, (1, 2)), (2, 0, (2, 2))])
def test_an_erasure_is_as_its_answer_says(story: Story, first: int, head: int, told: tuple[int, int]) -> None:
    """It kept an event too many, told a wrong number, or found a wrong head."""
    story.log(A, B)
    story.append("a", 1, 2, version=0)
    story.append("b", 3, 4, version=1)
    story.log_erasure(first, head, "d")
    story.erase("d", 5, 6, erased=told[0], first=told[1])

    assert Rule.ERASED in story.verdict().rules


@pytest.mark.parametrize("outcome", ["lost", "refused"])
def test_a_refused_erasure_is_not_there(story: Story, outcome: Outcome) -> None:
    """It erased although its caller was told that nothing happened."""
    story.log(A)
    story.append("a", 1, 2, version=0)
    story.log_erasure(1, 0, "d")
    story.erase("d", 3, 4, outcome, expected=5, head=0 if outcome == "lost" else None)

    assert story.verdict().rules == {Rule.REFUSED}


def test_an_erasure_happens_once(story: Story) -> None:
    """K8: a repeat that was not recognised erased what came in between."""
    story.log(A, B)
    story.append("a", 1, 2, version=0)
    story.log_erasure(1, 0, "d")
    story.erase("d", 3, 4, erased=1, first=1)
    story.append("b", 5, 6, version=1)
    story.log_erasure(2, 1, "d")
    story.erase("d", 7, 8, erased=1, first=2)

    assert story.verdict().rules >= {Rule.ONCE, Rule.REPEATS}


def test_an_erasure_is_where_its_caller_expected(story: Story) -> None:
    """It went through although the stream had moved on."""
    story.log(A, B)
    story.append("a", 1, 2, version=0)
    story.append("b", 3, 4, version=1)
    story.log_erasure(2, 1, "d")
    story.erase("d", 5, 6, erased=2, first=2, expected=0)

    assert story.verdict().rules == {Rule.EXPECTED}


def test_a_commit_id_is_of_an_append_or_of_an_erasure(story: Story) -> None:
    """K8: not of both."""
    story.log(A)
    story.append("a", 1, 2, version=0, commit="id")
    story.log_erasure(1, 0, "id")
    story.erase("id", 3, 4, erased=1, first=1)

    assert story.verdict().rules == {Rule.REPEATS}


@pytest.mark.parametrize("is_told", [True, False])
def test_a_commit_id_used_again_may_have_been_refused(deleted: Story, is_told: bool) -> None:
    """Its outcome is not known; the log's record is that of the call which it fits, or which was told so."""
    if is_told:
        deleted.erase("d", 11, None, before=1_000_000)
    else:
        deleted.append("x", 7, 8, "unknown")
        deleted.log_erasure(3, 2, "e")
        deleted.erase("e", 11, None, before=1)
        deleted.erase("e", 12, None, before=3)

    assert deleted.verdict().violations == []


def test_kept_events_survive(truncated: Story) -> None:
    """The cleaner, or a tombstone, took one that is kept."""
    truncated.clean(2)

    assert truncated.verdict().rules == {Rule.KEPT}


def test_erased_events_get_their_tombstones(deleted: Story) -> None:
    """The log says that they are written, and one is missing."""
    deleted.final.left["s"][1] = B

    assert deleted.verdict().rules == {Rule.KEPT}


@pytest.mark.parametrize("is_consistent", [False, True])
def test_a_read_of_several_pages_may_lack_what_was_erased_meanwhile(story: Story, is_consistent: bool) -> None:
    """It shows the first page, and of the later ones what is left; a read of one page shows all or nothing of it."""
    names = labels("x", 300)
    story.log(*names)
    story.append("x", 1, 2, version=299, count=300)
    story.log_erasure(290, 299, "t")
    story.erase("t", 3, 4, erased=290, first=290, before=290)
    first, last = list(enumerate(names))[:256], list(enumerate(names))[290:]
    story.read(2.5, 5, *first, *last, consistent=is_consistent)
    story.read(2.5, 5, *first, consistent=is_consistent, until=298)
    story.read(2.5, 5, *reversed(list(enumerate(names))[44:]), consistent=is_consistent, backwards=True)
    assert story.verdict().violations == []

    story.read(2.5, 5, *first[:50], *last, consistent=is_consistent)

    assert Rule.PREFIX in story.verdict().rules


def test_a_read_against_the_order_does_not_end_before_the_first_event_without_a_cause(story: Story) -> None:
    """After its first page something may have been erased; if nothing was, it shows all."""
    names = labels("x", 300)
    story.log(*names)
    story.append("x", 1, 2, version=299, count=300)
    story.read(2.5, 5, *reversed(list(enumerate(names))[44:]), backwards=True)

    assert story.verdict().rules == {Rule.PREFIX}


def test_a_read_begins_at_the_first_kept_event(story: Story) -> None:
    """It may begin within an append, where a truncation does, and nowhere else."""
    story.log(*labels("x", 4))
    story.append("x", 1, 2, version=3, count=4)
    story.log_erasure(2, 3, "t")
    story.erase("t", 3, 4, erased=2, first=2, before=2)
    story.read(5, 6, (2, "x#2/4"), (3, "x#3/4"), consistent=True)
    assert story.verdict().violations == []

    story.read(5, 6, (3, "x#3/4"))

    assert story.verdict().rules == {Rule.PREFIX}
