"""A consumer whose client asks nobody any more is replaced; one that only has nothing to read is not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from eventstore.log.errors import StaleMember
from eventstore.log.kafka import KafkaLog, hearing
from eventstore.log.kafka.admin import Admin
from eventstore.log.kafka.group import KafkaGroupConsumer
from eventstore.log.kafka.reader import KafkaReader
from eventstore.log.kafka.settings import Settings, parse
from eventstore.log.records import Position, Record, TopicPartition
from eventstore.testing.proxy import KafkaProxy
from tests.eventstore.log.kafka.members import Heard
from tests.waiting import eventually

pytestmark = pytest.mark.kafka


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(hearing, "PAUSE_SECONDS", 0.05)


@pytest.fixture
def told() -> Iterator[list[EventDict]]:
    """What is logged."""
    with capture_logs() as events:
        yield events


@pytest.fixture
def admin(kafka: str) -> Admin:
    """Somebody whom the cluster answers, whatever becomes of the proxy."""
    return Admin(parse(kafka, {}))


@pytest.fixture
def settings(proxy: KafkaProxy) -> Settings:
    """Those of a client that can be cut off alone."""
    return parse(proxy.bootstrap, {})


def produce(log: KafkaLog, at: TopicPartition, *values: bytes) -> None:
    """Append, and wait for the acknowledgement."""
    producer = log.producer()
    for value in values:
        producer.produce(*at, b"key", value)
    producer.flush(10)
    producer.close()


def read(reader: KafkaReader) -> Sequence[Record]:
    """What there is."""
    return reader.read(100, 0.05)


def polled(member: KafkaGroupConsumer) -> Sequence[Record]:
    """What there is."""
    return member.poll(100, 0.05).records


def values(get: Callable[[], Sequence[Record]], count: int) -> list[bytes | None]:
    """Read until there are so many."""
    found: list[bytes | None] = []

    def are_there() -> bool:
        found.extend(record.value for record in get())
        return len(found) >= count

    eventually(are_there, 30)
    return found


def is_replaced(told: list[EventDict]) -> bool:
    """Whether a consumer was."""
    return any(event["event"] == "consumer_replaced" for event in told)


def test_a_deaf_reader_is_replaced_and_goes_on_where_it_was(
    log: KafkaLog,
    made: Sequence[TopicPartition],
    proxy: KafkaProxy,
    admin: Admin,
    settings: Settings,
    told: list[EventDict],
) -> None:
    """It is cut off for longer than a client that lives needs to come back, while others are answered."""
    at = made[0]
    produce(log, at, b"1", b"2")
    reader = KafkaReader(settings, admin, dict.fromkeys(made, 0), "committed")
    assert values(partial(read, reader), 2) == [b"1", b"2"]

    proxy.break_all()
    produce(log, at, b"3")
    eventually(lambda: not read(reader) and is_replaced(told), 20)
    proxy.heal()

    assert values(partial(read, reader), 1) == [b"3"]
    assert reader.position(at) == 3
    reader.close()


def test_a_deaf_member_loses_its_partitions_and_joins_again(
    log: KafkaLog,
    made: Sequence[TopicPartition],
    proxy: KafkaProxy,
    admin: Admin,
    settings: Settings,
    told: list[EventDict],
    unique: Callable[[str], str],
) -> None:
    """Who owned them may commit no more (K3), as after a session that ended."""
    heard, at = Heard(), made[0]
    produce(log, at, b"1")
    member = KafkaGroupConsumer(settings, admin, unique("group"), [at.topic], heard, 6_000)
    eventually(lambda: not polled(member) and member.assignment() == frozenset(made), 20)
    member.start(at, 0)
    assert values(partial(polled, member), 1) == [b"1"]
    before = member.poll(1, 0.0).member
    assert before is not None

    proxy.break_all()
    eventually(lambda: not polled(member) and is_replaced(told), 20)
    assert heard.events == [("assigned", frozenset(made)), ("lost", frozenset(made))]
    assert not member.assignment()
    with pytest.raises(StaleMember):
        member.commit({at: Position(1)}, before)
    proxy.heal()

    produce(log, at, b"2")
    eventually(lambda: not polled(member) and member.assignment() == frozenset(made), 30)
    member.start(at, 1)
    assert values(partial(polled, member), 1) == [b"2"]
    assert heard.events[2:] == [("assigned", frozenset(made))]
    member.close()


def test_who_waits_long_for_records_is_asked_as_long(
    kafka: str, log: KafkaLog, made: Sequence[TopicPartition], admin: Admin, told: list[EventDict]
) -> None:
    """A broker answers one question after the other: the fetch first."""
    reader = KafkaReader(parse(kafka, {"fetch.wait.max.ms": "4000"}), admin, {made[0]: 0}, "committed")

    until = time.monotonic() + 6
    while time.monotonic() < until and not is_replaced(told):
        assert not read(reader)

    assert not is_replaced(told)
    reader.close()


def test_nobody_is_replaced_while_the_cluster_answers_nobody(
    log: KafkaLog, made: Sequence[TopicPartition], proxy: KafkaProxy, settings: Settings, told: list[EventDict]
) -> None:
    """A client comes back by itself when the brokers do."""
    at = made[0]
    reader = KafkaReader(settings, Admin(settings), {at: 0}, "committed")
    proxy.break_all()

    until = time.monotonic() + 2 * hearing.TIMES * hearing.ANSWER_SECONDS
    while time.monotonic() < until:
        assert not read(reader)
    assert not is_replaced(told)
    proxy.heal()

    produce(log, at, b"1")
    assert values(partial(read, reader), 1) == [b"1"]
    reader.close()


def test_one_that_has_nothing_to_read_is_kept(
    log: KafkaLog, made: Sequence[TopicPartition], settings: Settings, admin: Admin, told: list[EventDict]
) -> None:
    """It is asked now and then, and answers."""
    reader = KafkaReader(settings, admin, {made[0]: 0}, "committed")

    until = time.monotonic() + 1
    while time.monotonic() < until:
        assert not read(reader)

    assert not is_replaced(told)
    reader.close()
