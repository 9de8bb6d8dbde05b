"""The contract of the log port: producers."""

from __future__ import annotations

import threading

import pytest

from eventstore.log.errors import InvalidRecord, LogError, MessageTooLarge
from eventstore.log.records import Record, TopicPartition
from eventstore.testing._log_bench import LogBench, at, places


class ProducerPromises:
    """Acknowledged records are there, whole and in order."""

    def test_records_come_back_as_they_were_written(self, bench: LogBench) -> None:
        """Key, value, headers and time survive; no value is a tombstone, no key is allowed."""
        topic = bench.topic()
        producer = bench.producer()

        producer.produce(topic, 0, b"k", b"v", [("a", b"1"), ("b", b"")], timestamp_ms=1_700_000_000_123)
        producer.produce(topic, 0, b"k", None)
        producer.produce(topic, 0, None, b"")
        producer.flush()

        first, tombstone, keyless = bench.read(topic)
        assert first == Record(topic, 0, 0, 1_700_000_000_123, b"k", b"v", first.headers)
        assert list(first.headers) == [("a", b"1"), ("b", b"")]
        assert (tombstone.key, tombstone.value, list(tombstone.headers)) == (b"k", None, [])
        assert (keyless.key, keyless.value) == (None, b"")
        assert tombstone.timestamp_ms > 0

    def test_order_of_a_partition_is_the_order_of_produce(self, bench: LogBench) -> None:
        """Records of one partition keep their order, whatever goes to others in between."""
        topic = bench.topic(partitions=2)
        producer = bench.producer()

        for number in range(1_000):
            producer.produce(topic, number % 2, b"k", b"%d" % number)
        producer.flush()

        assert bench.values(topic, 0) == [b"%d" % number for number in range(0, 1_000, 2)]
        assert bench.values(topic, 1) == [b"%d" % number for number in range(1, 1_000, 2)]

    def test_delivery_is_told_by_poll_or_flush_with_the_offset(self, bench: LogBench) -> None:
        """Callbacks come once each, in order per partition, on the thread that calls, with the record's offset."""
        topic, told, threads = bench.topic(), list[int](), set[int]()
        producer = bench.producer()

        def on_delivery(error: LogError | None, offset: int) -> None:
            assert error is None
            told.append(offset)
            threads.add(threading.get_ident())

        for _ in range(3):
            producer.produce(topic, 0, b"k", b"v", on_delivery=on_delivery)
        assert told == []

        def is_told() -> bool:
            producer.poll(0.01)
            return len(told) == 3

        bench.eventually(is_told)
        producer.produce(topic, 0, b"k", b"v", on_delivery=on_delivery)
        producer.flush()

        assert told == [record.offset for record in bench.read(topic)]
        assert threads == {threading.get_ident()}

    def test_produced_record_goes_out_by_itself(self, bench: LogBench) -> None:
        """Without `poll` or `flush`: only its callback waits for those."""
        topic, producer = bench.topic(), bench.producer()

        producer.produce(topic, 0, b"k", b"v")

        bench.eventually(lambda: bench.values(topic) == [b"v"])

    def test_future_of_an_offset_needs_no_poll(self, bench: LogBench) -> None:
        """`send` gives a future that is resolved by itself."""
        topic = bench.topic()
        producer = bench.producer()

        offsets = [producer.send(topic, 0, b"k", b"v").result(10) for _ in range(3)]

        assert offsets == [0, 1, 2]

    def test_producer_may_be_used_by_several_threads(self, bench: LogBench) -> None:
        """`produce` from four threads loses nothing and keeps the order of each."""
        topic = bench.topic()
        producer = bench.producer()

        def work(name: int) -> None:
            for number in range(250):
                producer.produce(topic, 0, b"%d" % name, b"%d" % number)

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        producer.flush()

        records = bench.read(topic)
        for name in range(4):
            assert [r.value for r in records if r.key == b"%d" % name] == [b"%d" % number for number in range(250)]

    def test_oversize_record_is_refused_at_once(self, bench: LogBench) -> None:
        """A record above the limit raises when it is produced; the producer goes on."""
        topic = bench.topic()
        producer = bench.producer()
        limit = bench.log.message_max_bytes

        with pytest.raises(MessageTooLarge) as caught:
            producer.produce(topic, 0, b"k", b"x" * (limit + 1))
        with pytest.raises(MessageTooLarge):
            producer.send(topic, 0, b"k", b"x" * (limit + 1))
        producer.produce(topic, 0, b"k", b"small")
        producer.flush()

        assert caught.value.topic == topic
        assert caught.value.size_bytes > caught.value.limit_bytes
        assert bench.values(topic) == [b"small"]

    def test_compacted_topic_takes_no_record_without_a_key(self, bench: LogBench) -> None:
        """It is refused by name, at once or by the callback, and the producer goes on."""
        topic, errors = bench.topic(compacted=True), list[LogError | None]()
        producer = bench.producer()

        try:
            producer.produce(topic, 0, None, b"v", on_delivery=lambda error, offset: errors.append(error))
            producer.flush()
        except InvalidRecord as error:
            errors.append(error)
        producer.produce(topic, 0, b"k", b"v")
        producer.flush()

        assert [type(error) for error in errors] == [InvalidRecord]
        assert bench.values(topic) == [b"v"]

    def test_closing_flushes(self, bench: LogBench) -> None:
        """What was produced before `close` is acknowledged by it."""
        topic, told = bench.topic(), list[int]()
        producer = bench.log.producer()
        producer.produce(topic, 0, b"k", b"v", on_delivery=lambda error, offset: told.append(offset))

        producer.close()

        assert told == [0]
        assert bench.values(topic) == [b"v"]

    def test_acknowledged_records_survive_a_restart(self, bench: LogBench) -> None:
        """Closed and opened again, the log has topics, records, offsets and positions as before."""
        topic, group = bench.topic(partitions=2), bench.name("group")
        bench.produce(topic, b"a", b"b")
        member = bench.join(group, topic)
        bench.settle(places(topic, 2), member)
        member.consumer.commit({TopicPartition(topic, 0): at(1, "note")})
        before = bench.log.describe([topic])

        bench.restart()

        assert bench.log.describe([topic]) == before
        assert bench.values(topic) == [b"a", b"b"]
        assert bench.log.group_positions(group, [TopicPartition(topic, 0)])[TopicPartition(topic, 0)] == at(1, "note")
        assert bench.produce(topic, b"c") == [2]
