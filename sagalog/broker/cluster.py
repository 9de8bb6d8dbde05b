"""Clusters that answer at an address, and may be broken and mended node by node.

`Cluster` is what `broker()` yields. `LocalCluster` runs on JVMs of this machine; `ForeignCluster` was started by
somebody else and is only used.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from eventstore.folder_lock import FolderLock
from sagalog.broker.errors import BrokerNotStarted, NotOurBroker
from sagalog.broker.node import Node
from sagalog.broker.ports import free_ports
from sagalog.broker.properties import Address, local_properties, written
from sagalog.broker.readiness import wait_until_ready
from sagalog.broker.runtime import Runtime, copy_formatted, new_cluster_id

_READY_S = 60.0
_LOCKED_S = 1.0
"""How long a broker that is being stopped may keep its folder."""
_SHUTDOWN_S = 20.0


class Cluster(Protocol):
    """A Kafka cluster. Nodes are numbered from 1."""

    @property
    def bootstrap(self) -> str:
        """`host:port` of the nodes, separated by commas."""
        ...

    @property
    def log(self) -> Path | None:
        """The log file of the first node, where there is one on this machine."""
        ...

    def kill(self, node: int = 1) -> None:
        """End a node as a crash would. Raises `NotOurBroker` when somebody else started it."""
        ...

    def stop(self, node: int = 1) -> None:
        """Freeze a node. Raises `NotOurBroker` when somebody else started it."""
        ...

    def resume(self, node: int = 1) -> None:
        """Let a frozen node go on. Raises `NotOurBroker` when somebody else started it."""
        ...

    def restart(self, node: int = 1) -> None:
        """Bring a node back, ending it first if it runs, and wait until the cluster lists it.

        Raises `BrokerNotStarted` when it does not come, and `NotOurBroker` when somebody else started it.
        """
        ...


class ForeignCluster:
    """A cluster that somebody else started."""

    log = None

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def kill(self, node: int = 1) -> None:
        raise NotOurBroker("kill", self.bootstrap)

    def stop(self, node: int = 1) -> None:
        raise NotOurBroker("stop", self.bootstrap)

    def resume(self, node: int = 1) -> None:
        raise NotOurBroker("resume", self.bootstrap)

    def restart(self, node: int = 1) -> None:
        raise NotOurBroker("restart", self.bootstrap)


class LocalCluster:
    """A cluster of JVMs on this machine, in a folder that is removed at the end unless it was given.

    A given folder keeps its records and its cluster id from run to run; its number of nodes must stay the same. It is
    locked as long as this process, which ends its nodes with itself, has it.
    """

    def __init__(
        self, runtime: Runtime, *, nodes: int, port: int | None, folder: Path | None, options: tuple[str, ...] = ()
    ) -> None:
        self._temporary = folder is None
        self._folder = folder or Path(tempfile.mkdtemp(prefix="sagalog-kafka-"))
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self._folder)
        try:
            _check_same_size(self._folder, nodes)
            addresses = _addresses(nodes, port)
            cluster_id = _remembered(self._folder / "cluster.id", new_cluster_id)
            self._nodes = {a.node: self._prepare(runtime, addresses, a, cluster_id, options) for a in addresses}
        except BaseException:
            self._lock.release()
            raise

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{node.address.port}" for node in self._nodes.values())

    @property
    def log(self) -> Path:
        return self._nodes[1].log

    def pid(self, node: int = 1) -> int:
        """The process id of a node's JVM."""
        return self._nodes[node].pid

    def start(self) -> None:
        """Start all nodes and wait until each of them is listed. Raises `BrokerNotStarted`."""
        for node in self._nodes.values():
            node.start()
        self._await(set(self._nodes))

    def kill(self, node: int = 1) -> None:
        self._nodes[node].kill()

    def stop(self, node: int = 1) -> None:
        self._nodes[node].stop()

    def resume(self, node: int = 1) -> None:
        self._nodes[node].resume()

    def restart(self, node: int = 1) -> None:
        self._nodes[node].kill()
        self._nodes[node].start()
        self._await({node})

    def close(self, *, gently: bool | None = None) -> None:
        """Stop all nodes. Those of a temporary folder are killed at once, and the folder is removed."""
        for node in self._nodes.values():
            if self._temporary if gently is None else not gently:
                node.kill()
            else:
                node.terminate(_SHUTDOWN_S)
        if self._temporary:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.release()

    def _prepare(
        self, runtime: Runtime, addresses: list[Address], me: Address, cluster_id: str, options: tuple[str, ...]
    ) -> Node:
        home = self._folder / f"node-{me.node}"
        home.mkdir(exist_ok=True)
        properties = home / "server.properties"
        properties.write_text(written(local_properties(addresses, me, str(home / "data"))))
        copy_formatted(runtime, home / "data", me.node, cluster_id)
        scratch = self._folder if self._temporary else None
        return Node(me, runtime.server(properties, *options), home / "kafka.log", scratch)

    def _await(self, nodes: set[int]) -> None:
        watched = [self._nodes[node] for node in nodes]
        address = ",".join(f"127.0.0.1:{node.address.port}" for node in watched)
        if wait_until_ready(address, nodes, timeout_s=_READY_S, alive=lambda: all(node.runs for node in watched)):
            return
        failed = next((node for node in watched if not node.runs), watched[0])
        what = "ended" if not failed.runs else f"did not answer within {_READY_S:g} s"
        raise BrokerNotStarted(f"Kafka at 127.0.0.1:{failed.address.port} {what}", failed.log, failed.tail())


def _addresses(nodes: int, port: int | None) -> list[Address]:
    """A given port is the first node's, 0 as good as none; all others are free ones."""
    ports = free_ports(2 * nodes)
    if port:
        ports[0] = port
    return [Address(node, ports[node - 1], ports[nodes + node - 1]) for node in range(1, nodes + 1)]


def _locked(folder: Path) -> FolderLock:
    """Keep other brokers out: two with one cluster id would start, and the second end of an obscure reason."""
    lock = FolderLock.acquire(folder / "broker.lock", _LOCKED_S)
    if lock is None:
        raise BrokerNotStarted(
            f"another broker runs in {folder}: use that one, stop it, or give another --folder", None, ""
        )
    return lock


def _check_same_size(folder: Path, nodes: int) -> None:
    """Records and their replicas are spread over the nodes that were there when they were written."""
    found = len(list(folder.glob("node-*/data/meta.properties")))
    if found not in (0, nodes):
        raise BrokerNotStarted(
            f"{folder} holds a cluster of {found} nodes, not {nodes}: give --nodes {found}, or another folder", None, ""
        )


def _remembered(file: Path, make: Callable[[], str]) -> str:
    if not file.exists():
        file.write_text(make())
    return file.read_text()
