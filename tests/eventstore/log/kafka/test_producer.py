"""The idempotent producer."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from eventstore.log.errors import InvalidRecord, LogClosed, LogError, MessageTooLarge, TopicMissing
from eventstore.log.kafka import KafkaLog
from eventstore.log.records import Topic, TopicPartition
from eventstore.testing.proxy import PRODUCE, KafkaProxy


def test_a_future_resolves_by_itself_and_callbacks_stay_on_their_thread(
    log: KafkaLog, made: Sequence[TopicPartition]
) -> None:
    """`send` needs no poll; `on_delivery` is called by the thread that polls, even then."""
    producer, called = log.producer(), list[tuple[int, LogError | None, int]]()
    assert producer.send(*made[0], b"key", b"value").result(10) == 0

    def delivered(error: LogError | None, offset: int) -> None:
        called.append((threading.get_ident(), error, offset))

    producer.produce(*made[0], b"key", b"value", on_delivery=delivered)
    producer.flush()

    assert called == [(threading.get_ident(), None, 1)]
    producer.close()


def test_a_record_that_fails_is_named(log: KafkaLog, topic: str) -> None:
    """Too large at once; no key on a compacted topic, and no such topic, by future, callback and flush."""
    log.create([Topic(name=topic, partitions=1, compacted=True)])
    producer, failures = log.producer(), list[LogError | None]()

    with pytest.raises(MessageTooLarge):
        producer.produce(topic, 0, b"key", b"x" * (log.message_max_bytes + 1))
    with pytest.raises(InvalidRecord):
        producer.send(topic, 0, None, b"value").result(10)
    producer.produce(topic, 0, None, b"value", on_delivery=lambda error, _: failures.append(error))
    producer.flush()
    assert [type(failure) for failure in failures] == [InvalidRecord]
    with pytest.raises(TopicMissing):
        producer.send(f"{topic}.none", 0, b"key", b"value").result(10)
    producer.produce(topic, 0, None, b"nobody asks about it")
    with pytest.raises(InvalidRecord):
        producer.flush()
    producer.send(topic, 0, b"key", b"still works").result(10)
    producer.close()


def test_nothing_is_doubled_or_reordered_when_the_connection_breaks(
    log: KafkaLog, proxy: KafkaProxy, proxied: KafkaLog, made: Sequence[TopicPartition]
) -> None:
    """Acknowledgements are lost again and again; each record is in the log once, in order."""
    producer = proxied.producer()
    for number in range(300):
        if number % 50 == 10:
            proxy.cut(PRODUCE, "unanswered")
        producer.produce(*made[0], b"key", b"%d" % number)
        producer.poll(0.001)
    producer.flush(20)
    producer.close()

    reader = log.reader({made[0]: 0})
    values: list[bytes | None] = []
    while reader.position(made[0]) < log.end_positions(made)[made[0]]:
        values.extend(record.value for record in reader.read(1_000, 0.1))
    reader.close()
    assert values == [b"%d" % number for number in range(300)]


def test_a_closed_producer_says_so(log: KafkaLog, made: Sequence[TopicPartition]) -> None:
    """`close` may be called twice; anything else raises LogClosed."""
    producer = log.producer()
    producer.close()
    producer.close()

    with pytest.raises(LogClosed):
        producer.produce(*made[0], b"key", b"value")
