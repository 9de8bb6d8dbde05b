"""The checker finds what is wrong with appends: each history has one promise broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.streams.history import NO_STREAM, Outcome, read_histories
from tests.chaos.streams.model import PARTITIONS, digests, labels
from tests.chaos.streams.story import HOME, A, B, C, Story
from tests.chaos.streams.violations import Rule


def test_a_right_history_has_no_violation(story: Story) -> None:
    """Appends, lost races, repeats, unknown outcomes of both kinds and reads of every kind."""
    story.log(A, *labels("b", 2), C)
    story.append("a", 1, 2, version=0, expected=NO_STREAM)
    story.append("lost", 2.5, 3, "lost", 0, expected=NO_STREAM)
    story.append("b", 3, 8, "unknown", commit="b", count=2)
    story.append("b", 8.5, 9, version=2, commit="b", count=2)
    story.append("other", 9.1, 9.2, "refused", commit="b")
    story.append("c", 9.5, None)
    story.append("never", 9.5, 14.5, "unknown")
    story.read(3, 4, (0, A), consistent=True)
    story.read(5, 6, (0, A), (1, "b#0/2"), (2, "b#1/2"), consistent=True)
    story.read(9.6, 9.7, (2, "b#1/2"), backwards=True, limit=1, consistent=True)
    story.read(9.8, 9.9, (3, C), after=2, way="index:0")
    story.read(9.8, 9.9, (1, "b#0/2"), after=0, limit=1)
    story.load(20, 21, 4, digests([A, *labels("b", 2), C])[4], consistent=True)

    verdict = story.verdict()

    assert verdict.violations == []
    assert verdict.operations["append", "unknown"] == 3
    assert (verdict.streams, verdict.events, verdict.old_reads) == (1, 4, 0)


@pytest.mark.parametrize("versions", [[0, 2], [0, 0], [1, 0]], ids=["gap", "fork", "order"])
def test_versions_have_no_gap_and_no_fork(story: Story, versions: list[int]) -> None:
    """A version that is missing, there twice, or out of order."""
    story.log(A, B, versions=versions)
    story.append("a", 1, 2, "unknown")
    story.append("b", 1, 2, "unknown")

    assert Rule.VERSIONS in story.verdict().rules


def test_a_stream_is_on_its_partition(story: Story) -> None:
    """An event that another partition has."""
    story.log(A)
    story.log(B, partition=(HOME + 1) % PARTITIONS)
    story.append("a", 1, 2, version=0)
    story.append("b", 3, 4, version=1)

    assert story.verdict().rules == {Rule.VERSIONS}


@pytest.mark.parametrize(
    "found", [["x#0/3", "x#1/3"], ["x#0/3", A, "x#1/3", "x#2/3"], ["x#1/3", "x#0/3", "x#2/3"]],
    ids=["part", "pieces", "order"],
)  # fmt: skip
def test_an_append_is_whole(story: Story, found: list[str]) -> None:
    """A batch of which a part is there, or with another append within it; also when its outcome is unknown."""
    story.log(*found)
    story.append("x", 1, 2, "unknown", count=3)
    story.append("a", 1, 2, "unknown")

    assert story.verdict().rules == {Rule.WHOLE}


def test_an_append_is_there_once(story: Story) -> None:
    """K8, K6: the same append twice, at versions of their own."""
    story.log(A, B, A)
    story.append("a", 1, 2, version=0, commit="a")
    story.append("b", 3, 4, version=1)

    assert Rule.ONCE in story.verdict().rules


def test_an_unknown_append_is_there_once_at_most(story: Story) -> None:
    """Unknown means once or not at all."""
    story.log(A, A)
    story.append("a", 1, None)

    assert Rule.ONCE in story.verdict().rules


def test_an_acknowledged_append_is_there(story: Story) -> None:
    """An append that was acknowledged and is lost."""
    story.log(A)
    story.append("a", 1, 2, version=0)
    story.append("b", 3, 4, version=1)

    assert story.verdict().rules == {Rule.ACKNOWLEDGED}


def test_an_acknowledged_append_is_where_its_answer_says(story: Story) -> None:
    """An answer with another version."""
    story.log(A, B)
    story.append("a", 1, 2, version=0)
    story.append("b", 3, 4, version=2)

    assert story.verdict().rules == {Rule.ACKNOWLEDGED}


@pytest.mark.parametrize("outcome", ["lost", "refused"])
def test_a_refused_append_is_not_there(story: Story, outcome: Outcome) -> None:
    """An append of which its caller was told that nothing happened."""
    story.log(A)
    story.append("a", 1, 2, outcome, 5 if outcome == "lost" else None, expected=NO_STREAM)

    assert Rule.REFUSED in story.verdict().rules


def test_answers_under_one_commit_id_are_equal(story: Story) -> None:
    """E1: a repeat that is told another version."""
    story.log(A, B)
    story.append("a", 1, 2, version=0, commit="a")
    story.append("b", 3, 4, version=1)
    story.append("a", 5, 6, version=1, commit="a")

    assert story.verdict().rules == {Rule.REPEATS}


def test_a_commit_id_has_one_content(story: Story) -> None:
    """E1: other events under the same commit id are there as well."""
    story.log(A, B)
    story.append("a", 1, 2, version=0, commit="id")
    story.append("b", 3, 4, version=1, commit="id")

    assert story.verdict().rules == {Rule.REPEATS}


def test_an_append_is_where_its_writer_expected(story: Story) -> None:
    """An append that went through although the stream had moved on."""
    story.log(A, B, C)
    story.append("a", 1, 2, version=0)
    story.append("b", 3, 4, version=1)
    story.append("c", 5, 6, version=2, expected=0)

    assert story.verdict().rules == {Rule.EXPECTED}


def test_an_append_is_refused_elsewhere_only(story: Story) -> None:
    """A lost race with the very version that was expected."""
    story.log(A)
    story.append("a", 1, 2, version=0)
    story.append("b", 3, 4, "lost", 0, expected=0)

    assert story.verdict().rules == {Rule.EXPECTED}


def test_what_is_there_was_appended(story: Story) -> None:
    """An event that nobody tried to append."""
    story.log(A)

    assert story.verdict().rules == {Rule.UNKNOWN_WRITER}


def test_half_a_line_is_no_line(story: Story, tmp_path: Path) -> None:
    """What a killed process had begun to write says nothing: the append is still under way."""
    story.log(A)
    story.append("a", 1, None)
    with (tmp_path / "a.jsonl").open("ab") as file:
        file.write(b'{"e":"return","op":1,"at":20000000')

    (operation,) = read_histories(tmp_path).operations

    assert operation.outcome == "unknown"
    assert story.verdict().violations == []
