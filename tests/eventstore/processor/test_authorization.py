"""A permission that is missing stops the unit, by name (rule K6): it says nothing about the message."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from eventstore.clock import SystemClock
from eventstore.log import open_log
from eventstore.log.errors import LogError, NotAuthorized
from eventstore.log.port import Log
from eventstore.loops import LoopThread
from eventstore.processor.unit import Unit
from eventstore.registry import TopicRegistry
from schemas import Metadata
from tests.eventstore.log.kafka.guarded import Guarded, guarded_kafka
from tests.eventstore.processor.counters import Add, Bench, Counters, Total, records_of
from tests.waiting import eventually

REFUSED = NotAuthorized("write a unit as 'bench.0'", "injected")


@pytest.fixture
def bench(bench: Bench) -> Bench:
    """A unit on the memory engine that serves its partitions."""
    bench.run()
    return bench


@contextmanager
def refusing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Generator[list[int]]:
    """The broker refuses the unit's commits; counts them."""
    tried: list[int] = []
    transactor: Any = bench.unit._commits.transactor

    def commit(*_: object) -> Any:
        tried.append(1)
        transactor.abort()
        raise REFUSED

    with monkeypatch.context() as broken:
        broken.setattr(transactor, "commit", commit)
        yield tried


def test_a_refused_commit_stops_the_unit_by_name(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """K6: no second try, no smaller batch, no dead letter; a successor that is permitted handles each input once."""
    for number in range(8):
        bench.post(Add(counter="a", by=number))

    with refusing(bench, monkeypatch) as tried, pytest.raises(NotAuthorized, match="grant this principal the ACL"):
        bench.run(lambda: False)
    bench.close()
    successor = Bench(bench.log, clock=bench.clock, registry=bench.registry)
    successor.run()

    assert len(tried) == 1
    assert [by for _, by in successor.events("a")] == list(range(8))
    assert bench.records("counter.inbox.bench.dlq") == []


def test_a_call_that_was_refused_is_answered_by_a_successor(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """K6, K10: a local call is no poison either. It goes to the inbox under its id."""
    bench.call(Add(counter="a", by=3), lambda _: None, id="refused")

    with refusing(bench, monkeypatch), pytest.raises(NotAuthorized):
        bench.run(lambda: False)
    bench.unit.stop(bench.clock.monotonic())
    successor = Bench(bench.log, clock=bench.clock, registry=bench.registry)

    assert [call.metadata.id for call in bench.moved] == ["refused"]
    assert successor.ask(Add(counter="a", by=3), id="refused") == Total(is_=3)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Generator[Guarded]:
    """A Kafka that asks who is there."""
    with guarded_kafka(tmp_path_factory.mktemp("guarded")) as cluster:
        yield cluster


@pytest.fixture
def log(guarded: Guarded) -> Generator[Log]:
    """That Kafka, as `app` sees it."""
    opened = open_log(guarded.url)
    yield opened
    opened.close()


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("kind", "of", "operation"),
    [
        (ResourceType.TOPIC, "{}.events", AclOperation.WRITE),
        (ResourceType.TRANSACTIONAL_ID, "{}.0", AclOperation.WRITE),
        (ResourceType.GROUP, "{}", AclOperation.READ),
    ],
)
def test_a_permission_that_is_taken_away_stops_the_unit_and_loses_nothing(
    guarded: Guarded, log: Log, unique: Callable[[str], str], kind: Any, of: str, operation: Any
) -> None:
    """K6: of the journal, of the transactional id, of the group. The loop ends by name; with the permission given back
    it goes on by itself, and the record is handled once."""
    name = unique("counter")
    bench = Bench(log, service=name, clock=SystemClock(), registry=TopicRegistry(log), processors=[Counters(name, 1)])
    bench.run()
    bench.close()
    thread = LoopThread(lambda: Unit(bench.host, bench.processors, moved=bench.moved.append), bench.clock)
    thread.start()
    eventually(thread.is_ready, 20)

    guarded.forbid(kind, of.format(name), operation)
    post(log, bench, name)
    eventually(lambda: isinstance(thread.error, NotAuthorized), 20)
    stood = records_of(log, f"{name}.events") == [] == records_of(log, f"{name}.inbox.{name}.dlq")
    guarded.permit(kind, of.format(name))
    eventually(lambda: len(records_of(log, f"{name}.events")) == 1, 30)
    thread.ask_to_stop(bench.clock.monotonic() + 1)

    assert thread.join(20)
    assert stood
    assert len(records_of(log, f"{name}.events")) == 1
    assert records_of(log, f"{name}.inbox.{name}.dlq") == []


def post(log: Log, bench: Bench, name: str) -> None:
    """Put one command into the inbox."""
    producer, failed = log.producer(), list[LogError | None]()
    producer.produce(
        f"{name}.inbox", 0, b"a", bench.serde.encode(Add(counter="a", by=1)),
        (("meta", Metadata(id="posted", type="add").encode()),), on_delivery=lambda error, _: failed.append(error),
    )  # fmt: skip
    producer.close()
    assert failed == [None]
