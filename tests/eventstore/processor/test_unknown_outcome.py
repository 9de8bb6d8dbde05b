"""Commits whose outcome the producer cannot know, on a real Kafka: the caller that waits learns the truth (K6)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eventstore.clock import SystemClock
from eventstore.log import open_log
from eventstore.log.partition import partition_of
from eventstore.processor.inputs import Answered, Call
from eventstore.registry import TopicRegistry
from eventstore.state.memory import MemoryStateEngine
from eventstore.testing.proxy import END_TXN, KafkaProxy, Moment
from schemas import Metadata
from tests.eventstore.processor.counters import Add, Bench, Counters, Total, records_of


@pytest.fixture
def proxy(kafka: str) -> Iterator[KafkaProxy]:
    with KafkaProxy(kafka) as proxy:
        yield proxy


@pytest.fixture
def bench(proxy: KafkaProxy, name: str) -> Iterator[Bench]:
    log = open_log(f"kafka://{proxy.bootstrap}?api_timeout=5")
    bench = Bench(
        log, service=name, clock=SystemClock(), state=MemoryStateEngine(), registry=TopicRegistry(log),
        processors=[Counters(name, 1)],
    )  # fmt: skip
    bench.run(lambda: bench.unit.owns(name, 0), steps=20_000)
    yield bench
    proxy.heal()
    bench.close()
    log.close()


def call(bench: Bench, name: str, key: str, by: int, answers: list[Answered]) -> None:
    message_id = f"{key}-{by}"
    bench.unit.call(
        Call(name, key, partition_of(key, 1), Add(counter=key, by=by), Metadata(id=message_id), answers.extend)
    )


@pytest.mark.parametrize("moment", ["unsent", "unanswered"])
def test_a_commit_cut_off_is_resolved_to_the_truth(
    bench: Bench, proxy: KafkaProxy, kafka: str, name: str, moment: Moment
) -> None:
    """The connection is cut at EndTxn, before the broker sees it or after it obeyed; the input took effect once."""
    answers: list[Answered] = []
    call(bench, name, "a", 1, answers)
    bench.run(lambda: len(answers) == 1, steps=20_000)
    first = bench.unit._commits.transactor

    cut = proxy.cut(END_TXN, moment)
    call(bench, name, "a", 2, answers)
    bench.run(lambda: len(answers) == 2, steps=20_000)

    assert cut.happened.is_set()
    assert bench.unit._commits.transactor is not first
    assert answers[1].message == Total(is_=3)
    direct = open_log(f"kafka://{kafka}")
    keys = [record.key for record in records_of(direct, f"{name}.events")]
    direct.close()
    assert keys == [b"a/0", b"a/1"]


def test_many_commits_cut_at_random_leave_the_books_right(
    bench: Bench, proxy: KafkaProxy, kafka: str, name: str
) -> None:
    """Every fifth commit is cut, in turn before and after the broker obeys: each input is in the log once, in order."""
    answers: list[Answered] = []
    for number in range(30):
        if number % 5 == 4:
            proxy.cut(END_TXN, "unsent" if number % 2 else "unanswered")
        call(bench, name, "a", number + 1, answers)
        bench.run(lambda wanted=number + 1: len(answers) == wanted, steps=20_000)  # type: ignore[misc] # a default keeps the loop's value

    assert [answer.message for answer in answers] == [Total(is_=n * (n + 1) // 2) for n in range(1, 31)]
    direct = open_log(f"kafka://{kafka}")
    keys = [record.key for record in records_of(direct, f"{name}.events")]
    direct.close()
    assert keys == [f"a/{number}".encode() for number in range(30)]
