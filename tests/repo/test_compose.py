"""docker-compose.yml is sound as far as can be told without Docker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sagalog.broker import KAFKA_VERSION

_ROOT = Path(__file__).parent.parent.parent
_TOP = {"name", "services", "volumes", "x-kafka", "x-kafka-environment"}
_SERVICE = {
    *("build", "command", "depends_on", "deploy", "environment", "healthcheck", "image", "ports", "restart"),
    *("stop_grace_period", "volumes"),
}
_HEALTH = {"test", "interval", "timeout", "retries", "start_period"}
_NODES = ("kafka-1", "kafka-2", "kafka-3")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file with its anchors and merges resolved."""
    resolved: dict[str, Any] = yaml.safe_load((_ROOT / "docker-compose.yml").read_text())
    return resolved


def test_only_keys_of_the_compose_format_are_used(compose: dict[str, Any]) -> None:
    """A misspelt key would be refused by Docker; here it is refused first."""
    assert set(compose) <= _TOP
    for service in compose["services"].values():
        assert set(service) <= _SERVICE
        assert ("image" in service) != ("build" in service)
        assert set(service["healthcheck"]) <= _HEALTH
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


def test_variables_are_text(compose: dict[str, Any]) -> None:
    """YAML would turn a bare `false` into something that Docker refuses in an environment."""
    for service in compose["services"].values():
        assert all(isinstance(value, str) for value in service["environment"].values())


def test_what_is_referred_to_exists(compose: dict[str, Any]) -> None:
    """Volumes are declared, and services depend on services that have a health check."""
    for service in compose["services"].values():
        assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(compose["volumes"])
        for name, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert "healthcheck" in compose["services"][name]


def test_three_nodes_of_the_kafka_we_test_with(compose: dict[str, Any]) -> None:
    """The image is the version that the tests run on; each node is a voter under its own name and id."""
    nodes = [compose["services"][name] for name in _NODES]

    assert {node["image"] for node in nodes} == {f"apache/kafka:{KAFKA_VERSION}"}
    voters = ",".join(f"{node['environment']['KAFKA_NODE_ID']}@kafka-{i}:19093" for i, node in enumerate(nodes, 1))
    assert {node["environment"]["KAFKA_CONTROLLER_QUORUM_VOTERS"] for node in nodes} == {voters}
    for index, node in enumerate(nodes):
        port = 9092 + index
        assert node["ports"] == [f"127.0.0.1:{port}:9092"]
        assert node["environment"]["KAFKA_ADVERTISED_LISTENERS"].endswith(f"OUTSIDE://127.0.0.1:{port}")


def test_a_lost_node_stops_nothing(compose: dict[str, Any]) -> None:
    """Everything is on three nodes, and two are enough to write."""
    environment = compose["services"]["kafka-1"]["environment"]

    replicated = {name: value for name, value in environment.items() if name.endswith("REPLICATION_FACTOR")}
    assert len(replicated) == 4
    assert set(replicated.values()) == {"3"}
    assert {value for name, value in environment.items() if name.endswith(("MIN_ISR", "MIN_INSYNC_REPLICAS"))} == {"2"}


def test_the_demo_service_has_replicas_and_says_when_it_is_ready(compose: dict[str, Any]) -> None:
    """Three replicas, each healthy when /ready answers, reaching every node, with time to drain."""
    service = compose["services"]["airline"]

    assert service["deploy"]["replicas"] == 3
    assert "/ready" in service["healthcheck"]["test"][-1]
    assert service["environment"]["SAGALOG_LOG"] == "kafka://" + ",".join(f"{name}:19092" for name in _NODES)
    assert "stop_grace_period" in service


def test_the_image_copies_what_exists() -> None:
    """Every path that the Dockerfile copies is in the repository."""
    lines = (_ROOT / "Dockerfile").read_text().splitlines()
    sources = [path for line in lines if line.startswith("COPY ") for path in line.split()[1:-1]]

    assert sources
    assert [path for path in sources if not (_ROOT / path).exists()] == []
