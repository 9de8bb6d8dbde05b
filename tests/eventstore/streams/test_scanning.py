"""Reading partitions to an end: what was acknowledged, and nothing that is open."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, cast

import pytest

from eventstore.clock import ManualClock
from eventstore.errors import ReadStalled
from eventstore.log import open_log
from eventstore.log.port import Log
from eventstore.log.records import Isolation, Record, Topic, TopicPartition
from eventstore.scanning import Scan


@pytest.fixture
def log() -> Log:
    """A log with one topic of one partition."""
    opened = open_log("memory://")
    opened.create([Topic(name="t", partitions=1)])
    return opened


def _write(log: Log, *values: bytes) -> None:
    producer = log.producer()
    for value in values:
        producer.produce("t", 0, b"k", value)
    producer.close()


def _drain(scan: Scan) -> list[Record]:
    found: list[Record] = []
    while not scan.is_done:
        found += scan.page()
    return found


def test_a_scan_ends_where_the_log_ended_at_its_start(log: Log) -> None:
    """What comes later is another scan's."""
    _write(log, b"1", b"2")
    scan = Scan(log, "t", {0: 0})

    assert [record.value for record in _drain(scan)] == [b"1", b"2"]
    assert scan.position(0) == 2
    assert scan.page() == []


def test_an_empty_partition_is_done_at_once(log: Log) -> None:
    """Nothing is opened for it."""
    assert Scan(log, "t", {0: 0}).is_done


class Pending:
    """A log in whose partition a unit of one record is on its way: acknowledged, but its marker is not there yet."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def end_positions(
        self, partitions: Iterable[TopicPartition], *, isolation: Isolation = "committed"
    ) -> dict[TopicPartition, int]:
        """One further if open units count."""
        ends = self._log.end_positions(partitions, isolation=isolation)
        return {at: end + (isolation == "uncommitted") for at, end in ends.items()}


def test_a_scan_waits_for_what_is_acknowledged_but_not_visible_yet(log: Log) -> None:
    """K4: markers reach partitions independently, so the end is the uncommitted one."""
    scan = Scan(cast("Log", Pending(log)), "t", {0: 0})
    assert scan.page() == []
    assert not scan.is_done

    _write(log, b"1")

    assert [record.value for record in _drain(scan)] == [b"1"]


def test_a_scan_that_stands_is_a_named_error(log: Log) -> None:
    """After 30 seconds; it says where it stood."""
    _write(log, b"1")
    clock = ManualClock()
    scan = Scan(cast("Log", Pending(log)), "t", {0: 0}, clock=clock)
    assert [record.value for record in scan.page()] == [b"1"]
    clock.advance(timedelta(seconds=29))
    assert scan.page() == []

    clock.advance(timedelta(seconds=2))

    with pytest.raises(ReadStalled, match=r"t\[0\]: stood at 1 for 30 s although the log goes to 2"):
        scan.page()


def test_a_scan_to_an_offset_returns_nothing_beyond(log: Log) -> None:
    """Also when a page of the log holds more."""
    _write(log, b"1", b"2", b"3")

    assert [record.value for record in _drain(Scan(log, "t", {0: 1}, end=2))] == [b"2"]


def test_a_tail_is_never_done(log: Log) -> None:
    """It goes on with what comes."""
    scan = Scan(log, "t", {0: 0}, tail=True)
    assert scan.page() == []

    _write(log, b"1")

    assert [record.value for record in scan.page()] == [b"1"]
    assert not scan.is_done
    scan.close()
