"""A broker that is there when it is wanted, and only then."""

from __future__ import annotations

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic


def test_records_go_in_and_come_out(kafka: str, topic: str) -> None:
    """What is produced to the provided Kafka can be read from it."""
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, 1)])[topic].result(10)
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(topic, b"hello")
    assert producer.flush(10) == 0

    consumer = Consumer({"bootstrap.servers": kafka, "group.id": topic, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    record = consumer.poll(10)
    consumer.close()

    assert record is not None
    assert record.value() == b"hello"
