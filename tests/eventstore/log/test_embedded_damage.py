"""Files of an embedded log that cannot be read, or are not there: named, and never taken for the end without a word."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from structlog.testing import capture_logs

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


def test_a_folder_that_lacks_one_file_is_left_as_it_is(url: str, tmp_path: Path) -> None:
    """RocksDB would begin anew there at the second try, and remove the tables: put back, all is there."""
    current = tmp_path / "log" / "log" / "CURRENT"
    content = current.read_bytes()
    current.unlink()

    for _ in range(3):
        with pytest.raises(EmbeddedBroken, match="CURRENT is missing"):
            open_log(url)

    current.write_bytes(content)
    log = open_log(url)
    assert log.end_positions([PLACE]) == {PLACE: RECORDS}
    log.close()


def test_what_a_damaged_write_ahead_log_ends_before_is_told(tmp_path: Path) -> None:
    """A power failure leaves it so, too: what stands before is served, dense and in order, and the log says it."""
    log = open_log(f"embedded://{tmp_path}/log")
    log.create([Topic(name="t", partitions=1)])
    producer = log.producer()
    for number in range(100):
        producer.send("t", 0, b"%d" % number, random.Random(number).randbytes(200)).result(10)
    url = f"embedded://{tmp_path}/killed"
    shutil.copytree(tmp_path / "log" / "log", tmp_path / "killed" / "log")
    producer.close()
    log.close()
    [written] = (tmp_path / "killed" / "log").glob("*.log")
    content = bytearray(written.read_bytes())
    content[len(content) // 2] ^= 1
    written.write_bytes(content)

    with capture_logs() as told:
        log = open_log(url)
    end = log.end_positions([PLACE])[PLACE]
    found = log.reader({PLACE: 0}).read(RECORDS, 1)
    log.close()

    assert [line["event"] for line in told] == ["embedded_tail_lost"]
    assert 0 < end < 100
    assert [record.key for record in found] == [b"%d" % number for number in range(end)]
    with capture_logs() as told:
        open_log(url).close()
    assert told == []
