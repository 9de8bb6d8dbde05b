"""Somebody who changes topics behind our back, and waits until the cluster shows what was changed.

A controller confirms a change before its brokers have heard of it: who asks one of them at once may be told what was.
"""

from __future__ import annotations

from typing import Any

from confluent_kafka.cimpl import NewPartitions, NewTopic

from tests.waiting import eventually

API_S = 20.0


def create_topic(admin: Any, topic: str, partitions: int, replicas: int = 1) -> None:
    """Make a topic without our manifest."""
    admin.create_topics([NewTopic(topic, partitions, replicas)])[topic].result(API_S)
    _see(admin, topic, partitions)


def add_partitions(admin: Any, topic: str, partitions: int) -> None:
    """Let a topic have this many partitions."""
    admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(API_S)
    _see(admin, topic, partitions)


def _see(admin: Any, topic: str, partitions: int) -> None:
    def is_shown() -> bool:
        topics = admin.list_topics(timeout=API_S).topics  # to ask for one by name might make it
        shown = list(topics[topic].partitions.values()) if topic in topics else []
        return len(shown) == partitions and all(each.leader >= 0 for each in shown)

    eventually(is_shown, timeout=API_S)
