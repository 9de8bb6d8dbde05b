"""What is made once per machine: pinned jars, a fitting Java, locks that several processes respect."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sagalog.broker import JarRejected, JavaMissing, java
from sagalog.broker.cache import cache_folder, locked
from sagalog.broker.docker import environment
from sagalog.broker.jars import KAFKA_VERSION, Jar, check_jar, pinned_jars
from sagalog.broker.ports import free_ports, is_free
from sagalog.broker.properties import Address, local_properties, written

_JAR = Jar("org.example", "thing", "1.0", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")


def test_every_jar_is_pinned_by_version_and_digest() -> None:
    """The lock file names each jar once, with a whole SHA-256, and Kafka in the version that is promised."""
    jars = pinned_jars()

    assert len({(jar.group, jar.artifact) for jar in jars}) == len(jars)
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in jars)
    assert ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION) in {(j.group, j.artifact, j.version) for j in jars}


def test_the_pinned_jar_is_taken(tmp_path: Path) -> None:
    """A file with the pinned digest passes."""
    (tmp_path / "jar").write_bytes(b"abc")

    check_jar(_JAR, tmp_path / "jar")


def test_another_jar_is_rejected(tmp_path: Path) -> None:
    """A file with another digest is named with both digests."""
    (tmp_path / "jar").write_bytes(b"abcd")

    with pytest.raises(JarRejected, match=r"org\.example:thing:1\.0 has SHA-256 88d4266f.*pinned is ba7816bf"):
        check_jar(_JAR, tmp_path / "jar")


def test_a_lock_is_respected_by_another_process(tmp_path: Path) -> None:
    """While one process holds the lock, another that does not wait is told so; afterwards it gets it."""
    file = tmp_path / "lock"
    other = (
        "import sys, pathlib\nfrom sagalog.broker.cache import locked\n"
        "with locked(pathlib.Path(sys.argv[1]), wait=False) as held: print(held)"
    )

    def ask() -> str:
        return subprocess.run(
            [sys.executable, "-c", other, str(file)], capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()

    with locked(file) as held:
        assert held
        assert ask() == "False"
    assert ask() == "True"


def test_the_cache_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SAGALOG_CACHE says where the caches are."""
    monkeypatch.setenv("SAGALOG_CACHE", str(tmp_path))

    assert cache_folder() == tmp_path / "sagalog"
    assert cache_folder().is_dir()


def test_an_old_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the only Java is too old, the error says which one it is and what to do."""
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.touch()
    (tmp_path / "release").write_text('JAVA_VERSION="11.0.2"\n')
    monkeypatch.setattr(java, "_candidates", lambda: [program])

    with pytest.raises(JavaMissing, match=r"is Java 11.*sagalog\[broker\]"):
        java.find_java()


def test_free_ports_are_free_and_different() -> None:
    """Ports come below the range of outgoing connections."""
    ports = free_ports(6)

    assert len(set(ports)) == 6
    assert all(is_free(port) and port < 32_768 for port in ports)


def test_three_nodes_replicate_and_tolerate_one_loss() -> None:
    """Three nodes know each other, replicate three times, and go on with two."""
    addresses = [Address(node, 9000 + node, 9100 + node) for node in (1, 2, 3)]

    properties = local_properties(addresses, addresses[1], "data")

    assert properties["node.id"] == "2"
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:9101,2@127.0.0.1:9102,3@127.0.0.1:9103"
    assert (properties["default.replication.factor"], properties["min.insync.replicas"]) == ("3", "2")


def test_backslashes_survive_a_properties_file() -> None:
    """A Windows path is written so that Java reads the same path."""
    assert written({"log.dirs": r"C:\data"}) == "log.dirs=C:\\\\data\n"


def test_a_container_is_told_the_same_as_a_local_node() -> None:
    """Docker's image takes properties as variables; clients reach it at the port of this machine."""
    variables = environment(node=1, nodes=1, port=20001, prefix="net")

    assert variables["KAFKA_ADVERTISED_LISTENERS"] == "CLIENTS://127.0.0.1:20001,PEERS://net-1:19092"
    assert variables["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert variables["KAFKA_CONTROLLER_QUORUM_VOTERS"] == "1@net-1:19093"
