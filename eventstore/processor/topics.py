"""The names and settings of a processor's topics (rule K1)."""

from __future__ import annotations

from typing import Any

from eventstore.log.records import Topic
from eventstore.processor.port import Processor

DAY_MS = 24 * 60 * 60 * 1000
INBOX_RETENTION_MS = 7 * DAY_MS
"""How long an inbox keeps its records."""
DEDUPLICATION_WINDOW_MS = INBOX_RETENTION_MS + DAY_MS
"""How long the outcome of an input is remembered: longer than a repeat can wait in the inbox (K1, K8)."""
TOMBSTONE_RETENTION_MS = DAY_MS
"""How long readers have to see a tombstone; state that was in sync longer ago than half of it is discarded (K13)."""

_COMPACTED = {"delete.retention.ms": str(TOMBSTONE_RETENTION_MS), "min.cleanable.dirty.ratio": "0.9"}


def inbox_of(name: str) -> str:
    """The topic that takes messages to a processor or participant."""
    return f"{name}.inbox"


def events_of(name: str) -> str:
    """The topic of a processor's events."""
    return f"{name}.events"


def state_of(name: str) -> str:
    """The topic of what a successor needs and is not an event."""
    return f"{name}.state"


def state_beside(events_topic: str) -> str:
    """The state topic of the processor that writes this topic of events."""
    return state_of(events_topic.removesuffix(events_of("")))


def replies_of(service: str) -> str:
    """The topic that answers to callers come back on (K10)."""
    return f"{service}.replies"


def dead_letters_of(topic: str, group: str) -> str:
    """The topic that takes what `group` could not process of `topic`."""
    return f"{topic}.{group}.dlq"


def inbox_topic(name: str, partitions: int | None = None) -> Topic:
    """The inbox of a processor or participant, as it shall be."""
    return Topic(name=inbox_of(name), partitions=partitions, retention_ms=INBOX_RETENTION_MS)


def topics_of(processor: Processor[Any], group: str) -> list[Topic]:
    """All topics of a processor that runs in this group, as they shall be."""
    name, partitions = processor.name, processor.partitions
    return [
        inbox_topic(name, partitions),
        Topic(name=events_of(name), partitions=partitions, compacted=True, settings=_COMPACTED),
        Topic(name=state_of(name), partitions=partitions, compacted=True, settings=_COMPACTED),
        Topic(name=dead_letters_of(inbox_of(name), group), partitions=partitions),
    ]
