"""The configuration of a node, for a laptop or a test: small, quick to start, quick to notice a failure.

The limits that matter to clients (message sizes, time-outs of transactions and classic groups) are Kafka's defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """Where one node listens."""

    node: int
    port: int
    controller_port: int


def broker_properties(nodes: int) -> dict[str, str]:
    """What every node of a cluster of this size is told, wherever it runs."""
    replicas, in_sync = str(nodes), str(max(1, nodes - 1))
    return {
        "process.roles": "broker,controller",
        "controller.listener.names": "CONTROLLER",
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": "1" if nodes == 1 else "3",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": "1" if nodes == 1 else "3",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
        "group.coordinator.append.linger.ms": "0",
        "group.consumer.session.timeout.ms": "6000",
        "group.consumer.min.session.timeout.ms": "6000",
        "group.consumer.heartbeat.interval.ms": "500",
        "group.consumer.min.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": "3000" if nodes == 1 else "6000",
        "broker.heartbeat.interval.ms": "500",
        "log.cleaner.dedupe.buffer.size": "2097152",
        "log.cleaner.backoff.ms": "100",
        "log.initial.task.delay.ms": "0",
        "num.network.threads": "1",
        "num.io.threads": "2",
        "background.threads": "2",
    }


def local_properties(addresses: Sequence[Address], me: Address, data: str) -> dict[str, str]:
    """What one node of a cluster on this machine is told."""
    return broker_properties(len(addresses)) | {
        "node.id": str(me.node),
        "controller.quorum.voters": ",".join(f"{a.node}@127.0.0.1:{a.controller_port}" for a in addresses),
        "listeners": f"PLAINTEXT://127.0.0.1:{me.port},CONTROLLER://127.0.0.1:{me.controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{me.port}",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": data,
    }


def written(properties: Mapping[str, str]) -> str:
    """The text of a properties file. Backslashes, which Windows paths have, are doubled as the format demands."""
    return "".join(f"{name}={value.replace(chr(92), chr(92) * 2)}\n" for name, value in properties.items())
