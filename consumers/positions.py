"""Say where a consumer group goes on in a topic: at its start, or at its end.

Only a group without live members can be told: a member would go on where it is, and commit that. Whoever tells it
joins the group, so that nobody else can commit meanwhile, and finds out by that whether somebody else is there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from consumers.errors import GroupInUse
from eventstore.log.errors import TopicMissing
from eventstore.log.port import GroupConsumer, Log
from eventstore.log.records import Position, TopicPartition
from eventstore.processor.ownership import give_to
from eventstore.processor.topics import inbox_of

Where: TypeAlias = Literal["start", "end"]

ALONE_SECONDS = 1.5
"""How long a partition may still belong to somebody else after joining."""
JOIN_SECONDS = 20.0
POLL_SECONDS = 0.1


def reset(log: Log, group: str, topic: str, to: Where) -> Mapping[TopicPartition, int]:
    """Commit the start or the end of each partition as the group's position; returns them.

    What lies between the old positions and the new ones is read again, or never. The inbox of a processor is the
    group's alone from then on: other services that had it are refused at their next start (K12).

    Raises:
        TopicMissing: there is no such topic.
        GroupInUse: the group has live members, or another one that has the inbox does.
    """
    described = log.describe([topic]).get(topic)
    if described is None:
        raise TopicMissing(topic)
    if topic.endswith(inbox_of("")):
        _take_from_others(log, group, topic, described.partitions)
    places = [TopicPartition(topic, number) for number in range(described.partitions)]
    everything = frozenset([*places, *_read_so_far(log, group)])
    consumer = log.group(group, sorted({place.topic for place in everything}), _Nobody())
    try:
        _join(consumer, group, everything)
        positions = log.start_positions(places) if to == "start" else log.end_positions(places)
        consumer.commit({place: Position(offset) for place, offset in positions.items()})
    finally:
        consumer.close()
    return positions


def _take_from_others(log: Log, group: str, inbox: str, partitions: int) -> None:
    """Look whether others that have positions in the inbox are alive; if not, write that it is the group's."""
    places = [TopicPartition(inbox, number) for number in range(partitions)]
    for other in log.groups():
        if other != group and any(log.group_positions(other, places, stable=False).values()):
            everything = frozenset(_read_so_far(log, other))
            consumer = log.group(other, sorted({place.topic for place in everything}), _Nobody())
            try:
                _join(consumer, other, everything)
            finally:
                consumer.close()
    give_to(log, group, inbox)


def _read_so_far(log: Log, group: str) -> list[TopicPartition]:
    """All partitions of the topics that the group reads: a member of it has some of them, whichever it was given."""
    topics = log.describe()
    places = [TopicPartition(name, number) for name, one in topics.items() for number in range(one.partitions)]
    found = log.group_positions(group, places, stable=False)
    read = {place.topic for place, position in found.items() if position is not None}
    return [place for place in places if place.topic in read]


def _join(consumer: GroupConsumer, group: str, places: frozenset[TopicPartition]) -> None:
    """Wait until all partitions are assigned to this member."""
    begun = time.monotonic()
    joined: float | None = None
    while consumer.assignment() != places:
        batch = consumer.poll(1, POLL_SECONDS)
        now = time.monotonic()
        if batch.member is not None and joined is None:
            joined = now
        if now - begun > JOIN_SECONDS or (joined is not None and now - joined > ALONE_SECONDS):
            raise GroupInUse(group, len(consumer.assignment()), len(places))


class _Nobody:
    """Hears of assignments, and has nothing to do."""

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """They deliver nothing until they are started."""

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Nothing is under way."""

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Nothing is under way."""
