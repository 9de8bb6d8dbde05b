"""A log on the run's Kafka, one behind a proxy, and group members that start where they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from eventstore.log.kafka import KafkaLog
from eventstore.log.kafka import open as open_kafka
from eventstore.log.records import Topic, TopicPartition
from eventstore.testing.proxy import KafkaProxy
from tests.eventstore.log.kafka.members import Members


@pytest.fixture
def log(kafka: str) -> Iterator[KafkaLog]:
    """A log on the run's Kafka."""
    opened = open_kafka(kafka, {})
    yield opened
    opened.close()


@pytest.fixture
def admin(kafka: str) -> Any:
    """Somebody who changes topics behind our back."""
    return AdminClient({"bootstrap.servers": kafka})


@pytest.fixture
def proxy(kafka: str) -> Iterator[KafkaProxy]:
    """A proxy before the run's Kafka."""
    with KafkaProxy(kafka) as proxy:
        yield proxy


@pytest.fixture
def proxied(proxy: KafkaProxy) -> Iterator[KafkaLog]:
    """The same Kafka through the proxy."""
    opened = open_kafka(proxy.bootstrap, {"api_timeout": "5"})
    yield opened
    opened.close()


@pytest.fixture
def made(log: KafkaLog, topic: str) -> Sequence[TopicPartition]:
    """The two partitions of a new topic."""
    log.create([Topic(name=topic, partitions=2)])
    return [TopicPartition(topic, 0), TopicPartition(topic, 1)]


@pytest.fixture
def members(unique: Callable[[str], str]) -> Iterator[Members]:
    """Members of one group, closed at the end."""
    joined = Members(unique("group"))
    yield joined
    joined.close()
