"""Whoever waits for records of a local log is woken by those that it waits for."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest

from eventstore.log import open_log
from eventstore.log.local import compaction
from eventstore.log.local.log import LocalLog
from eventstore.log.local.store import Partition
from eventstore.log.local.waking import Wake
from eventstore.log.port import Producer
from eventstore.log.records import Topic, TopicPartition
from tests.waiting import eventually


def test_records_wake_those_who_wait_for_their_partition_alone() -> None:
    """Who wakes for nothing takes the interpreter from the others; a change of assignment concerns everybody."""
    lock, woken = threading.Lock(), list[str]()
    wake = Wake(lock)

    def wait(name: str, partition: int) -> None:
        with lock:
            wake.wait(60.0, [("topic", partition)])
            woken.append(name)

    threads = [threading.Thread(target=wait, args=each) for each in (("first", 0), ("second", 1), ("third", 2))]
    for thread in threads:
        thread.start()
    eventually(lambda: len(wake._waiting) == 3)
    with lock:
        wake.notify({("topic", 1), ("other", 0)})
    threads[1].join(30)
    assert woken == ["second"]
    with lock:
        wake.notify_all()
    for thread in threads:
        thread.join(30)

    assert sorted(woken) == ["first", "second", "third"]


def test_a_reader_sees_a_record_as_soon_as_it_is_there() -> None:
    """It waits for its own partitions, and not to the end of its time."""
    log = open_log("memory://")
    log.create([Topic(name="t", partitions=2)])
    reader, producer = log.reader({TopicPartition("t", 1): 0}), log.producer()
    began = time.monotonic()
    threading.Timer(0.05, lambda: _send_both(producer)).start()

    assert [record.partition for record in reader.read(10, 60.0)] == [1]
    assert time.monotonic() - began < 30
    log.close()


@pytest.mark.parametrize("has_tombstone", [False, True])
def test_a_topic_of_unique_keys_is_walked_for_its_tombstones_only(
    has_tombstone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tombstone takes the record of its key with it, and goes itself in the end; after that nothing is looked at."""
    log = open_log("memory://")
    assert isinstance(log, LocalLog)
    log.create([Topic(name="t", partitions=1, compacted=True, has_unique_keys=True)])
    producer = log.producer()
    for number in range(3):
        producer.produce("t", 0, b"%d" % number, b"v")
    if has_tombstone:
        producer.produce("t", 0, b"1", None)

    walked = list[int]()
    monkeypatch.setattr("eventstore.log.local.compaction._learn", _counting(walked))
    for _ in range(4):
        log.compact("t", tombstone_age=timedelta())

    found = log.reader({TopicPartition("t", 0): 0}).read(10, 0.0)
    assert [record.key for record in found] == ([b"0", b"2"] if has_tombstone else [b"0", b"1", b"2"])
    assert len(walked) == (2 if has_tombstone else 0), "once to see the tombstone, once to remove it"
    log.close()


def _send_both(producer: Producer) -> None:
    for number in range(2):
        producer.produce("t", number, b"k", b"v")


def _counting(walked: list[int]) -> object:
    real = compaction._learn

    def learn(partition: Partition) -> object:
        walked.append(partition.end)
        return real(partition)

    return learn
