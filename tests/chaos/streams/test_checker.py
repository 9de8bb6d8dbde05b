"""The checker finds what is wrong: histories and logs that are made up, each with one promise broken."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from eventstore.log.partition import partition_of
from tests.chaos.streams.checker import Verdict, check
from tests.chaos.streams.history import (
    ANYTHING,
    NO_STREAM,
    Disturbed,
    Invoke,
    Kind,
    Outcome,
    Recorder,
    Return,
    read_histories,
)
from tests.chaos.streams.log_scan import Final, Logged
from tests.chaos.streams.model import PARTITIONS, digests, labels
from tests.chaos.streams.violations import Rule

HOME = partition_of("s", PARTITIONS)


class Story:
    """A history of the stream `s`, told in seconds, and what the log has."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._recorders: dict[str, Recorder] = {}
        self.final = Final()

    def log(self, *names: str, versions: Sequence[int] | None = None, partition: int = HOME) -> None:
        """The log has these events, by default at the versions that come next."""
        logged = self.final.streams["s"]
        first = logged[-1].version + 1 if logged else 0
        for place, name in enumerate(names):
            version = first + place if versions is None else versions[place]
            logged.append(Logged(version, name, partition, len(logged), 0))

    def append(
        self, content: str, began: float, ended: float | None, outcome: Outcome = "ok", version: int | None = None, *,
        expected: int = ANYTHING, commit: str = "", count: int = 1,
    ) -> None:  # fmt: skip
        """A call that tried to append; `ended` None: its process ended before."""
        self._tell("a", "append", began, ended, Return(op=0, at=0, outcome=outcome, version=version),
                   expected=expected, commit=commit, content=content, count=count)  # fmt: skip

    def read(
        self, began: float, ended: float, *events: tuple[int, str], consistent: bool = False, way: str = "owner",
        after: int | None = None, until: int | None = None, backwards: bool = False, limit: int | None = None,
        process: str = "r",
    ) -> None:  # fmt: skip
        """A read and what it gave."""
        result = Return(op=0, at=0, outcome="ok", events=list(events), way=way)
        self._tell(process, "read", began, ended, result, consistent=consistent, after=after, until=until,
                   backwards=backwards, limit=limit)  # fmt: skip

    def load(self, began: float, ended: float, count: int, digest: str, *, consistent: bool = False) -> None:
        """A load and what it folded."""
        result = Return(op=0, at=0, outcome="ok", count=count, digest=digest, way="owner")
        self._tell("r", "load", began, ended, result, consistent=consistent)

    def disturb(self, since: float, until: float) -> None:
        """The nemesis was at work."""
        self._recorder("nemesis").write(Disturbed(_ns(since), _ns(until)))

    def verdict(self) -> Verdict:
        """What the checker says."""
        return check(read_histories(self._folder), self.final)

    def _tell(
        self, process: str, do: Kind, began: float, ended: float | None, result: Return, **options: object
    ) -> None:
        recorder = self._recorder(process)
        op = recorder.next_op()
        recorder.write(Invoke(op=op, at=_ns(began), caller=0, do=do, stream="s", **options))  # type: ignore[arg-type]
        if ended is not None:
            recorder.write(
                Return(
                    op=op, at=_ns(ended), outcome=result.outcome, version=result.version, events=result.events,
                    count=result.count, digest=result.digest, way=result.way,
                )
            )  # fmt: skip

    def _recorder(self, process: str) -> Recorder:
        if process not in self._recorders:
            self._recorders[process] = Recorder(self._folder / f"{process}.jsonl")
        return self._recorders[process]

    def close(self) -> None:
        for recorder in self._recorders.values():
            recorder.close()


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


A, B, C = "a#0/1", "b#0/1", "c#0/1"


@pytest.fixture
def story(tmp_path: Path):  # type: ignore[no-untyped-def]
    """A story to be told."""
    told = Story(tmp_path)
    yield told
    told.close()


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


def test_an_index_may_lack_for_a_moment_what_others_were_told(story: Story) -> None:
    """The answer is in the transaction, the index is written after it; the process that was told itself has it."""
    story.log(A)
    story.append("a", 1, 2, version=0)
    story.read(2.1, 2.2, way="index:0", process="owner")
    assert story.verdict().violations == []
    assert story.verdict().old_reads == 1

    story.read(2.1, 2.2, way="index:0", process="a")
    assert story.verdict().rules == {Rule.FRESH}


def test_an_index_has_soon_what_others_were_told(story: Story) -> None:
    """An index that lacks it some seconds later is wrong."""
    story.log(A)
    story.append("a", 1, 2, version=0)
    story.read(4.5, 5, way="index:0")

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


def test_half_a_line_is_no_line(story: Story, tmp_path: Path) -> None:
    """What a killed process had begun to write says nothing: the append is still under way."""
    story.log(A)
    story.append("a", 1, None)
    with (tmp_path / "a.jsonl").open("ab") as file:
        file.write(b'{"e":"return","op":1,"at":20000000')

    (operation,) = read_histories(tmp_path).operations

    assert operation.outcome == "unknown"
    assert story.verdict().violations == []
