"""Ask the leaders of partitions for their first and last offsets."""

# pyright: reportPrivateImportUsage=false
# confluent_kafka.admin says what it offers in its documentation, not in an __all__.

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from confluent_kafka import IsolationLevel, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined] # imported there, not defined

from eventstore.log.kafka.errors import error_of
from eventstore.log.records import Isolation, TopicPartition

EARLIEST: Any = OffsetSpec.earliest()  # type: ignore[no-untyped-call] # untyped there
LATEST: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call] # untyped there
UNANSWERED = KafkaError(KafkaError.LEADER_NOT_AVAILABLE, "no leader told an offset")
"""librdkafka tells no error but offset −1001 where the leader went away before it answered."""


def asked(
    client: Any, partitions: Iterable[TopicPartition], spec: Any, isolation: Isolation, timeout: float
) -> dict[TopicPartition, int | KafkaError]:
    """What each partition's leader says within `timeout` seconds, or why there is no answer.

    Args:
        client: an `AdminClient` of confluent-kafka.
    """
    level = IsolationLevel.READ_COMMITTED if isolation == "committed" else IsolationLevel.READ_UNCOMMITTED
    futures = client.list_offsets(
        {Place(*partition): spec for partition in partitions}, isolation_level=level, request_timeout=timeout
    )
    answers: dict[TopicPartition, int | KafkaError] = {}
    for place, future in futures.items():
        try:
            offset = int(future.result().offset)
            answers[TopicPartition(place.topic, place.partition)] = UNANSWERED if offset < 0 else offset
        except KafkaException as raised:
            answers[TopicPartition(place.topic, place.partition)] = error_of(raised)
    return answers
