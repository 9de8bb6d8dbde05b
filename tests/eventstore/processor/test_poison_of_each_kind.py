"""K6: an input whose records no broker takes is found among all that come with it, whatever kind of input it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from eventstore.clock import ManualClock
from eventstore.log import open_log
from eventstore.log.errors import DataRefused
from eventstore.log.records import TopicPartition
from eventstore.processor.inputs import Answered, Outgoing
from eventstore.state.memory import MemoryStateEngine
from schemas import Failure, Metadata, Serde
from tests.eventstore.processor.counters import Add, Added, AddLater, Bench, StopAdding
from tests.eventstore.processor.test_rules import Double, LaterCounters, successor_of

BAD = 3
"""Events of this amount are refused."""


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(open_log("memory://"))
    yield bench
    bench.close()
    bench.log.close()


def by_record(bench: Bench) -> Bench:
    bench.post(Add(counter="a", by=BAD), id="bad")
    return bench


def by_timer(bench: Bench) -> Bench:
    bench.ask(AddLater(counter="a", by=BAD, after_ms=5))
    assert isinstance(bench.clock, ManualClock)
    bench.clock.advance(timedelta(milliseconds=10))
    return bench


def by_call(bench: Bench) -> Bench:
    bench.call(Add(counter="a", by=BAD), lambda _: None, id="bad")
    return bench


def by_stash(bench: Bench) -> Bench:
    """The type came with a deploy, which doubles what is there now."""
    bench.ask(Add(counter="b", by=BAD))
    meta = Metadata(id="bad", type=Double.__type_name__).encode()
    bench.post_bytes("b", Serde(bench.registry, [Double]).encode(Double(counter="b")), (("meta", meta),))
    bench.run()
    deployed = successor_of(bench, processors=[LaterCounters()], state=MemoryStateEngine())
    deployed.serde.register([Double])
    return deployed


@pytest.mark.parametrize("give", [by_record, by_timer, by_call, by_stash])
def test_it_alone_is_dead_lettered(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, give: Callable[[Bench], Bench]
) -> None:
    """One by a timer came again for ever, and the inputs that came beside it became dead letters."""
    answers: list[Answered] = []
    bench.run()

    for number in range(1, BAD):
        bench.post(Add(counter="a", by=number), id=f"post {number}")
    bench = give(bench)
    refuse(bench, monkeypatch)
    for number in range(BAD + 1, 8):
        bench.post(Add(counter="a", by=number), id=f"post {number}")
        bench.call(Add(counter="a", by=10 * number), answers.append, id=f"call {number}")
    bench.run(lambda: len(bench.events("a")) == 10 and len(answers) == 4)
    bench.run()

    assert sorted(by for _, by in bench.events("a")) == [1, 2, 4, 5, 6, 7, 40, 50, 60, 70]
    assert not any(isinstance(answer.message, Failure) for answer in answers)
    [letter] = bench.records("counter.inbox.bench.dlq")
    assert letter.value is not None
    assert bench.serde.decode(letter.value) in (Add(counter="a", by=BAD), Double(counter="b"))


def refuse(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """No transaction with a bad event is taken from now on."""
    transactor: Any = bench.unit._commits.transactor
    produce, commit, refused = transactor.produce_all, transactor.commit, list[bytes | None]()
    bad = bench.serde.encode(Added(by=BAD))

    def watched(records: Sequence[Outgoing]) -> None:
        refused.extend(value for topic, _, _, value, _, _ in records if topic == "counter.events" and value == bad)
        produce(records)

    def refusing(*arguments: Any) -> dict[TopicPartition, int]:
        if refused:
            refused.clear()
            transactor.abort()
            raise DataRefused("counter.events takes no such record")
        done: dict[TopicPartition, int] = commit(*arguments)
        return done

    monkeypatch.setattr(transactor, "produce_all", watched)
    monkeypatch.setattr(transactor, "commit", refusing)


def test_timers_come_after_the_inbox_also_one_by_one(bench: Bench) -> None:
    """K9: what was polled and waits for its turn is not handled yet. It cancels the timer, which would be first."""
    bench.ask(AddLater(counter="a", by=1, after_ms=10))
    bench.post(StopAdding(counter="a"))
    assert isinstance(bench.clock, ManualClock)
    bench.clock.advance(timedelta(milliseconds=20))
    bench.unit._limit = 1  # pyright: ignore[reportPrivateUsage] - as after a batch that was refused

    bench.run()

    assert bench.events("a") == []
