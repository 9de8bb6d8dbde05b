"""Topics and the manifest that freezes their partition counts."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined] # imported there, not defined

from eventstore.log.errors import PartitionCountChanged, TopicMissing
from eventstore.log.kafka import KafkaLog
from eventstore.log.kafka import open as open_kafka
from eventstore.log.kafka.manifest import NAME
from eventstore.log.records import Topic, TopicPartition
from tests.administrator import add_partitions, create_topic


def settings_of(admin: Any, topic: str) -> dict[str, str]:
    """The settings in force."""
    resource = ConfigResource(ResourceType.TOPIC, topic)
    (answer,) = admin.describe_configs([resource]).values()
    return {name: entry.value for name, entry in answer.result().items()}


def test_a_grown_topic_is_refused(admin: Any, log: KafkaLog, topic: str) -> None:
    """Somebody added partitions: keys would move away from their state, so the manifest refuses."""
    log.create([Topic(name=topic, partitions=2)])
    add_partitions(admin, topic, 3)

    with pytest.raises(PartitionCountChanged) as refused:
        log.create([Topic(name=topic)])

    assert (refused.value.manifest, refused.value.actual) == (2, 3)


def test_a_foreign_topic_has_no_manifest_until_it_is_taken(admin: Any, log: KafkaLog, topic: str) -> None:
    """A topic made by other means shows None, and is frozen by the first `create` that names it."""
    create_topic(admin, topic, 3)
    assert log.describe([topic])[topic].manifest_partitions is None

    log.create([Topic(name=topic)])

    assert log.describe([topic])[topic].manifest_partitions == 3


def test_another_process_sees_the_manifest(kafka: str, log: KafkaLog, topic: str) -> None:
    """The manifest is read to its end at every use."""
    other = open_kafka(kafka, {})
    assert other.describe([topic]) == {}

    log.create([Topic(name=topic, partitions=2)])

    assert other.describe([topic])[topic].manifest_partitions == 2
    other.close()


def test_a_topic_made_anew_has_another_id_and_count(log: KafkaLog, topic: str) -> None:
    """Deleting takes the manifest's entry too."""
    log.create([Topic(name=topic, partitions=2)])
    before = log.describe([topic])[topic]

    log.delete([topic, "never-made"])
    log.create([Topic(name=topic, partitions=3)])

    after = log.describe([topic])[topic]
    assert (after.partitions, after.manifest_partitions) == (3, 3)
    assert after.id != before.id


def test_how_topics_are_made(admin: Any, log: KafkaLog, topic: str) -> None:
    """Compacted ones are cleaned late, others keep records for ever or as long as said; settings override."""
    log.create(
        [
            Topic(name=f"{topic}.c", compacted=True, settings={"segment.ms": "100"}),
            Topic(name=f"{topic}.d"),
            Topic(name=f"{topic}.r", retention_ms=5_000),
        ]
    )

    compacted, kept, dropped = (settings_of(admin, f"{topic}.{kind}") for kind in "cdr")
    assert (compacted["cleanup.policy"], compacted["min.cleanable.dirty.ratio"]) == ("compact", "0.9")
    assert compacted["segment.ms"] == "100"
    assert (kept["cleanup.policy"], kept["retention.ms"]) == ("delete", "-1")
    assert dropped["retention.ms"] == "5000"


def test_a_compacted_topic_has_no_retention(log: KafkaLog, topic: str) -> None:
    """That would be a contradiction, and is refused before anything is made."""
    with pytest.raises(ValueError, match="no retention_ms"):
        log.create([Topic(name=topic, compacted=True, retention_ms=1)])


def test_all_topics_are_described_but_internal_ones(log: KafkaLog, topic: str) -> None:
    """Neither Kafka's own topics nor the manifest are listed."""
    log.create([Topic(name=topic)])

    described = log.describe()

    assert topic in described
    assert NAME not in described
    assert not [name for name in described if name.startswith("__")]


def test_the_end_of_a_missing_topic_is_an_error(log: KafkaLog, topic: str) -> None:
    """TopicMissing names it."""
    with pytest.raises(TopicMissing, match=topic):
        log.end_positions([TopicPartition(topic, 0)])
