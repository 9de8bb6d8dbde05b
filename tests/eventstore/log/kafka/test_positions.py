"""Ends, positions and readers, around units that are open, aborted or pending."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from confluent_kafka import TopicPartition as Place

from eventstore.log.errors import BrokerUnreachable, PositionMissing
from eventstore.log.kafka import KafkaLog
from eventstore.log.port import Reader, Transactor
from eventstore.log.records import Position, Record, Topic, TopicPartition
from eventstore.testing.proxy import END_TXN, LIST_OFFSETS, KafkaProxy
from tests.eventstore.log.kafka.members import Heard, Members, polled, settle
from tests.waiting import eventually


def write(transactor: Transactor, at: TopicPartition, *values: bytes) -> None:
    """Open a unit with these records."""
    transactor.begin()
    for value in values:
        transactor.produce(*at, b"key", value)


def read_to(reader: Reader, at: TopicPartition, end: int) -> list[Record]:
    """Read until the position is there."""
    records: list[Record] = []

    def is_there() -> bool:
        records.extend(reader.read(100, 0.05))
        return reader.position(at) >= end

    eventually(is_there)
    return records


def grew(log: KafkaLog, at: TopicPartition, begun: int) -> bool:
    """Whether anything was written since."""
    return log.end_positions([at], isolation="uncommitted")[at] > begun


def test_the_position_passes_an_aborted_tail(
    log: KafkaLog, made: Sequence[TopicPartition], unique: Callable[[str], str]
) -> None:
    """K4: a restore that waits for the uncommitted end ends, though the last records were aborted."""
    transactor, at = log.transactor(unique("tx")), made[0]
    write(transactor, at, b"kept")
    transactor.commit()
    for _ in range(3):
        begun = log.end_positions([at], isolation="uncommitted")[at]
        write(transactor, at, b"dropped", b"dropped", b"dropped")
        eventually(partial(grew, log, at, begun))
        transactor.abort()
    end = log.end_positions([at], isolation="uncommitted")[at]
    reader = log.reader({at: 0})

    records = read_to(reader, at, end)

    assert [record.value for record in records] == [b"kept"]
    assert reader.position(at) >= end > 5
    reader.close()
    transactor.close()


def test_a_tailing_reader_passes_what_is_aborted_later(
    log: KafkaLog, made: Sequence[TopicPartition], unique: Callable[[str], str]
) -> None:
    """It waits before an open unit, and goes on once that was aborted."""
    transactor, at = log.transactor(unique("tx")), made[0]
    reader = log.reader({at: 0})
    write(transactor, at, b"open", b"held back")
    eventually(lambda: log.end_positions([at], isolation="uncommitted")[at] > 0)

    assert reader.read(10, 0.2) == []
    assert reader.position(at) == 0
    transactor.abort()

    assert read_to(reader, at, log.end_positions([at], isolation="uncommitted")[at]) == []
    reader.close()
    transactor.close()


def test_a_hung_unit_shows_in_the_uncommitted_end_only(
    log: KafkaLog, made: Sequence[TopicPartition], unique: Callable[[str], str]
) -> None:
    """The committed end stays before an open unit; the uncommitted one does not; a successor's transactor ends it."""
    transactor, at = log.transactor(unique("tx")), made[0]
    write(transactor, at, b"before")
    transactor.commit()
    stable = eventually(lambda: log.end_positions([at])[at] == 2 and log.end_positions([at])[at])

    write(transactor, at, b"hung", b"hung")
    eventually(lambda: log.end_positions([at], isolation="uncommitted")[at] > stable)
    assert log.end_positions([at])[at] == stable

    successor = log.transactor(transactor.transactional_id)
    eventually(lambda: log.end_positions([at])[at] == log.end_positions([at], isolation="uncommitted")[at] > stable)
    successor.close()
    transactor.close()


def test_stable_positions_wait_for_an_open_unit(
    log: KafkaLog,
    proxy: KafkaProxy,
    proxied: KafkaLog,
    members: Members,
    made: Sequence[TopicPartition],
    unique: Callable[[str], str],
) -> None:
    """While a unit that sent positions is open, a stable read times out and an unstable one gives the old state."""
    consumer, at = members.join(log, made[0].topic), made[0]
    settle({consumer: 2})
    member = consumer.poll(1, 0.0).member
    transactor = proxied.transactor(unique("tx"))
    proxy.delay(END_TXN, 2.0)
    transactor.begin()
    ending = threading.Thread(target=transactor.commit, args=({at: Position(3, "slot 1")}, member))

    ending.start()
    eventually(lambda: proxy.seen[END_TXN] > 0)

    with pytest.raises(TimeoutError):
        log.group_positions(members.group, [at], timeout=0.2)
    with pytest.raises(TimeoutError):
        consumer.committed([at], 0.2)
    assert log.group_positions(members.group, [at], stable=False) == {at: None}
    assert log.group_positions(members.group, [at], timeout=10) == {at: Position(3, "slot 1")}
    ending.join(10)
    assert consumer.committed(made, 5) == {at: Position(3, "slot 1"), made[1]: None}
    transactor.close()


def test_a_reader_begins_where_retention_left_the_log(
    log: KafkaLog, admin: Any, made: Sequence[TopicPartition]
) -> None:
    """A position below the log's start begins at its start, also while reading."""
    at, producer = made[0], log.producer()
    for number in range(10):
        producer.produce(*at, b"key", b"%d" % number)
    producer.close()
    early = log.reader({at: 2})
    assert early.position(at) == 2

    for future in admin.delete_records([Place(*at, 6)]).values():
        future.result()

    late = log.reader({at: 0})
    assert late.position(at) == log.start_positions([at])[at] == 6
    assert [record.offset for record in read_to(late, at, 10)] == [6, 7, 8, 9]
    assert [record.offset for record in read_to(early, at, 10)][-4:] == [6, 7, 8, 9]
    early.close()
    late.close()


def test_a_reader_beyond_the_end_is_an_error(log: KafkaLog, made: Sequence[TopicPartition]) -> None:
    """Reading from the start instead would repeat everything."""
    reader = log.reader({made[0]: 99})

    with pytest.raises(PositionMissing, match="beyond the end"):
        eventually(lambda: reader.read(1, 0.2))
    reader.close()


def test_a_reader_of_uncommitted_records_sees_an_open_unit(
    log: KafkaLog, made: Sequence[TopicPartition], unique: Callable[[str], str]
) -> None:
    """Isolation is the reader's choice."""
    transactor, at = log.transactor(unique("tx")), made[0]
    write(transactor, at, b"open", b"held back")
    reader = log.reader({at: 0}, isolation="uncommitted")

    assert [record.value for record in read_to(reader, at, 1)] == [b"open"]
    reader.close()
    transactor.close()


def test_a_started_partition_delivers_from_the_position_and_no_other(
    log: KafkaLog, members: Members, made: Sequence[TopicPartition]
) -> None:
    """Nothing before `start`; afterwards neither gap, repeat nor anything fetched for an earlier position."""
    topic, producer = made[0].topic, log.producer()
    for number in range(3_000):
        producer.produce(topic, 0, b"key", b"%d" % number)
    producer.close()
    heard = Heard()
    consumer = members.join(log, topic, heard)
    settle({consumer: 2})
    assert not consumer.poll(10, 0.2).records

    for position in (0, 2_500, 10, 10, 1_700, 0):
        consumer.start(made[0], position)
        records, _ = polled(consumer, 400)
        assert [record.offset for record in records] == list(range(position, position + len(records)))


@pytest.mark.parametrize("wait", [0.0, 0.3])
def test_a_start_right_after_the_assignment_holds(
    log: KafkaLog,
    admin: Any,
    proxy: KafkaProxy,
    proxied: KafkaLog,
    members: Members,
    made: Sequence[TopicPartition],
    wait: float,
) -> None:
    """Slow answers about offsets do not override it, nor does a log that begins after offset 0 disturb it."""
    producer = log.producer()
    for number in range(200):
        producer.produce(*made[number % 2], b"key", b"value")
    producer.close()
    for future in admin.delete_records([Place(*made[0], 20)]).values():
        future.result()
    proxy.delay(LIST_OFFSETS, 0.3)
    consumer = members.join(proxied, made[0].topic)
    settle({consumer: 2})
    consumer.poll(1, wait)

    for at in made:
        consumer.start(at, 30)
    records, _ = polled(consumer, 140)

    for at in made:
        offsets = [record.offset for record in records if record.partition == at.partition]
        assert offsets == list(range(30, 100))


def test_pause_keeps_the_place(log: KafkaLog, members: Members, made: Sequence[TopicPartition]) -> None:
    """A paused partition delivers nothing; resumed, it goes on with the next. One that was not started stays silent."""
    producer = log.producer()
    for number in range(1_000):
        producer.produce(*made[0], b"key", b"%d" % number)
    producer.close()
    consumer = members.join(log, made[0].topic)
    settle({consumer: 2})
    consumer.start(made[0], 100)
    seen = 100

    for _ in range(5):
        consumer.pause(made)
        assert not consumer.poll(10, 0.1).records
        consumer.resume(made)
        records = eventually(lambda: consumer.poll(50, 0.05).records)
        assert [record.offset for record in records] == list(range(seen, seen + len(records)))
        seen += len(records)


def test_a_position_outside_the_log_is_an_error_with_a_way_out(
    log: KafkaLog, members: Members, made: Sequence[TopicPartition]
) -> None:
    """K12: the partition is named, and starts again at a position that exists."""
    producer = log.producer()
    producer.send(*made[0], b"key", b"value").result(10)
    producer.close()
    consumer = members.join(log, made[0].topic)
    settle({consumer: 2})
    consumer.start(made[0], 50)

    with pytest.raises(PositionMissing) as missing:
        eventually(lambda: consumer.poll(10, 0.1).records)
    assert (missing.value.topic, missing.value.partition) == made[0]

    consumer.start(made[0], 0)
    assert [record.value for record in polled(consumer, 1)[0]] == [b"value"]


def test_a_topic_without_records_has_equal_ends(log: KafkaLog, topic: str) -> None:
    """Start and both ends are 0."""
    log.create([Topic(name=topic, partitions=1)])
    at = TopicPartition(topic, 0)

    assert log.start_positions([at]) == log.end_positions([at]) == {at: 0}


def test_positions_are_told_after_connections_were_lost(
    log: KafkaLog, proxy: KafkaProxy, proxied: KafkaLog, members: Members, made: Sequence[TopicPartition]
) -> None:
    """The connection to the group's coordinator is opened anew, which librdkafka's admin client forgets to do."""
    consumer = members.join(log, made[0].topic)
    settle({consumer: 2})
    consumer.commit({made[0]: Position(0, "note")})
    for _ in range(3):
        assert proxied.group_positions(members.group, made[:1], stable=False) == {made[0]: Position(0, "note")}

        proxy.break_all()
        with pytest.raises(BrokerUnreachable):
            proxied.group_positions(members.group, made[:1], stable=False, timeout=0.2)
        proxy.heal()
