"""The contract of the log port: compaction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from eventstore.log.port import Log
from eventstore.log.records import Topic, TopicPartition
from eventstore.testing._log_bench import LogBench

ROLL = b"~roll"
"""Records of this key are the suite's own: an engine may need an append to roll what it compacts."""

EAGER = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "100"}
"""Settings with which Kafka compacts soon."""


class CompactionContract(ABC):
    """For engines whose test can have a topic compacted; to be inherited beside `LogContract`."""

    @abstractmethod
    def compact(self, log: Log, topic: str) -> None:
        """Have the topic compacted, old tombstones included, after a while at least. May append a record keyed ROLL."""

    def test_last_record_of_each_key_stays(self, bench: LogBench) -> None:
        """Earlier records of a key go, offsets and order of the rest stay as they were, and so does the end."""
        topic = self.compacted(bench)
        for value in (b"1", b"2", b"3"):
            for key in (b"a", b"b"):
                bench.produce(topic, value, key=key)
        bench.produce(topic, b"only", key=b"c")

        self.compacted_to(bench, topic, {4: (b"a", b"3"), 5: (b"b", b"3"), 6: (b"c", b"only")})

        assert bench.produce(topic, b"4", key=b"a")[0] >= 7
        assert [r.offset for r in bench.read(topic, start=5) if r.key != ROLL][:2] == [5, 6]

    def test_tombstones_remove_their_key_and_then_go(self, bench: LogBench) -> None:
        """A key whose last record has no value ends up with no record at all; other keys are untouched."""
        topic = self.compacted(bench)
        bench.produce(topic, b"1", key=b"gone")
        bench.produce(topic, b"1", key=b"kept")
        bench.produce(topic, None, key=b"gone")

        self.compacted_to(bench, topic, {1: (b"kept", b"1")})

    def test_the_start_stays_where_it_was(self, bench: LogBench) -> None:
        """What compaction removed was replaced, not lost: a position in it is none before the start."""
        topic = self.compacted(bench)
        bench.produce(topic, *(b"%d" % number for number in range(5)), key=b"a")
        self.compacted_to(bench, topic, {4: (b"a", b"4")})

        assert bench.log.start_positions([TopicPartition(topic, 0)]) == {TopicPartition(topic, 0): 0}

    def test_members_read_across_what_was_removed(self, bench: LogBench) -> None:
        """A position inside a removed range goes on with the next record that is there."""
        topic = self.compacted(bench)
        bench.produce(topic, *(b"%d" % number for number in range(20)), key=b"a")
        bench.produce(topic, b"b", key=b"b")
        self.compacted_to(bench, topic, {19: (b"a", b"19"), 20: (b"b", b"b")})
        member = bench.join(bench.name("group"), topic, autostart=False)
        bench.settle([TopicPartition(topic, 0)], member)

        member.consumer.start(TopicPartition(topic, 0), 7)
        bench.poll_until(lambda: len(member.records) >= 2, member)

        assert [record.offset for record in member.records][:2] == [19, 20]

    def test_what_was_compacted_survives_a_restart(self, bench: LogBench) -> None:
        """Opened again, removed records stay removed, and new ones get new offsets."""
        topic = self.compacted(bench)
        bench.produce(topic, b"1", b"2", key=b"a")
        self.compacted_to(bench, topic, {1: (b"a", b"2")})

        bench.restart()

        assert self.contents(bench, topic) == {1: (b"a", b"2")}
        assert bench.produce(topic, b"3", key=b"a")[0] >= 2

    @staticmethod
    def compacted(bench: LogBench) -> str:
        """A compacted topic of one partition."""
        topic = Topic(name=bench.name("compacted"), partitions=1, compacted=True, settings=EAGER)
        bench.log.create([topic])
        return topic.name

    @staticmethod
    def contents(bench: LogBench, topic: str) -> dict[int, tuple[bytes | None, bytes | None]]:
        """What is in the topic, by offset, without the suite's own records."""
        return {record.offset: (record.key, record.value) for record in bench.read(topic) if record.key != ROLL}

    def compacted_to(
        self, bench: LogBench, topic: str, expected: Mapping[int, tuple[bytes | None, bytes | None]]
    ) -> None:
        """Compact until this is left."""

        def is_left() -> bool:
            self.compact(bench.log, topic)
            return self.contents(bench, topic) == expected

        bench.eventually(is_left)
