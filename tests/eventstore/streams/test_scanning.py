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


class HalfWritten:
    """A log of which a unit is being written when it is asked for its end: its records are read in two parts."""

    def __init__(self, log: Log, end: int) -> None:
        self._log, self._end = log, end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def end_positions(
        self, partitions: Iterable[TopicPartition], *, isolation: Isolation = "committed"
    ) -> dict[TopicPartition, int]:
        """Half of it is there, and nothing is committed; asked again, it was committed."""
        if isolation == "uncommitted":
            return dict.fromkeys(partitions, self._end)
        return dict(self._log.end_positions(partitions, isolation=isolation))

    def reader(self, positions: Any, **options: Any) -> Any:
        """At most as many records at a time as were there."""
        reader = self._log.reader(positions, **options)
        read = reader.read
        reader.read = lambda max_records, timeout: read(self._end, timeout)  # type: ignore[method-assign]
        return reader


def test_a_scan_ends_where_a_unit_ends(log: Log) -> None:
    """K15: units are returned whole, also one that was being written when the end was asked for."""
    transactor = log.transactor("unit")
    transactor.begin()
    for value in (b"1", b"2", b"3", b"4", b"5"):
        transactor.produce("t", 0, b"k", value)
    transactor.commit()

    scan = Scan(cast("Log", HalfWritten(log, 2)), "t", {0: 0})

    assert [record.value for record in _drain(scan)] == [b"1", b"2", b"3", b"4", b"5"]


def test_a_scan_returns_nothing_beyond_that_unit(log: Log) -> None:
    """What comes while it goes to the unit's end is another scan's, which begins right behind it."""
    _write(log, b"1", b"2", b"3")
    half = HalfWritten(log, 2)
    scan = Scan(cast("Log", half), "t", {0: 0})
    first = scan.page()
    _write(log, b"4", b"5", b"6")

    assert [record.value for record in [*first, *_drain(scan)]] == [b"1", b"2", b"3"]
    assert scan.position(0) == 3


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
