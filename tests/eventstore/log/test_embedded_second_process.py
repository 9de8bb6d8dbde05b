"""A second process on an embedded folder talks to the owner (rule B)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from eventstore.log import Log, Position, Topic, TopicPartition, open_log
from eventstore.log.errors import (
    EmbeddedBroken,
    EmbeddedInUse,
    InvalidRecord,
    LogClosed,
    LogError,
    MessageTooLarge,
    OutcomeUnknown,
    PartitionCountChanged,
    TopicMissing,
)
from eventstore.log.local.remote.client import RemoteLog
from eventstore.log.local.remote.connection import Connection
from eventstore.log.local.remote.messages import Produce
from eventstore.log.local.remote.producer import MOST_BYTES_AT_ONCE
from eventstore.testing.log import RecordingMember
from tests.waiting import eventually

OWNER = """
import sys
from eventstore.log import *
log = open_log(sys.argv[1])
log.create([Topic(name="orders", partitions=2), Topic(name="latest", partitions=1, compacted=True)])
class Quiet:
    def assigned(self, partitions):
        for partition in partitions: member.start(partition, 0)
    def revoked(self, partitions): ...
    def lost(self, partitions): ...
member = log.group("owners", ["orders"], Quiet())
member.poll(1, 0)
member.commit({TopicPartition("orders", 0): Position(5, "note")})
print("ready", flush=True)
sys.stdin.read()
"""
PLACE = TopicPartition("orders", 0)


class Owner:
    """A process that owns the folder."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=10)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"embedded://{tmp_path}/log"


@pytest.fixture
def owner(url: str) -> Iterator[Owner]:
    owner = Owner(url)
    yield owner
    owner.kill()


@pytest.fixture
def log(owner: Owner, url: str) -> Iterator[Log]:
    log = open_log(url)
    yield log
    log.close()


def read(log: Log, place: TopicPartition = PLACE) -> list[bytes | None]:
    end, reader = log.end_positions([place])[place], log.reader({place: 0})
    found: list[bytes | None] = []
    while reader.position(place) < end:
        found += [record.value for record in reader.read(500, 1)]
    reader.close()
    return found


def test_second_process_uses_the_owners_log(log: Log, owner: Owner) -> None:
    """Topics, groups and positions are the owner's."""
    assert isinstance(log, RemoteLog)
    assert log.owner == owner.process.pid
    assert {name: topic.partitions for name, topic in log.describe().items()} == {"orders": 2, "latest": 1}
    assert (log.groups(), log.groups(live=True)) == (["owners"], ["owners"])
    assert log.group_positions("owners", [PLACE, TopicPartition("orders", 1)]) == {
        PLACE: Position(5, "note"),
        TopicPartition("orders", 1): None,
    }


def test_second_process_produces_and_reads(log: Log) -> None:
    """Records go both ways with all their parts; callbacks and futures tell offsets."""
    producer, told = log.producer(), list[tuple[LogError | None, int]]()
    for number in range(1_200):
        producer.produce(
            "orders",
            0,
            b"k",
            b"%d" % number,
            [("h", b"1")],
            timestamp_ms=7,
            on_delivery=lambda error, offset: told.append((error, offset)),
        )
    before = len(told)
    producer.flush()
    offset = producer.send("orders", 0, b"k", None).result(5)
    producer.close()

    assert (before, told) == (0, [(None, number) for number in range(1_200)])
    assert offset == 1_200
    assert read(log) == [b"%d" % number for number in range(1_200)] + [None]
    assert log.start_positions([PLACE]) == {PLACE: 0}
    reader = log.reader({PLACE: 0})
    (first,) = reader.read(1, 1)
    reader.close()
    assert (first.key, first.value, first.headers, first.timestamp_ms) == (b"k", b"0", (("h", b"1"),), 7)


def test_second_process_need_not_poll_for_its_records_to_go(log: Log) -> None:
    """A record is sent as soon as it is produced: a question does not wait for the next round of a loop."""
    producer = log.producer()

    producer.produce("orders", 0, b"k", b"v")

    eventually(lambda: read(log) == [b"v"])
    producer.close()


def test_second_process_hears_of_a_record_that_failed(log: Log) -> None:
    """Without a callback, `flush` tells."""
    producer = log.producer()
    producer.produce("nowhere", 0, b"k", b"v")

    with pytest.raises(TopicMissing):
        producer.flush()
    producer.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"partition": -1},
        {"key": "text"},
        {"headers": [("\ud800", b"")]},
        {"timestamp_ms": 1 << 64},
        {"topic": "\ud800"},
    ],
    ids=str,
)
def test_record_that_cannot_be_sent_is_refused_alone(log: Log, wrong: dict[str, Any]) -> None:
    """Its neighbours stand, and the producer goes on."""
    producer, told = log.producer(), list[tuple[LogError | None, int]]()
    right: dict[str, Any] = {"topic": "orders", "partition": 0, "key": b"k", "value": b"v"}
    for each in (right, right | wrong, right):
        with contextlib.suppress(InvalidRecord):
            producer.produce(**each, on_delivery=lambda error, offset: told.append((error, offset)))
    producer.flush(5)
    producer.send("orders", 0, b"k", b"later").result(5)
    producer.close()

    assert told == [(None, 0), (None, 1)]
    assert read(log) == [b"v", b"v", b"later"]


def test_large_records_go_in_several_requests(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request is bounded in bytes, too, and so is what waits."""
    asked, ask = list[int](), Connection.ask

    def noted(self: Connection, request: Any, *rest: Any, **options: Any) -> Any:
        if isinstance(request, Produce):
            asked.append(sum(memoryview(each).nbytes for each in request.records))
        return ask(self, request, *rest, **options)

    monkeypatch.setattr(Connection, "ask", noted)
    producer, value = log.producer(), bytes(900_000)
    for _ in range(100):
        producer.produce("orders", 0, b"k", value)
    producer.close()

    assert max(asked) <= MOST_BYTES_AT_ONCE
    assert log.end_positions([PLACE])[PLACE] == 100


def test_futures_callback_may_send_while_the_buffer_is_full(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs on the thread that makes room."""
    monkeypatch.setattr("eventstore.log.local.remote.producer.MOST_WAITING", 10)
    producer = log.producer()

    def again(_: Future[int]) -> None:
        producer.produce("orders", 0, b"k", b"again")

    def send() -> None:
        for _ in range(200):
            producer.send("orders", 0, b"k", b"first").add_done_callback(again)
        producer.close()

    sending = Thread(target=send, daemon=True)
    sending.start()
    sending.join(10)

    assert not sending.is_alive()
    assert sorted(value or b"" for value in read(log)) == [b"again"] * 200 + [b"first"] * 200


def test_second_process_makes_and_deletes_topics(log: Log) -> None:
    """Topics are made, checked and deleted from outside."""
    log.create([Topic(name="made", partitions=3, compacted=True)])
    made = log.describe(["made"])["made"]
    with pytest.raises(PartitionCountChanged):
        log.create([Topic(name="made", partitions=4)])
    log.delete(["made"])

    assert made.partitions == made.manifest_partitions == 3
    assert log.describe(["made"]) == {}


def test_errors_arrive_by_name(log: Log) -> None:
    """What the owner refuses is raised, or told to the callback, as the same error."""
    producer, errors = log.producer(), list[type[object]]()

    with pytest.raises(MessageTooLarge):
        producer.produce("orders", 0, b"k", b"x" * (log.message_max_bytes + 1))
    producer.produce("latest", 0, None, b"v", on_delivery=lambda error, offset: errors.append(type(error)))
    producer.produce("nowhere", 0, b"k", b"v", on_delivery=lambda error, offset: errors.append(type(error)))
    producer.flush()
    with pytest.raises(InvalidRecord):
        producer.send("orders", 9, b"k", b"v").result(5)
    with pytest.raises(TopicMissing):
        log.reader({TopicPartition("nowhere", 0): 0})

    assert errors == [InvalidRecord, TopicMissing]
    producer.close()


def test_groups_and_units_are_refused_with_the_way_out(log: Log, owner: Owner) -> None:
    """The refusal names the owner's process and says what to use instead."""
    expected = rf"process {owner.process.pid}.*one process per embedded folder.*kafka://"

    with pytest.raises(EmbeddedInUse, match=expected):
        RecordingMember(log, "owners", ["orders"])
    with pytest.raises(EmbeddedInUse, match=expected):
        log.transactor("t")


def test_owner_that_was_killed_is_replaced(log: Log, owner: Owner, url: str) -> None:
    """Calls to a dead owner fail by name; opened again, the folder is this process's, with all records."""
    producer, late = log.producer(), list[LogError | None]()
    producer.send("orders", 0, b"k", b"before").result(5)
    owner.process.send_signal(signal.SIGSTOP)
    producer.produce("orders", 0, b"k", b"lost?", on_delivery=lambda error, offset: late.append(error))

    owner.kill()
    with pytest.raises(LogClosed, match="open the log again"):
        log.describe()
    producer.flush()
    again = open_log(url)

    assert [type(error) for error in late] == [OutcomeUnknown]
    assert read(again) == [b"before"]
    again.group("owners", ["orders"], RecordingMember(again, "other", ["orders"])).close()
    again.close()


def test_owner_that_closes_leaves_nothing_behind(tmp_path: Path, url: str) -> None:
    """Neither socket nor note is left; the next one opens at once."""
    open_log(url).close()

    assert sorted(file.name for file in (tmp_path / "log").iterdir()) == ["lock", "log"]
    open_log(url).close()


def test_handles_of_one_process_share_the_folder(url: str) -> None:
    """The folder is released by the last handle that is closed."""
    one, two = open_log(url), open_log(url)
    one.create([Topic(name="orders", partitions=2)])
    one.close()
    two.producer().send("orders", 0, b"k", b"v").result(5)

    with pytest.raises(LogClosed):
        one.describe()
    assert read(two) == [b"v"]
    two.close()


def test_long_folder_gets_a_short_socket(tmp_path: Path) -> None:
    """A path too long for a socket is no obstacle, and the stand-in goes with the owner."""
    folder = tmp_path / ("long" * 20) / ("longer" * 10)
    owner = Owner(f"embedded://{folder}")
    note: dict[str, Any] = json.loads((folder / "owner").read_text())
    log = open_log(f"embedded://{folder}")
    topics = set(log.describe())
    log.close()
    owner.kill()
    open_log(f"embedded://{folder}").close()

    assert topics == {"orders", "latest"}
    assert len(note["socket"]) <= 100
    assert not Path(note["socket"]).parent.exists()


def test_stranger_on_the_socket_does_no_harm(url: str, tmp_path: Path) -> None:
    """Bytes that are no frame of ours end that connection only."""
    log = open_log(url)
    log.create([Topic(name="orders", partitions=1)])
    for junk in (b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x02\x07x", b"\x00\x00\x00\x02\x01\xc1"):
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.settimeout(5)
            stranger.connect(str(tmp_path / "log" / "socket"))
            stranger.sendall(junk)
            with contextlib.suppress(ConnectionResetError):
                assert stranger.recv(1) == b""

    assert set(log.describe()) == {"orders"}
    log.close()


def test_folder_of_another_format_is_refused(url: str, tmp_path: Path) -> None:
    """A folder that a later version wrote is not touched."""
    from rocksdict import Options, Rdict

    open_log(url).close()
    database = Rdict(str(tmp_path / "log" / "log"), Options(raw_mode=True))
    database.put(b"F", b"\x02")
    database.close()

    with pytest.raises(EmbeddedBroken, match="format"):
        open_log(url)
