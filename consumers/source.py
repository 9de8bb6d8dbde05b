"""What workers, views and reactors read from: topics by name, or what writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from consumers.view_errors import NotCopartitioned
from eventstore.component import Component
from eventstore.log.errors import TopicMissing
from eventstore.log.records import TopicDescription
from eventstore.processor.topics import events_of

Source: TypeAlias = str | Component
"""A topic's name; or a store, an aggregate class or a saga class, which stand for their events."""


def topic_of(source: Source) -> str:
    """The topic that a source stands for."""
    if isinstance(source, str):
        return source
    plan = source.__component__()
    return events_of(plan.processors[0].name if plan.processors else plan.name)


def topics_of(sources: Iterable[Source]) -> list[str]:
    """The topics of sources, each once, in order."""
    return list(dict.fromkeys(topic_of(source) for source in sources))


def common_count(view: str, names: Sequence[str], topics: Mapping[str, TopicDescription]) -> int:
    """The partition count of all topics of a view.

    Raises:
        TopicMissing: a topic does not exist.
        NotCopartitioned: the topics have different partition counts.
    """
    for name in names:
        if name not in topics:
            raise TopicMissing(name)
    counts = {name: topics[name].partitions for name in names}
    if len(set(counts.values())) > 1:
        raise NotCopartitioned(view, counts)
    return counts[names[0]]
