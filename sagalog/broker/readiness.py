"""Know from a cluster's own metadata, not from waiting, that it is ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

_ASK_S = 0.25
_CLIENT_S = 5.0
"""How long one client asks: librdkafka's asks nobody any more if a broker that starts names none (its issue 5301)."""


def wait_until_ready(
    bootstrap: str, nodes: Collection[int], *, timeout_s: float, alive: Callable[[], bool] = lambda: True
) -> bool:
    """Ask for metadata until it names all the nodes; False when `alive` is or the time is over."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        admin, until = _client(bootstrap), min(deadline, time.monotonic() + _CLIENT_S)
        while time.monotonic() < until:
            if not alive():
                return False
            if set(nodes) <= _nodes(admin):
                return True
    return False


def node_ids(bootstrap: str, *, timeout_s: float) -> set[int]:
    """The nodes of a cluster somebody else started; empty when none answers in time."""
    return _nodes(_client(bootstrap), timeout_s)


def _client(bootstrap: str) -> AdminClient:
    """A quiet client: refused connections are what is to be expected until the broker listens."""
    return AdminClient(
        {"bootstrap.servers": bootstrap, "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 50, "log_level": 0}
    )


def _nodes(admin: AdminClient, timeout_s: float = _ASK_S) -> set[int]:
    try:
        return set(admin.list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return set()
