"""Kafka in Docker, by testcontainers: `apache/kafka`, one container a node.

Each node listens three times: for clients of this machine on a port that is the same inside and outside, for its
peers by container name, and for the quorum. The reaper of testcontainers removes the containers when this process is
gone.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sagalog.broker.errors import BrokerExtraMissing, BrokerNotStarted
from sagalog.broker.jars import KAFKA_VERSION
from sagalog.broker.ports import free_ports
from sagalog.broker.properties import broker_properties
from sagalog.broker.readiness import wait_until_ready

if TYPE_CHECKING:
    from pathlib import Path

    from testcontainers.core.container import DockerContainer

    from sagalog.broker.cluster import Cluster

IMAGE = f"apache/kafka:{KAFKA_VERSION}"
_CLUSTER_ID = "c2FnYWxvZy1icm9rZXItMQ"
_PEERS, _QUORUM = 19092, 19093
_READY_S = 120.0
_PING_S = 3


def docker_answers() -> bool:
    """Whether testcontainers is installed and a Docker engine answers."""
    if not (_engine_listens() and find_spec("testcontainers")):
        return False
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=_PING_S)
    except DockerException:
        return False
    try:
        return bool(client.ping())  # pyright: ignore[reportUnknownMemberType] - typed in part
    except DockerException:
        return False
    finally:
        client.close()


def _engine_listens() -> bool:
    """Ask the socket first: Docker's own client is slow to import, and leaves a socket open when nobody listens."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(host.removeprefix("unix://")) == 0


def environment(node: int, nodes: int, port: int, prefix: str) -> dict[str, str]:
    """The environment of one container: Kafka's properties in the image's spelling."""
    voters = ",".join(f"{n}@{prefix}-{n}:{_QUORUM}" for n in range(1, nodes + 1))
    properties = broker_properties(nodes) | {
        "node.id": str(node),
        "controller.quorum.voters": voters,
        "listeners": f"CLIENTS://:{port},PEERS://:{_PEERS},CONTROLLER://:{_QUORUM}",
        "advertised.listeners": f"CLIENTS://127.0.0.1:{port},PEERS://{prefix}-{node}:{_PEERS}",
        "inter.broker.listener.name": "PEERS",
        "listener.security.protocol.map": "CLIENTS:PLAINTEXT,PEERS:PLAINTEXT,CONTROLLER:PLAINTEXT",
    }
    variables = {"KAFKA_" + name.upper().replace(".", "_"): value for name, value in properties.items()}
    return variables | {"CLUSTER_ID": _CLUSTER_ID}


class DockerCluster:
    """A cluster of containers."""

    log: Path | None = None

    def __init__(self, containers: dict[int, DockerContainer], ports: dict[int, int]) -> None:
        self._containers, self._ports = containers, ports

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self._ports.values())

    def kill(self, node: int = 1) -> None:
        self._containers[node].get_wrapped_container().kill()

    def stop(self, node: int = 1) -> None:
        self._containers[node].get_wrapped_container().pause()

    def resume(self, node: int = 1) -> None:
        self._containers[node].get_wrapped_container().unpause()

    def restart(self, node: int = 1) -> None:
        self._containers[node].get_wrapped_container().restart(timeout=0)
        self.wait([node])

    def wait(self, nodes: list[int]) -> None:
        """Wait until the cluster lists the nodes. Raises `BrokerNotStarted`."""
        address = ",".join(f"127.0.0.1:{self._ports[node]}" for node in nodes)
        if not wait_until_ready(address, nodes, timeout_s=_READY_S):
            tail = self._containers[nodes[0]].get_wrapped_container().logs(tail=15).decode(errors="replace")
            raise BrokerNotStarted(f"{IMAGE} did not answer at {address} within {_READY_S:g} s:\n{tail}", None, tail)


@contextmanager
def docker_cluster(nodes: int, port: int | None) -> Generator[Cluster]:
    """Run a cluster of containers for the time of the block."""
    try:
        from testcontainers.core.container import DockerContainer
        from testcontainers.core.network import Network
    except ModuleNotFoundError as error:
        raise BrokerExtraMissing("testcontainers") from error
    chosen = free_ports(nodes)
    if port is not None:
        chosen[0] = port
    ports = dict(enumerate(chosen, start=1))
    with ExitStack() as stack:
        network = stack.enter_context(Network())
        containers: dict[int, DockerContainer] = {}
        for node, host_port in ports.items():
            container = DockerContainer(IMAGE).with_name(f"{network.name}-{node}").with_network(network)
            container.with_bind_ports(host_port, host_port)
            for name, value in environment(node, nodes, host_port, network.name).items():
                container.with_env(name, value)
            containers[node] = stack.enter_context(container)
        cluster = DockerCluster(containers, ports)
        cluster.wait(list(ports))
        yield cluster
