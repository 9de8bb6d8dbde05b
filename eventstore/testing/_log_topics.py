"""The contract of the log port: topics."""

from __future__ import annotations

from abc import ABC, abstractmethod

import pytest

from eventstore.log.errors import InvalidRecord, LogError, PartitionCountChanged, TopicMissing
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.log.records import Topic, TopicPartition
from eventstore.testing._log_bench import LogBench, at

JAVA_MURMUR2 = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""From Kafka's own test of its partitioner (org.apache.kafka.common.utils.UtilsTest)."""


class TopicPromises(ABC):
    """Topics, their manifest, and where keys go."""

    @abstractmethod
    def add_partitions(self, log: Log, topic: str, partitions: int) -> None:
        """Give the topic more partitions by other means than the port."""

    def test_created_topic_is_described_with_its_manifest(self, bench: LogBench) -> None:
        """A topic has the partitions it was made with, and they are frozen in the manifest."""
        topic = bench.topic(partitions=3)

        described = bench.log.describe([topic, "never-made"])

        assert list(described) == [topic]
        assert (described[topic].partitions, described[topic].manifest_partitions) == (3, 3)
        assert topic in bench.log.describe()

    def test_topic_without_a_count_gets_the_default(self, bench: LogBench) -> None:
        """`partitions=None` makes a topic with the log's default, and accepts what is there later."""
        topic = Topic(name=bench.name("default"))

        bench.log.create([topic])
        bench.log.create([topic])

        described = bench.log.describe([topic.name])[topic.name]
        assert described.partitions == described.manifest_partitions
        assert described.partitions >= 1

    def test_creating_again_changes_nothing(self, bench: LogBench) -> None:
        """A topic that is there is checked and kept, with its records."""
        topic = bench.topic(partitions=2)
        before = bench.log.describe([topic])
        bench.produce(topic, b"kept")

        bench.log.create([Topic(name=topic, partitions=2)])

        assert bench.log.describe([topic]) == before
        assert bench.values(topic) == [b"kept"]

    def test_a_topic_may_be_asked_for_twice(self, bench: LogBench) -> None:
        """It is described once."""
        topic = bench.topic()

        assert bench.log.describe([topic, topic]).keys() == {topic}
        assert bench.log.configuration([topic, topic]).keys() == {topic}

    def test_settings_are_those_it_was_made_with(self, bench: LogBench) -> None:
        """What `create` was given is in force and in the manifest, for topics of both kinds."""
        kept = Topic(name=bench.name("kept"), retention_ms=5_000, settings={"segment.ms": "60000"})
        compacted = Topic(name=bench.name("compacted"), compacted=True, settings={"delete.retention.ms": "70000"})

        bench.log.create([kept, compacted])

        for topic in (kept, compacted):
            assert bench.log.describe([topic.name])[topic.name].wanted == topic.configuration
            assert topic.configuration.items() <= bench.log.configuration([topic.name])[topic.name].items()
        assert bench.log.configuration(["never-made"]) == {}

    def test_creating_again_changes_no_setting(self, bench: LogBench) -> None:
        """Other settings are noted as wanted; those in force stay."""
        topic = Topic(name=bench.name("again"), settings={"segment.ms": "60000"})
        bench.log.create([topic])
        other = Topic(name=topic.name, settings={"segment.ms": "70000"})

        bench.log.create([other])

        assert bench.log.describe([topic.name])[topic.name].wanted == other.configuration
        assert bench.log.configuration([topic.name])[topic.name]["segment.ms"] == "60000"

    def test_settings_are_changed_one_by_one(self, bench: LogBench) -> None:
        """A change is in force at once and after a restart; other settings, records and the id stay."""
        topic = Topic(name=bench.name("changed"), retention_ms=80_000_000, settings={"segment.ms": "60000"})
        bench.log.create([topic])
        bench.produce(topic.name, b"kept")
        before = bench.log.describe([topic.name])

        bench.log.configure(topic.name, {"retention.ms": "90000000", "min.cleanable.dirty.ratio": "0"})
        bench.restart()

        found = bench.log.configuration([topic.name])[topic.name]
        assert (found["retention.ms"], found["segment.ms"]) == ("90000000", "60000")
        assert bench.log.describe([topic.name]) == before
        assert bench.values(topic.name) == [b"kept"]

    def test_a_topic_takes_back_the_settings_that_it_was_made_with(self, bench: LogBench) -> None:
        """S7: compacted with a retention, as the guards of participants are; it stays compacted."""
        settings = {"cleanup.policy": "compact,delete", "retention.ms": "90000000"}
        topic = Topic(name=bench.name("guarding"), partitions=1, compacted=True, settings=settings)
        bench.log.create([topic])
        bench.log.configure(topic.name, {"retention.ms": "80000000"})

        bench.log.configure(topic.name, topic.configuration)

        found = bench.log.configuration([topic.name])[topic.name]
        assert {name: found[name] for name in settings} == settings

    def test_a_topic_can_be_made_compacted(self, bench: LogBench) -> None:
        """From then on its records need a key."""
        topic = Topic(name=bench.name("turned"), partitions=1)
        bench.log.create([topic])

        bench.log.configure(topic.name, {"cleanup.policy": "compact"})

        errors: list[LogError | None] = []
        producer = bench.producer()

        def is_refused() -> bool:
            try:
                producer.produce(topic.name, 0, None, b"v", on_delivery=lambda error, offset: errors.append(error))
                producer.flush()
            except InvalidRecord as error:
                errors.append(error)
            return isinstance(errors[-1], InvalidRecord)

        bench.eventually(is_refused)

    def test_settings_that_cannot_be_are_refused(self, bench: LogBench) -> None:
        """Neither of a topic that is not there, nor of a value that is none; nothing is changed."""
        topic = bench.topic()
        before = bench.log.configuration([topic])

        with pytest.raises(TopicMissing):
            bench.log.configure("never-made", {"retention.ms": "1"})
        with pytest.raises(LogError):
            bench.log.configure(topic, {"retention.ms": "soon"})

        assert bench.log.configuration([topic]) == before

    def test_other_count_than_the_topic_has_is_refused(self, bench: LogBench) -> None:
        """Partition counts are frozen: asking for another one is an error that names both."""
        topic = bench.topic(partitions=2)

        with pytest.raises(PartitionCountChanged) as caught:
            bench.log.create([Topic(name=topic, partitions=5)])

        assert (caught.value.topic, caught.value.manifest, caught.value.actual) == (topic, 5, 2)
        assert "5 partitions are asked for, found 2" in str(caught.value)

    def test_partitions_added_behind_the_manifest_are_refused(self, bench: LogBench) -> None:
        """A topic that got more partitions by other means does not start: keys have moved away from their state."""
        topic = bench.topic(partitions=2)
        self.add_partitions(bench.log, topic, 3)
        bench.eventually(lambda: bench.log.describe([topic])[topic].partitions == 3)

        with pytest.raises(PartitionCountChanged) as caught:
            bench.log.create([Topic(name=topic)])

        assert (caught.value.manifest, caught.value.actual) == (2, 3)

    def test_deleted_topic_takes_everything_with_it(self, bench: LogBench) -> None:
        """A topic made again under the same name has another id, no records and no group positions."""
        topic, group = bench.topic(), bench.name("group")
        place = TopicPartition(topic, 0)
        bench.produce(topic, b"old")
        member = bench.join(group, topic)
        bench.settle([place], member)
        member.consumer.commit({place: at(1)})
        member.close()
        before = bench.log.describe([topic])[topic].id

        bench.log.delete([topic, bench.name("missing")])
        bench.eventually(lambda: not bench.log.describe([topic]))
        bench.log.create([Topic(name=topic, partitions=1)])

        assert bench.log.describe([topic])[topic].id != before
        assert bench.values(topic) == []
        assert bench.log.group_positions(group, [place]) == {place: None}

    def test_keys_go_where_java_puts_them(self) -> None:
        """Partitions are murmur2 of the key, as Java's default partitioner computes them, on all engines."""
        expected = {key: (value & 0x7FFFFFFF) % 7 for key, value in JAVA_MURMUR2.items()}

        assert {key: partition_of(key, 7) for key in JAVA_MURMUR2} == expected
