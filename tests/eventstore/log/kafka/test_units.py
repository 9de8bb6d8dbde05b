"""Endings of units of work on the real broker (K6), some of them with the connection cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from confluent_kafka import Producer

from eventstore.log.errors import (
    BrokerUnreachable,
    Fenced,
    LogClosed,
    LogError,
    MessageTooLarge,
    OutcomeUnknown,
    TransactionAborted,
)
from eventstore.log.kafka import KafkaLog
from eventstore.log.kafka.bounded import BoundedCalls
from eventstore.log.kafka.diagnostics import Diagnostics
from eventstore.log.kafka.fencing import open_client
from eventstore.log.kafka.settings import Settings
from eventstore.log.records import Position, Topic, TopicPartition
from eventstore.testing.proxy import ADD_PARTITIONS_TO_TXN, END_TXN, PRODUCE, KafkaProxy, Moment
from tests.eventstore.log.kafka.members import Members, settle
from tests.waiting import eventually


def committed(log: KafkaLog, at: TopicPartition) -> list[bytes | None]:
    """All that a read-committed reader finds up to the uncommitted end."""
    reader, end = log.reader({at: 0}), log.end_positions([at], isolation="uncommitted")[at]
    values: list[bytes | None] = []

    def is_done() -> bool:
        values.extend(record.value for record in reader.read(1_000, 0.05))
        return reader.position(at) >= end

    eventually(is_done)
    reader.close()
    return values


@pytest.mark.parametrize("error", [ZeroDivisionError(), LogError("of another transactor"), TransactionAborted("too")])
def test_what_fails_while_a_unit_is_committed_leaves_the_outcome_to_the_log(
    log: KafkaLog, made: Sequence[TopicPartition], unique: Callable[[str], str], error: Exception
) -> None:
    """K6: it is not taken for a failure of the unit, which has ended by then; a new transactor goes on after it."""
    at, id_ = made[0], unique("tx")

    def fail() -> None:
        raise error

    transactor = log.transactor(id_)
    transactor.begin()
    transactor.produce(*at, b"key", b"in doubt")

    with pytest.raises(OutcomeUnknown, match="meanwhile"):
        transactor.commit(meanwhile=fail)
    with pytest.raises(OutcomeUnknown):
        transactor.begin()
    transactor.close()

    assert committed(log, at) == [b"in doubt"]
    successor = log.transactor(id_)
    successor.begin()
    successor.produce(*at, b"key", b"next")
    successor.commit()
    assert committed(log, at) == [b"in doubt", b"next"]
    successor.close()


@pytest.mark.parametrize("stays_down", [False, True])
@pytest.mark.parametrize("moment", ["unsent", "unanswered"])
def test_a_cut_at_the_end_of_a_unit_leaves_the_outcome_to_the_log(
    log: KafkaLog,
    proxy: KafkaProxy,
    proxied: KafkaLog,
    made: Sequence[TopicPartition],
    unique: Callable[[str], str],
    moment: Moment,
    stays_down: bool,
) -> None:
    """K6: OutcomeUnknown, whether the broker saw the request or not; a new transactor settles it in the log."""
    transactor, at = proxied.transactor(unique("tx")), made[0]
    transactor.begin()
    transactor.produce(*at, b"key", b"before")
    transactor.commit()
    cut = proxy.cut(END_TXN, moment, stays_down=stays_down)

    transactor.begin()
    transactor.produce(*at, b"key", b"in doubt")
    with pytest.raises(OutcomeUnknown):
        transactor.commit()

    assert cut.happened.is_set()
    with pytest.raises(OutcomeUnknown):
        transactor.begin()
    transactor.close()
    proxy.heal()
    successor = proxied.transactor(transactor.transactional_id)
    lost = moment == "unsent" and stays_down
    assert committed(log, at) == ([b"before"] if lost else [b"before", b"in doubt"])
    successor.begin()
    successor.produce(*at, b"key", b"after")
    successor.commit()
    assert committed(log, at)[-1] == b"after"
    successor.close()


def test_connections_lost_again_and_again_are_noticed_each_time(
    proxy: KafkaProxy, proxied: KafkaLog, made: Sequence[TopicPartition], unique: Callable[[str], str]
) -> None:
    """librdkafka announces equal errors once in 30 s; none may pass unnoticed because of that."""
    name = unique("tx")
    for _ in range(4):
        transactor = proxied.transactor(name)
        transactor.begin()
        transactor.produce(*made[0], b"key", b"first")
        transactor.commit()
        cut = proxy.cut(END_TXN, "unanswered")
        transactor.begin()
        transactor.produce(*made[0], b"key", b"second")
        with pytest.raises(OutcomeUnknown):
            transactor.commit()
        assert cut.happened.is_set()
        transactor.close()


def test_a_connection_lost_between_units_does_no_harm(
    proxy: KafkaProxy,
    proxied: KafkaLog,
    made: Sequence[TopicPartition],
    unique: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only what is lost between a unit's beginning and its end makes it ambiguous; the next unit has a new producer.

    The old one may wait for ever for the answer to a request that was on its way.
    """
    opened: list[str] = []

    def counted(settings: Settings, transactional_id: str, diagnostics: Diagnostics, calls: BoundedCalls) -> Producer:
        opened.append(transactional_id)
        return open_client(settings, transactional_id, diagnostics, calls)

    monkeypatch.setattr("eventstore.log.kafka.transactor.open_client", counted)
    transactor = proxied.transactor(unique("tx"))
    transactor.begin()
    transactor.produce(*made[0], b"key", b"first")
    transactor.commit()
    before = transactor.lost_connections
    proxy.break_all()
    proxy.heal()
    eventually(lambda: transactor.lost_connections >= before + 2)

    transactor.begin()
    transactor.produce(*made[0], b"key", b"second")
    assert transactor.commit()[made[0]] > 0
    assert len(opened) == 2
    transactor.begin()
    assert len(opened) == 2
    transactor.close()


def test_a_producer_without_its_connection_is_let_go_of_while_it_rests(
    proxy: KafkaProxy, proxied: KafkaLog, made: Sequence[TopicPartition], unique: Callable[[str], str]
) -> None:
    """librdkafka logs its search for brokers 500 times a second, all of which the next unit would take in first."""
    transactor = proxied.transactor(unique("tx"))
    transactor.begin()
    transactor.produce(*made[0], b"key", b"before")
    transactor.commit()

    def is_let_go() -> bool:
        transactor.rest()
        return transactor._client is None  # pyright: ignore[reportPrivateUsage] - nothing else shows it

    proxy.break_all()
    eventually(is_let_go)
    with pytest.raises(BrokerUnreachable):
        transactor.begin()
    proxy.heal()

    transactor.begin()
    transactor.produce(*made[0], b"key", b"after")
    transactor.rest()
    transactor.commit()
    transactor.rest()
    assert committed(proxied, made[0]) == [b"before", b"after"]
    transactor.close()
    transactor.rest()
    with pytest.raises(LogClosed):
        transactor.begin()


def test_the_older_of_two_with_one_id_is_fenced(
    log: KafkaLog, made: Sequence[TopicPartition], unique: Callable[[str], str]
) -> None:
    """The newer aborts what was open; the older learns it at its commit, and ever after."""
    older = log.transactor(unique("tx"))
    older.begin()
    older.produce(*made[0], b"key", b"late")
    newer = log.transactor(older.transactional_id)

    with pytest.raises(Fenced):
        older.commit()
    with pytest.raises(Fenced):
        older.begin()

    assert committed(log, made[0]) == []
    older.close()
    newer.close()


def test_a_record_that_the_broker_refuses_spoils_only_its_own_unit(
    log: KafkaLog, topic: str, unique: Callable[[str], str]
) -> None:
    """No key on a compacted topic: aborted, and the next units work although librdkafka's sequence has a gap."""
    log.create([Topic(name=topic, partitions=1, compacted=True)])
    at, transactor = TopicPartition(topic, 0), log.transactor(unique("tx"))

    for number in range(3):
        transactor.begin()
        transactor.produce(*at, b"key", b"dropped")
        transactor.produce(*at, None, b"refused")
        with pytest.raises(TransactionAborted):
            transactor.commit()
        transactor.begin()
        transactor.produce(*at, b"%d" % number, b"kept")
        transactor.commit()

    assert committed(log, at) == [b"kept"] * 3
    transactor.close()


def test_an_oversize_record_is_refused_at_once(
    log: KafkaLog, made: Sequence[TopicPartition], unique: Callable[[str], str]
) -> None:
    """The one who buffers it hears of it, and the unit stays usable; the largest that is allowed passes."""
    transactor, at = log.transactor(unique("tx")), made[0]
    transactor.begin()

    with pytest.raises(MessageTooLarge) as refused:
        transactor.produce(*at, b"key", b"x" * log.message_max_bytes)
    transactor.produce(*at, b"key", b"x" * (log.message_max_bytes - 3))

    assert transactor.commit() == {at: 0}
    assert refused.value.size_bytes == log.message_max_bytes + 3
    transactor.close()


def test_the_last_offset_of_each_partition_is_returned(
    log: KafkaLog, made: Sequence[TopicPartition], unique: Callable[[str], str]
) -> None:
    """Many records to each, one answer for each."""
    transactor = log.transactor(unique("tx"))
    for unit in range(3):
        transactor.begin()
        for number in range(300):
            transactor.produce(*made[number % 2], b"key", b"value", [("meta", b"{}")])
        assert transactor.commit() == dict.fromkeys(made, unit * 151 + 149)
    transactor.close()


def test_calls_out_of_order_are_named(log: KafkaLog, members: Members, made: Sequence[TopicPartition]) -> None:
    """No unit open, two open, positions without member, none at all, or negative ones (K2)."""
    consumer = members.join(log, made[0].topic)
    settle({consumer: 2})
    member, transactor = consumer.poll(1, 0.0).member, log.transactor(members.group)

    with pytest.raises(LogError, match="begin"):
        transactor.commit()
    with pytest.raises(LogError, match="begin"):
        transactor.produce(*made[0], b"key", b"value")
    transactor.begin()
    with pytest.raises(LogError, match="open unit"):
        transactor.begin()
    right, negative = {made[0]: Position(1)}, {made[0]: Position(-1)}
    for positions, who in (({}, member), (None, member), (right, None), (negative, member)):
        with pytest.raises(ValueError, match=r"position|committed at"):
            transactor.commit(positions, who)
    transactor.abort()
    transactor.abort()
    transactor.close()


@pytest.mark.parametrize("api_key", [PRODUCE, ADD_PARTITIONS_TO_TXN])
def test_a_cut_before_the_end_is_never_taken_for_a_certain_success(
    log: KafkaLog,
    proxy: KafkaProxy,
    proxied: KafkaLog,
    made: Sequence[TopicPartition],
    unique: Callable[[str], str],
    api_key: int,
) -> None:
    """librdkafka repeats the request; the unit's records are there once or not at all."""
    transactor, at = proxied.transactor(unique("tx")), made[0]
    proxy.cut(api_key, "unanswered")

    transactor.begin()
    transactor.produce(*at, b"key", b"value")
    with pytest.raises((OutcomeUnknown, TransactionAborted)):
        transactor.commit()

    transactor.close()
    proxied.transactor(transactor.transactional_id).close()
    assert committed(log, at) in ([], [b"value"])
