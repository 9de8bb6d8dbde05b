"""A table of an embedded log that cannot be read in the middle: named, and never taken for the end."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from eventstore.log import Topic, open_log
from eventstore.log.errors import EmbeddedBroken
from eventstore.log.records import TopicPartition
from tests.damage import flip_a_bit

RECORDS = 2_000
PLACE = TopicPartition("t", 0)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A log whose records are in a damaged table."""
    url = f"embedded://{tmp_path}/log"
    log = open_log(url)
    log.create([Topic(name="t", partitions=1)])
    producer = log.producer()
    for number in range(RECORDS):
        producer.produce("t", 0, b"%d" % number, random.Random(number).randbytes(200))
    producer.flush(20)
    producer.close()
    log.close()
    open_log(url).close()  # which writes what its write-ahead log has to a table
    assert flip_a_bit(tmp_path)
    return url


def test_records_that_cannot_be_read_are_named(url: str) -> None:
    """Those before are read; the reader never goes on behind, nor waits as at the end."""
    log = open_log(url)
    reader, found = log.reader({PLACE: 0}), list[int]()

    def read_all() -> None:
        while len(found) < RECORDS:
            records = reader.read(100, 1)
            assert records, "no end before the end"
            found.extend(record.offset for record in records)

    with pytest.raises(EmbeddedBroken, match=r"t\[0\].*block checksum mismatch"):
        read_all()
    log.close()

    assert found == list(range(len(found)))
    assert len(found) < RECORDS


def test_the_end_is_known_all_the_same(url: str) -> None:
    """What is appended never takes the place of something that cannot be read."""
    log = open_log(url)
    producer = log.producer()

    assert producer.send("t", 0, b"new", b"").result(10) == RECORDS
    log.close()
