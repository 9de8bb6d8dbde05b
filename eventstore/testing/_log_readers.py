"""The contract of the log port: readers of partitions."""

from __future__ import annotations

import threading
import time

from eventstore.log.records import TopicPartition
from eventstore.testing._log_bench import LogBench, places


class ReaderPromises:
    """Explicit partitions from explicit positions."""

    def test_reads_from_a_position_in_slices(self, bench: LogBench) -> None:
        """A reader begins where it is told and returns no more than asked for; its position is the next offset."""
        topic = bench.topic()
        place = TopicPartition(topic, 0)
        bench.produce(topic, *(b"%d" % number for number in range(10)))
        reader = bench.reader({place: 4})

        first = bench.eventually(lambda: reader.read(3, 1))
        position = reader.position(place)

        assert 1 <= len(first) <= 3
        assert [record.offset for record in first] == list(range(4, 4 + len(first)))
        assert position == first[-1].offset + 1

    def test_reads_many_partitions(self, bench: LogBench) -> None:
        """Each partition comes in its order, none is starved."""
        topic = bench.topic(partitions=3)
        for place in places(topic, 3):
            bench.produce(topic, *(b"%d" % number for number in range(20)), partition=place.partition)
        reader, seen = bench.reader(dict.fromkeys(places(topic, 3), 0)), dict[int, list[int]]()

        def read_all() -> bool:
            for record in reader.read(7, 0.05):
                seen.setdefault(record.partition, []).append(record.offset)
            return sum(map(len, seen.values())) == 60

        bench.eventually(read_all)
        assert seen == {number: list(range(20)) for number in range(3)}

    def test_nothing_to_read_ends_with_the_timeout(self, bench: LogBench) -> None:
        """At the end a read waits as long as it is told, and returns an empty list."""
        topic = bench.topic()
        reader = bench.reader({TopicPartition(topic, 0): 0})
        began = time.monotonic()

        records = reader.read(10, 0.2)

        assert records == []
        assert 0.15 <= time.monotonic() - began < 5

    def test_tailing_reader_wakes_on_an_append(self, bench: LogBench) -> None:
        """A reader that waits at the end gets what is appended meanwhile, long before its timeout."""
        topic = bench.topic()
        reader = bench.reader({TopicPartition(topic, 0): 0})
        reader.read(1, 0.05)
        began = time.monotonic()
        writer = threading.Timer(0.1, bench.produce, (topic, b"late"))
        writer.start()

        records = reader.read(10, 20)
        writer.join()

        assert [record.value for record in records] == [b"late"]
        assert time.monotonic() - began < 10

    def test_bounds_of_a_partition(self, bench: LogBench) -> None:
        """Start and end of an empty partition are equal; the end is after the last record."""
        topic = bench.topic(partitions=2)
        empty, full = places(topic, 2)
        bench.produce(topic, b"a", b"b", partition=1)

        assert bench.log.start_positions([empty, full]) == {empty: 0, full: 0}
        assert bench.log.end_positions([empty, full]) == {empty: 0, full: 2}
