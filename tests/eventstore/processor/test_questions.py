"""Questions about streams: answered without a trace in the log, fenced ones after a commit only (K15)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from eventstore.clock import ManualClock
from eventstore.log import open_log
from eventstore.log.errors import StaleMember
from eventstore.log.local.consumer import LocalConsumer
from eventstore.log.partition import partition_of
from eventstore.log.records import Position, Topic, TopicPartition
from eventstore.processor.inputs import Answered, Call
from eventstore.processor.pages import unpacked
from eventstore.processor.questions import KEPT_MS, PageRead, ReadPage
from schemas import Metadata, ReplyTo
from tests.eventstore.processor.counters import Add, Bench, Total

AT = TopicPartition("counter.inbox", partition_of("a", 2))


@pytest.fixture
def bench() -> Bench:
    bench = Bench(open_log("memory://"))
    bench.log.create([Topic(name="answers", partitions=1)])
    return bench


def _question(bench: Bench, *, fenced: bool = False, after: int = -1, events: int = 10) -> ReadPage:
    now_ms = bench.clock.now_ms()
    return ReadPage(after=after, until=None, backwards=False, events=events, fenced=fenced, asked_ms=now_ms)


def _post(bench: Bench, question: ReadPage, correlation: str = "q") -> None:
    """Put a question into the inbox, as a foreign process does."""
    metadata = Metadata(id=correlation, type="sagalog.read_page", reply=ReplyTo("answers", 0, correlation))
    bench.post_bytes("a", bench.serde.encode(question), (("meta", metadata.encode()),))


def _answers(bench: Bench) -> list[PageRead]:
    found = [bench.serde.decode(record.value or b"") for record in bench.records("answers")]
    assert all(isinstance(each, PageRead) for each in found)
    return [each for each in found if isinstance(each, PageRead)]


class Commits:
    """What a unit commits, as long as nothing is planted."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        transactor = bench.unit._commits.transactor
        assert transactor is not None
        self.positions: list[set[TopicPartition]] = []
        self.refusals = 0
        real = transactor.commit

        def commit(positions: Mapping[TopicPartition, Position], *others: Any) -> Any:
            if self.refusals:
                self.refusals -= 1
                transactor.abort()
                raise StaleMember("the group moved on")
            self.positions.append(set(positions))
            return real(positions, *others)

        monkeypatch.setattr(transactor, "commit", commit)


def test_a_question_is_answered_without_a_transaction(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is journaled; the position it moved is committed when that is due."""
    assert bench.ask(Add(counter="a", by=1)) == Total(is_=1)
    assert bench.ask(Add(counter="a", by=2)) == Total(is_=3)
    before, commits = len(bench.records("counter.state")), Commits(bench, monkeypatch)

    for number in range(3):
        _post(bench, _question(bench, after=0), f"q{number}")
        bench.run(lambda number=number: len(_answers(bench)) == number + 1)  # type: ignore[misc]

    assert commits.positions == []
    assert len(bench.records("counter.state")) == before
    (row,) = unpacked(_answers(bench)[0].rows)
    assert (row.version, bench.serde.decode(row.value).by) == (1, 2)  # type: ignore[attr-defined]
    assert [Metadata.decode(record.headers[0][1]).correlation for record in bench.records("answers")] == [
        "q0", "q1", "q2",
    ]  # fmt: skip
    assert isinstance(bench.clock, ManualClock)
    bench.clock.advance(timedelta(seconds=2))
    bench.run(lambda: commits.positions == [{AT}])


@pytest.mark.parametrize("is_local", [True, False])
def test_a_fenced_question_is_answered_after_a_commit_that_names_its_partition(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, is_local: bool
) -> None:
    """K15, K2: as long as commits are refused there is no answer."""
    bench.ask(Add(counter="a", by=1))
    commits = Commits(bench, monkeypatch)
    commits.refusals = 3
    answered: list[Answered] = []

    if is_local:
        _call(bench, _question(bench, fenced=True), answered)
    else:
        _post(bench, _question(bench, fenced=True))
    bench.run(lambda: commits.refusals == 0)
    assert not answered
    assert not _answers(bench)
    bench.run(lambda: bool(answered or _answers(bench)))

    assert len(commits.positions) == 1
    assert AT in commits.positions[0]


def _call(bench: Bench, question: ReadPage, answered: list[Answered]) -> None:
    bench.unit.call(Call("counter", "a", AT.partition, question, Metadata(id="q"), answered.extend))


def test_a_former_owner_answers_no_fenced_question(bench: Bench) -> None:
    """K15: it was away while its session ended; what its successor appended is in no index of its own."""
    bench.ask(Add(counter="a", by=1))
    consumer = bench.unit._consumer
    assert isinstance(consumer, LocalConsumer)
    consumer.expire()
    successor = Bench(bench.log, slot="1", clock=bench.clock, registry=bench.registry)
    assert successor.ask(Add(counter="a", by=2)) == Total(is_=3)
    answered: list[Answered] = []

    _call(bench, _question(bench, fenced=True), answered)
    for _ in range(20):
        bench.unit.step(0.0)
        successor.unit.step(0.0)

    heads = [each.message.head for each in answered if isinstance(each.message, PageRead)]
    assert set(heads) <= {1}
    assert answered or bench.moved, "the question was lost"


def test_local_questions_of_a_partition_that_leaves_are_passed_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K10: none is left without an answer."""
    bench.ask(Add(counter="a", by=1))
    answered: list[Answered] = []
    monkeypatch.setattr("eventstore.processor.questions.ANSWER_SECONDS", -1.0)
    _call(bench, _question(bench), answered)
    bench.unit.step(0.0)

    bench.close()

    assert not answered
    assert [call.metadata.id for call in bench.moved] == ["q"]


def test_a_question_that_nobody_waits_for_is_dropped(bench: Bench) -> None:
    """After an outage the inbox may hold many."""
    assert isinstance(bench.clock, ManualClock)
    bench.ask(Add(counter="a", by=1))
    _post(bench, _question(bench), "old")
    bench.clock.advance(timedelta(milliseconds=KEPT_MS + 1))
    _post(bench, _question(bench), "new")

    bench.run(lambda: len(bench.records("answers")) == 1)

    (record,) = bench.records("answers")
    assert Metadata.decode(record.headers[0][1]).correlation == "new"
    assert bench.unit.metrics()["processor_questions_dropped_total"] == 1


def test_an_answer_that_cannot_be_sent_does_not_stop_the_unit(bench: Bench) -> None:
    """Its address is of a topic that does not exist."""
    metadata = Metadata(id="q", type="sagalog.read_page", reply=ReplyTo("nowhere", 0, "q"))
    bench.post_bytes("a", bench.serde.encode(_question(bench)), (("meta", metadata.encode()),))

    bench.run(lambda: bench.unit.metrics()["processor_questions_dropped_total"] == 1)

    assert bench.ask(Add(counter="a", by=1)) == Total(is_=1)


def test_the_head_alone_can_be_asked_for(bench: Bench) -> None:
    """No event travels."""
    bench.ask(Add(counter="a", by=1))

    _post(bench, _question(bench, events=0))
    bench.run(lambda: bool(_answers(bench)))

    (answer,) = _answers(bench)
    assert (answer.head, unpacked(answer.rows)) == (0, [])
