"""Rules of the kernel that show when something is wrong: K2, K5 to K8, K12, K13."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from eventstore.clock import ManualClock, SystemClock
from eventstore.log.kafka.ending import Ending
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.log.records import Position, TopicPartition
from eventstore.processor.port import DecideContext
from eventstore.processor.rows import SyncedTo, synced_row
from eventstore.processor.topics import TOMBSTONE_RETENTION_MS
from eventstore.registry import TopicRegistry
from eventstore.state.memory import MemoryStateEngine
from schemas import Command, Failure, Message, Metadata, Serde
from tests.eventstore.processor.counters import Add, Added, Ask, Bench, Counters, Total, records_of
from tests.eventstore.watched_state import WatchedState

HOME = TopicPartition("counter.inbox", partition_of("a", 2))


def successor_of(bench: Bench, **changes: Any) -> Bench:
    """Another process of the same service, after this one was closed."""
    bench.close()
    return Bench(bench.log, clock=bench.clock, registry=bench.registry, **changes)


def sent_from_now_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[Mapping[TopicPartition, Position]]:
    """The positions that the unit's commits name, one after the other."""
    transactor = bench.unit._commits.transactor
    assert transactor is not None
    real, sent = transactor.commit, list[Mapping[TopicPartition, Position]]()

    def commit(positions: Mapping[TopicPartition, Position], *others: Any) -> dict[TopicPartition, int]:
        sent.append(positions)
        return real(positions, *others)

    monkeypatch.setattr(transactor, "commit", commit)
    return sent


def test_a_unit_may_stop_before_it_was_ever_stepped(bench: Bench) -> None:
    """The last poll of a stop may still assign partitions: they are released, and the successor gets them."""
    successor = successor_of(bench)

    assert successor.ask(Add(counter="a", by=1)) == Total(is_=1)


def test_a_batch_that_read_nothing_sends_its_position(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """K2: a batch of local calls only names the partition that it writes, or no successor would wait for it."""
    bench.run()
    sent = sent_from_now_on(bench, monkeypatch)

    bench.ask(Add(counter="a", by=1))
    bench.ask(Add(counter="a", by=2))

    assert [set(positions) for positions in sent] == [{HOME}, {HOME}]
    assert {positions[HOME].offset for positions in sent} == {0}


def test_positions_of_a_quiet_group_are_committed_daily(
    bench: Bench, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K12: the broker forgets the positions of topics that nobody commits for, so all that are owned are sent again."""
    bench.ask(Add(counter="a", by=1))
    bench.run()
    sent = sent_from_now_on(bench, monkeypatch)
    clock.advance(timedelta(hours=23))
    bench.run()
    assert sent == []

    clock.advance(timedelta(hours=2))
    bench.run(lambda: bool(sent), steps=50)

    assert {at.partition for at in sent[0]} == {0, 1}


class Double(Command[None], to="counter", key="counter", name="counter.double"):
    """A command that came with a later release."""

    counter: str


class LaterCounters(Counters):
    """The release that knows it."""

    messages: Sequence[type[Message]] = (*Counters.messages, Double)

    def decide(self, state: int, message: Message, context: DecideContext[int]) -> None:
        if isinstance(message, Double):
            context.append(Added(by=state))
        else:
            super().decide(state, message, context)


def test_a_type_that_comes_with_a_deploy_waits_in_the_stash(bench: Bench) -> None:
    """K7: neither dead-lettered nor skipped; an owner that has the code decides on it, once, after any failover."""
    bench.ask(Add(counter="a", by=3))
    newer = Serde(bench.registry, [Double])
    headers = (("meta", Metadata(id="double", type="counter.double").encode()),)
    bench.post_bytes("a", newer.encode(Double(counter="a")), headers)
    bench.run()
    assert bench.records("counter.inbox.bench.dlq") == []
    same = successor_of(bench, state=MemoryStateEngine())
    same.run()
    assert same.events("a") == [(0, 3)]

    deployed = successor_of(same, processors=[LaterCounters()], state=MemoryStateEngine())
    deployed.serde.register([Double])
    deployed.run(lambda: len(deployed.events("a")) == 2)
    again = successor_of(deployed, processors=[LaterCounters()], state=MemoryStateEngine())
    again.serde.register([Double])
    again.run()

    assert again.events("a") == [(0, 3), (1, 3)]


def test_a_failure_is_not_remembered(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """K8: the same id is decided again after a failure, because a failure is no outcome."""
    with monkeypatch.context() as broken:
        broken.setattr(Counters, "decide", _failing)
        failure = bench.ask(Add(counter="a", by=3), id="once")
    assert isinstance(failure, Failure)

    assert bench.ask(Add(counter="a", by=3), id="once") == Total(is_=3)


def _failing(self: Counters, state: int, message: Message, context: DecideContext[int]) -> None:
    raise RuntimeError("not today")


@pytest.mark.parametrize("wrong", ["too old", "beyond the end", "nothing"])
def test_state_that_cannot_be_trusted_is_rebuilt(bench: Bench, clock: ManualClock, wrong: str) -> None:
    """K13: state in sync so long ago that a tombstone may be missed, or beyond the log's end, is discarded."""
    bench.close()
    watched = WatchedState()
    first = Bench(bench.log, clock=clock, registry=bench.registry, state=watched)
    first.ask(Add(counter="a", by=3))
    name = f"bench/counter/{HOME.partition}"
    first.close()
    if wrong == "too old":
        clock.advance(timedelta(milliseconds=TOMBSTONE_RETENTION_MS / 2 + 1))
    elif wrong == "beyond the end":
        state = watched.open(name, watched.identities[name])
        state.write([synced_row(SyncedTo(9, 1_000, 1_000, clock.now_ms()))])
        state.close()

    second = Bench(bench.log, clock=clock, registry=bench.registry, state=watched)
    total = second.ask(Ask(counter="a"))

    assert total == Total(is_=3)
    assert (name in watched.discarded) == (wrong != "nothing")


def test_a_hung_transaction_is_fenced_by_the_successor(
    log: Log, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """K5: a process hangs in the middle of a commit; who takes its partitions ends its transaction, and serves."""
    name = unique("counter")
    first = _on(log, name, "0")
    first.run()
    transactor: Any = first.unit._commits.transactor
    consumer: Any = first.unit._consumer
    with monkeypatch.context() as hanging:
        hanging.setattr(Ending, "run", _hang)
        hanging.setattr(transactor, "abort", lambda: None)
        _post(log, first, name, "lost", 1)
        with pytest.raises(Hung):
            first.run(lambda: False)
        consumer.close()

    second = _on(log, name, "1")
    with capture_logs() as said:
        second.run()
        second.run(lambda: len(records_of(log, f"{name}.events")) == 1)
    second.close()

    fenced = [line for line in said if line["event"] == "hung_predecessor_fenced"]
    assert [line["transactional_id"] for line in fenced] == [f"{name}.0"]


class Hung(BaseException):
    """Stands for a process that stops in the midst of a call."""


def _hang(ending: Any, timeout: float) -> None:
    """The positions were sent."""
    ending._send(ending._member, timeout)
    raise Hung


def _on(log: Log, name: str, slot: str) -> Bench:
    registry: Any = TopicRegistry(log)
    return Bench(log, service=name, slot=slot, clock=SystemClock(), registry=registry, processors=[Counters(name, 1)])


def _post(log: Log, bench: Bench, name: str, id: str, by: int) -> None:
    producer = log.producer()
    metadata = Metadata(id=id, type="add").encode()
    producer.produce(f"{name}.inbox", 0, b"a", bench.serde.encode(Add(counter="a", by=by)), (("meta", metadata),))
    producer.flush()
    producer.close()
