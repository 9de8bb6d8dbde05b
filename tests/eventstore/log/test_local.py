"""What the local engines promise beyond the port: sessions by the clock, retention, compaction by itself, blocking."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from eventstore.clock import ManualClock
from eventstore.log import Log, Position, Topic, TopicPartition, open_log
from eventstore.log.errors import LogClosed, LogError, PositionMissing, StaleMember, TopicMissing
from eventstore.log.local.log import LocalLog
from eventstore.testing.log import RecordingMember
from tests.waiting import eventually

PLACE = TopicPartition("t", 0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "embedded"])
def log(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[LocalLog]:
    url = "memory://" if request.param == "memory" else f"embedded://{tmp_path}/log"
    log = open_log(url, clock=clock)
    assert isinstance(log, LocalLog)
    log.create([Topic(name="t", partitions=2), Topic(name="latest", partitions=1, compacted=True)])
    yield log
    log.close()


@pytest.fixture
def join(log: Log) -> Callable[[], RecordingMember]:
    return lambda: RecordingMember(log, "g", ["t"])


def share(*members: RecordingMember) -> None:
    def is_shared() -> bool:
        for member in members:
            member.poll(10, 0)
        return sum(len(member.owned) for member in members) == 2 and all(member.owned for member in members)

    eventually(is_shared)


def test_silent_member_is_evicted_by_the_clock(join: Callable[[], RecordingMember], clock: ManualClock) -> None:
    """A member that does not poll for a session loses its partitions to those that do, and cannot commit."""
    silent, lively = join(), join()
    share(silent, lively)
    held, stale = silent.owned, silent.member

    for _ in range(4):
        clock.advance(timedelta(seconds=2))
        lively.poll(10, 0)

    assert len(lively.owned) == 2
    with pytest.raises(StaleMember):
        silent.consumer.commit(dict.fromkeys(held, Position(1)), stale)
    silent.poll(10, 0)
    assert silent.told("lost") == held


def test_clock_that_jumps_evicts_nobody_who_polls(join: Callable[[], RecordingMember], clock: ManualClock) -> None:
    """A test moves the clock by an hour: members that poll afterwards keep what they have."""
    one, two = join(), join()
    share(one, two)

    for _ in range(3):
        clock.advance(timedelta(hours=1))
        one.poll(10, 0)
        two.poll(10, 0)

    assert len(one.owned) == len(two.owned) == 1
    assert one.told("lost") == two.told("lost") == frozenset()


def test_waiting_does_not_need_the_clock(log: Log, join: Callable[[], RecordingMember]) -> None:
    """With a clock that stands, polls and reads end after their real time."""
    member = join()

    assert log.reader({PLACE: 0}).read(1, 0.05) == []
    member.poll(1, 0.05)
    assert list(member.poll(1, 0.05)) == []


def test_waiting_member_wakes_on_an_append_and_on_close(log: LocalLog, join: Callable[[], RecordingMember]) -> None:
    """A poll in another thread returns with the record; a read fails when the log is closed under it."""
    member = join()
    member.poll(1, 0)
    found, errors = list[bytes | None](), list[Exception]()

    def read() -> None:
        try:
            log.reader({TopicPartition("t", 1): 0}).read(1, 30)
        except LogClosed as error:
            errors.append(error)

    poller = threading.Thread(target=lambda: found.extend(record.value for record in member.poll(1, 30)))
    poller.start()
    log.producer().send("t", 0, b"k", b"v").result(1)
    poller.join(10)
    reader = threading.Thread(target=read)
    reader.start()
    log.broker.close()
    reader.join(10)

    assert found == [b"v"]
    assert [type(error) for error in errors] == [LogClosed]


def test_retention_by_time(tmp_path: Path, clock: ManualClock, log: LocalLog) -> None:
    """Records past their retention go, offsets stay, and a position among them is out of range."""
    log.create([Topic(name="short", partitions=1, retention_ms=60_000)])
    place, producer = TopicPartition("short", 0), log.producer()
    for number in range(3):
        producer.send("short", 0, b"k", b"%d" % number).result(1)
        clock.advance(timedelta(seconds=40))
    log.compact("short")
    member = RecordingMember(log, "late", ["short"])

    assert log.start_positions([place]) == {place: 2}
    assert log.end_positions([place]) == {place: 3}
    assert [record.value for record in log.reader({place: 0}).read(10, 0)] == [b"2"]
    with pytest.raises(PositionMissing):
        member.poll(1, 0)


def test_compaction_comes_by_itself(log: LocalLog) -> None:
    """A topic whose keys repeat stays small; one whose keys do not loses nothing."""
    log.create([Topic(name="unique", partitions=1, compacted=True)])
    producer = log.producer()
    for number in range(25_000):
        producer.produce("latest", 0, b"%d" % (number % 10), b"%d" % number)
        producer.produce("unique", 0, b"%d" % number, b"v")
    latest, unique = TopicPartition("latest", 0), TopicPartition("unique", 0)
    kept = log.reader({latest: 0}).read(30_000, 0)

    assert len(kept) < 12_000
    assert [record.value for record in kept][-10:] == [b"%d" % number for number in range(24_990, 25_000)]
    assert len(log.reader({unique: 0}).read(30_000, 0)) == 25_000


def test_tombstones_stay_a_day(log: LocalLog, clock: ManualClock) -> None:
    """A reader that is restoring meets them: they go only when they are old and were seen by an earlier compaction."""
    place, producer = TopicPartition("latest", 0), log.producer()
    producer.send("latest", 0, b"k", b"v").result(1)
    producer.send("latest", 0, b"k", None).result(1)

    def left() -> list[bytes | None]:
        log.compact("latest")
        return [record.value for record in log.reader({place: 0}).read(10, 0)]

    soon = [left(), left()]
    clock.advance(timedelta(hours=25))

    assert soon == [[None], [None]]
    assert left() == []
    assert log.end_positions([place]) == {place: 2}


def test_deleted_topic_is_named_to_its_members(log: Log, join: Callable[[], RecordingMember]) -> None:
    """Partitions of a topic that vanished are lost, and polling says which topic is missing."""
    member = join()
    member.poll(1, 0)

    log.delete(["t"])

    with pytest.raises(TopicMissing):
        member.poll(1, 0)
    assert member.told("lost") == {TopicPartition("t", 0), TopicPartition("t", 1)}
    with pytest.raises(TopicMissing):
        log.producer().produce("t", 0, b"k", b"v")


def test_reader_beyond_the_end_says_so(log: Log) -> None:
    """A position that the log does not have yet is of another topic: waiting there would skip records."""
    with pytest.raises(LogError, match="made again"):
        log.reader({PLACE: 7}).read(1, 0)


def test_embedded_compaction_survives_a_restart(tmp_path: Path) -> None:
    """Ends stay where they were although nothing is left in the partition."""
    url, place = f"embedded://{tmp_path}/restart", TopicPartition("latest", 0)
    log = open_log(url)
    assert isinstance(log, LocalLog)
    log.create([Topic(name="latest", partitions=1, compacted=True)])
    for value in (b"v", None):
        log.producer().send("latest", 0, b"k", value).result(1)
    for _ in range(2):
        log.compact("latest", tombstone_age=timedelta())
    log.close()

    log = open_log(url)

    assert (log.start_positions([place]), log.end_positions([place])) == ({place: 0}, {place: 2})
    assert log.producer().send("latest", 0, b"k", b"new").result(1) == 2
    log.close()
