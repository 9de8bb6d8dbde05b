"""The names and settings of a processor's topics (rule K1).

Of the events topic there are two profiles. A *compacted* one keeps every event until it is erased on purpose (E2): keys
are unique, so the cleaner finds nothing else. One kept *forever* is never rewritten, and erases nothing; unlike
compacted ones it may be moved to remote storage by the brokers.

==============================  ====================  ======================================================
compacted                       value                 why
==============================  ====================  ======================================================
`cleanup.policy`                `compact`             erased events go, all others stay
`min.cleanable.dirty.ratio`     `0.9`                 a pass rewrites the log from its start: rarely
`max.compaction.lag.ms`         28 days               but so often, so that erased bytes do not stay longer
`min.compaction.lag.ms`         `0`                   a longer one would only let erased bytes stay longer
`delete.retention.ms`           1 day                 readers that are slower miss tombstones (K13)
`segment.ms`, `segment.bytes`   7 days, 1 GiB         the newest segment is never cleaned: when it ends
==============================  ====================  ======================================================

Forever: `cleanup.policy` `delete`, `retention.ms` and `retention.bytes` `-1`, segments as above. State topics are
compacted, whatever the events topic is.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from eventstore.log.records import Topic
from eventstore.processor.port import AnyProcessor, Retaining, Retention, keeps_states
from schemas.names import check_name

DAY_MS = 24 * 60 * 60 * 1000
INBOX_RETENTION_MS = 7 * DAY_MS
"""How long an inbox keeps its records."""
DEDUPLICATION_WINDOW_MS = INBOX_RETENTION_MS + DAY_MS
"""How long the outcome of an input is remembered: longer than a repeat can wait in the inbox (K1, K8)."""
TOMBSTONE_RETENTION_MS = DAY_MS
"""How long readers have to see a tombstone; state that was in sync longer ago than half of it is discarded (K13)."""

ERASED_WITHIN_MS = 28 * DAY_MS
"""How long the cleaner may leave erased events in a topic that is written to: less than the month that laws grant."""

_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}")
"""What Kafka takes for a topic's name."""
_OWN: Final = frozenset(("sagalog.keys", "sagalog.schemas", "sagalog.topics"))
"""See `eventstore.subject_keys.ring`, `eventstore.registry` and `eventstore.log.kafka.manifest`."""

SEGMENT_MS = 7 * DAY_MS
_SEGMENTS = {"segment.ms": str(SEGMENT_MS), "segment.bytes": str(1 << 30)}
_COMPACTED = {
    "min.cleanable.dirty.ratio": "0.9",
    "max.compaction.lag.ms": str(ERASED_WITHIN_MS),
    "min.compaction.lag.ms": "0",
    "delete.retention.ms": str(TOMBSTONE_RETENTION_MS),
    **_SEGMENTS,
}
_FOREVER = {"retention.bytes": "-1", **_SEGMENTS}


def check_store_name(name: str) -> None:
    """Refuse what cannot name a store or processor.

    Raises:
        ValueError: it cannot be part of a topic's name.
    """
    check_name("a store", name, "orders")


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


@lru_cache(maxsize=1_000)
def takes_answers(topic: str) -> bool:
    """Whether an answer may go to a topic of this name, which is the asker's word (K10).

    Not if it is a journal, which holds what its processor writes and nothing else (K1), or one of the brokers' or this
    library's own, or no name of a topic.
    """
    is_own = topic in _OWN or topic.startswith("__") or topic.endswith((events_of(""), state_of("")))
    return not is_own and _NAME.fullmatch(topic) is not None and topic.strip(".") != ""


def dead_letters_of(topic: str, group: str) -> str:
    """The topic that takes what `group` could not process of `topic`."""
    return f"{topic}.{group}.dlq"


def inbox_topic(name: str, partitions: int | None = None) -> Topic:
    """The inbox of a processor or participant, as it shall be."""
    return Topic(name=inbox_of(name), partitions=partitions, retention_ms=INBOX_RETENTION_MS)


def events_topic(name: str, partitions: int | None, retention: Retention) -> Topic:
    """The topic of a processor's events, as it shall be."""
    is_compacted = retention == "compacted"
    settings = _COMPACTED if is_compacted else _FOREVER
    return Topic(
        name=events_of(name), partitions=partitions, compacted=is_compacted, settings=settings, has_unique_keys=True
    )


def topics_of(processor: AnyProcessor, group: str) -> list[Topic]:
    """All topics of a processor that runs in this group, as they shall be. One that keeps states has no events."""
    name, partitions = processor.name, processor.partitions
    retention = processor.retention if isinstance(processor, Retaining) else "compacted"
    events = [] if keeps_states(processor) else [events_topic(name, partitions, retention)]
    return [
        inbox_topic(name, partitions),
        *events,
        Topic(name=state_of(name), partitions=partitions, compacted=True, settings=_COMPACTED),
        Topic(name=dead_letters_of(inbox_of(name), group), partitions=partitions),
    ]
