"""A broker that is there when it is wanted, breaks when told, and is gone with whoever wanted it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from sagalog.broker import BrokerNotStarted, NotOurBroker, broker
from sagalog.broker.cluster import ForeignCluster, LocalCluster
from sagalog.broker.readiness import wait_until_ready
from sagalog.broker.runtime import find_runtime
from tests.administrator import create_topic
from tests.waiting import eventually

pytestmark = pytest.mark.kafka

_OWNER = """
import sys
from sagalog.broker import broker
with broker(provider="local") as cluster:
    print(cluster.pid(), cluster.log.parent.parent, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster() -> Generator[LocalCluster]:
    """A cluster that the tests of this module may break, if they mend it again."""
    with broker(provider="local") as started:
        assert isinstance(started, LocalCluster)
        yield started


def test_records_go_in_and_come_out(kafka: str, topic: str) -> None:
    """What is produced to the provided Kafka can be read from it."""
    _create(kafka, topic)

    _produce(kafka, topic, b"hello")

    assert _read(kafka, topic, 1) == [b"hello"]


def test_a_warm_start_makes_nothing_again(cluster: LocalCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Formatted folder and AOT cache are made once and used by every later start. How long one takes is told: 1.5 s
    at most are aimed at, on a machine that does nothing else."""
    runtime = find_runtime(print)
    if runtime.aot_cache.exists():
        assert f"-XX:AOTCache={runtime.aot_cache}" in runtime.server(Path("server.properties"))
    made = [path.stat().st_mtime_ns for path in (runtime.template, runtime.aot_cache) if path.exists()]

    tries = [_seconds_to_start() for _ in range(3)]

    assert [path.stat().st_mtime_ns for path in (runtime.template, runtime.aot_cache) if path.exists()] == made
    with capsys.disabled():
        print(f"\nwarm start of a broker: {min(tries):.2f} s")


def test_an_optimised_broker_has_both_compilers_and_starts_from_the_cache() -> None:
    """Of an option that comes twice the JVM takes the last one; the quick compiler alone is for tests."""
    with broker(provider="local", is_optimised=True) as cluster:
        assert isinstance(cluster, LocalCluster)
        options = Path(f"/proc/{cluster.pid()}/cmdline").read_text().split("\0")

    runtime = find_runtime(print)
    assert [option for option in options if "TieredStopAtLevel" in option][-1] == "-XX:TieredStopAtLevel=4"
    assert (f"-XX:AOTCache={runtime.aot_cache}" in options) == runtime.aot_cache.exists()


def test_a_killed_node_comes_back_with_its_records(cluster: LocalCluster, topic: str) -> None:
    """A node killed as by a crash answers no more; restarted it has what it acknowledged."""
    _create(cluster.bootstrap, topic)
    _produce(cluster.bootstrap, topic, b"kept")

    cluster.kill()
    assert not wait_until_ready(cluster.bootstrap, {1}, timeout_s=0.5)
    cluster.restart()

    assert _read(cluster.bootstrap, topic, 1) == [b"kept"]


def test_a_frozen_node_goes_on_where_it_was(cluster: LocalCluster) -> None:
    """A stopped node does not answer; resumed, the same process does."""
    before = cluster.pid()

    cluster.stop()
    assert not wait_until_ready(cluster.bootstrap, {1}, timeout_s=0.5)
    cluster.resume()

    assert wait_until_ready(cluster.bootstrap, {1}, timeout_s=20)
    assert cluster.pid() == before


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_broker_is_gone_with_its_parent(how: signal.Signals) -> None:
    """However the process ends that wanted the broker, its JVM and its folder are gone soon after."""
    command = [sys.executable, "-c", _OWNER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid, folder = owner.stdout.readline().split()
        assert _exists(int(pid))

        owner.send_signal(how)
        owner.wait(10)

    eventually(lambda: not _exists(int(pid)) and not Path(folder).exists())


if sys.platform == "linux":  # no other system tells a process that its parent died

    def test_the_broker_is_gone_with_its_watcher(cluster: LocalCluster) -> None:
        """Even a watcher killed by force leaves no broker behind."""
        pid = cluster.pid()
        watcher = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[1])

        os.kill(watcher, signal.SIGKILL)

        eventually(lambda: not _exists(pid))
        cluster.restart()


def test_three_nodes_survive_the_loss_of_one(topic: str) -> None:
    """With three nodes, records stay readable and writable while one is down; back, it is listed again."""
    with broker(nodes=3, provider="local") as cluster:
        _create(cluster.bootstrap, topic, replicas=3)
        _produce(cluster.bootstrap, topic, b"before")

        cluster.kill(1)
        _produce(cluster.bootstrap, topic, b"after")
        assert sorted(_read(cluster.bootstrap, topic, 2)) == [b"after", b"before"]

        cluster.restart(1)
        assert wait_until_ready(cluster.bootstrap, {1, 2, 3}, timeout_s=20)


def test_a_folder_keeps_its_records(tmp_path: Path, topic: str) -> None:
    """The same folder given again has the records of the first time, at another address."""
    with broker(folder=tmp_path, provider="local") as first:
        _create(first.bootstrap, topic)
        _produce(first.bootstrap, topic, b"kept")

    with broker(folder=tmp_path, provider="local") as second:
        assert _read(second.bootstrap, topic, 1) == [b"kept"]


def test_a_folder_in_which_a_broker_runs_is_refused(tmp_path: Path) -> None:
    """By name, before another Java starts; it is free again when the first one is gone."""
    with broker(folder=tmp_path, provider="local") as first:
        with (
            pytest.raises(BrokerNotStarted, match=rf"another broker runs in {re.escape(str(tmp_path))}: use that one"),
            broker(folder=tmp_path, provider="local"),
        ):
            pass
        assert wait_until_ready(first.bootstrap, {1}, timeout_s=10, alive=lambda: True)

    with broker(folder=tmp_path, provider="local"):
        pass


def test_a_folder_keeps_its_number_of_nodes(tmp_path: Path) -> None:
    """A folder of one node is refused for three, and the message says what to give."""
    (tmp_path / "node-1" / "data").mkdir(parents=True)
    (tmp_path / "node-1" / "data" / "meta.properties").touch()

    with pytest.raises(BrokerNotStarted, match="give --nodes 1"), broker(nodes=3, folder=tmp_path, provider="local"):
        pass


def test_a_taken_port_is_named(cluster: LocalCluster) -> None:
    """A port where somebody listens is refused before anything is started."""
    port = int(cluster.bootstrap.rpartition(":")[2])

    with pytest.raises(BrokerNotStarted, match=f"port {port} is taken"), broker(port=port, provider="local"):
        pass


def test_the_address_in_the_environment_is_used(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """KAFKA_BOOTSTRAP names the Kafka to use, which then cannot be killed from here."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP", cluster.bootstrap)

    with broker() as found:
        assert isinstance(found, ForeignCluster)
        assert found.bootstrap == cluster.bootstrap
        with pytest.raises(NotOurBroker, match="unset KAFKA_BOOTSTRAP"):
            found.kill()


def test_two_nodes_are_refused() -> None:
    """Two nodes tolerate no failure that one does not, so they are not offered."""
    with pytest.raises(ValueError, match="1 or 3 nodes"), broker(nodes=2):
        pass


def _seconds_to_start() -> float:
    began = time.monotonic()
    with broker(provider="local"):
        return time.monotonic() - began


def _create(bootstrap: str, topic: str, replicas: int = 1) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    create_topic(admin, topic, replicas, replicas)


def _produce(bootstrap: str, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    producer.produce(topic, value)
    assert producer.flush(20) == 0


def _read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": topic, "enable.auto.commit": False, "log_level": 0}
    )
    partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    values: list[bytes] = []

    def complete() -> bool:
        record = consumer.poll(0.2)
        if record is not None and record.error() is None:
            values.append(record.value() or b"")
        return len(values) == count

    try:
        eventually(complete, timeout=20)
    finally:
        consumer.close()
    return values


def _exists(pid: int) -> bool:
    """Whether the process is there and not merely waiting to be reaped by whoever adopted it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rsplit(")")[1].split()[0] == "Z")
