"""A group that moves at a bad moment: nothing fails, nothing is skipped, nothing stays behind (K2, K3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from eventstore.log import open_log
from eventstore.log.errors import StaleMember
from eventstore.log.local.consumer import LocalConsumer
from eventstore.log.local.producer import LocalTransactor
from eventstore.log.port import Batch
from eventstore.log.records import Record, Topic
from eventstore.processor.restore import Restore
from eventstore.processor.rows import SyncedTo
from eventstore.state.memory import MemoryState
from schemas import Handled, Metadata, ReplyTo
from tests.eventstore.processor.counters import Add, Bench, Total


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(open_log("memory://"))
    yield bench
    bench.log.close()


def test_a_first_position_that_is_refused_is_committed_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """K2: the group rebalances while a new partition's low watermark is committed: the takeover goes on."""
    real, refusals = LocalConsumer.commit, iter([True, True])

    def commit(self: LocalConsumer, *arguments: Any) -> None:
        if next(refusals, False):
            raise StaleMember("the group moved on")
        real(self, *arguments)

    monkeypatch.setattr(LocalConsumer, "commit", commit)

    assert bench.ask(Add(counter="a", by=1)) == Total(is_=1)


def test_records_that_come_without_a_membership_come_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """K3: they cannot be committed now; their positions must not be passed by the next commit."""
    bench.ask(Add(counter="a", by=1))
    real, is_member = LocalConsumer.poll, iter([False])

    def poll(self: LocalConsumer, *arguments: Any) -> Batch:
        batch = real(self, *arguments)
        return Batch(batch.records, None) if batch.records and not next(is_member, True) else batch

    monkeypatch.setattr(LocalConsumer, "poll", poll)
    bench.post(Add(counter="a", by=2))
    bench.run()

    assert bench.events("a") == [(0, 1), (1, 2)]


def test_who_has_nothing_to_write_lets_its_transactor_rest(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without a membership, as while brokers are away."""
    bench.ask(Add(counter="a", by=1))
    rested: list[str] = []

    def rest(transactor: LocalTransactor) -> None:
        rested.append(transactor.transactional_id)

    def poll(_: LocalConsumer, *__: object) -> Batch:
        return Batch([], None)

    monkeypatch.setattr(LocalTransactor, "rest", rest)
    monkeypatch.setattr(LocalConsumer, "poll", poll)

    bench.unit.step(0.0)

    assert len(rested) == 1


def test_calls_of_who_lost_its_membership_are_passed_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """K10: who has the partition now answers them, however long this process takes to join its group again."""
    bench.ask(Add(counter="a", by=1))
    bench.call(Add(counter="a", by=2), lambda _: None, id="waits")
    served = bench.unit._served

    def poll(_: LocalConsumer, *__: object) -> Batch:
        served.lost([*served.partitions])
        return Batch([], None)

    monkeypatch.setattr(LocalConsumer, "poll", poll)
    bench.unit.step(0.0)

    assert [call.metadata.id for call in bench.moved] == ["waits"]


def test_a_unit_whose_last_commit_is_refused_leaves_its_group(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that is left behind would hold its partitions as long as it may go without a poll: a minute."""
    bench.ask(Add(counter="a", by=1))
    bench.unit._commits._sent.clear()  # positions are to be sent
    consumer = bench.unit._consumer
    assert isinstance(consumer, LocalConsumer)
    transactor = bench.unit._commits.transactor
    assert transactor is not None

    def refuse(*_: object) -> None:
        transactor.abort()
        raise StaleMember("the group moved on")

    monkeypatch.setattr(transactor, "commit", refuse)
    bench.close()
    monkeypatch.undo()

    successor = Bench(bench.log, slot="1", clock=bench.clock, registry=bench.registry)
    assert successor.ask(Add(counter="a", by=1)) == Total(is_=2)


@pytest.mark.parametrize("last", ["events", "state"])
def test_a_step_that_was_undone_stays_undone_whichever_topic_is_read_last(last: str) -> None:
    """P2: the undo made an event, its do left only a row: a restore reads the two topics in any order."""
    state = MemoryState()
    restore = Restore(state, SyncedTo(0, 0, 0, 0), 0)
    attributes = {"saga": "s/1", "step": "one", "role": "undo"}
    meta = Metadata(id="u.0", attributes=attributes, done=Handled(step=2, input="u", answer=None)).encode()
    undone = Record("counter.events", 0, 0, 0, b"a/0", b"event", (("meta", meta),))
    done = Record("counter.state", 0, 0, 0, b"gs/1/one", bytes((1, 1)))

    if last == "state":
        restore.events([undone])
        restore.journaled([done])
    else:
        restore.journaled([done])
        restore.events([undone])
    restore.write()

    assert state.get(b"gs/1/one") == bytes((1, 2))


def test_each_failure_of_a_command_is_an_answer_of_its_own(bench: Bench) -> None:
    """P4: a saga repeats a command under the same id; two failures with one id would be taken for one."""
    bench.log.create([Topic(name="answers", partitions=1)])
    for _ in range(2):
        bench.post(Add(counter="a", by=-1), id="same", reply=ReplyTo("answers", 0, "asked"))
        bench.run()

    ids = [Metadata.decode(record.headers[0][1]).id for record in bench.records("answers")]
    assert len(ids) == len(set(ids)) == 2
