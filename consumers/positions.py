"""Say where a consumer group goes on in a topic: at its start, or at its end.

Only a group without live members can be told: a member would go on where it is, and commit that. So it is looked first,
without joining anything, whether the topic is there and whether somebody is in the group, and what would be skipped and
repeated. Whoever tells the group then joins it, so that nobody else can commit meanwhile, and finds out by that whether
somebody came in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from consumers.errors import GroupInUse, NotConfirmed
from eventstore.log.errors import TopicMissing
from eventstore.log.port import GroupConsumer, Log
from eventstore.log.records import Position, TopicPartition
from eventstore.processor.ownership import give_to
from eventstore.processor.topics import inbox_of
from eventstore.scanning import Scan
from schemas.suggestions import nearest

Where: TypeAlias = Literal["start", "end"]

ALONE_SECONDS = 1.5
"""How long a partition may still belong to somebody else after joining."""
JOIN_SECONDS = 20.0
POLL_SECONDS = 0.1
COUNTED_RECORDS = 100_000
"""So many offsets of a partition are read to count their records; of more, the offsets are counted."""


@dataclass(frozen=True, slots=True)
class Move:
    """Where a group goes on in a topic, by partition, and how many records that skips or repeats."""

    group: str
    topic: str
    positions: Mapping[TopicPartition, int]
    skipped: Mapping[int, int]
    """Records that nobody decided on, or read, and that the group will not read; without partitions that have none."""
    repeated: Mapping[int, int]
    is_new: bool
    """Whether the group has no position in the topic so far."""


def reset(log: Log, group: str, topic: str, to: Where, *, confirm: Callable[[Move], None] | None = None) -> Move:
    """Commit the start or the end of each partition as the group's position.

    The end is where the topic ends when this begins. The inbox of a processor is the group's alone from then on: other
    services that had it are refused at their next start (K12). `confirm` is told before anything happens; it may raise.

    Raises:
        TopicMissing: there is no such topic.
        GroupInUse: the group has live members, or another one that has the inbox does.
    """
    described = log.describe([topic]).get(topic)
    if described is None:
        raise TopicMissing(topic)
    places = [TopicPartition(topic, number) for number in range(described.partitions)]
    others = _others(log, group, places)
    live = log.groups(live=True)
    if busy := next((each for each in (group, *others) if each in live), None):
        raise GroupInUse(busy)
    move = _move(log, group, others, places, to)
    if confirm is not None:
        confirm(move)
    if topic.endswith(inbox_of("")):
        for other in others:
            _join_once(log, other, _read_so_far(log, other))
        give_to(log, group, topic)
    new = {place: Position(offset) for place, offset in move.positions.items()}
    _join_once(log, group, [*places, *_read_so_far(log, group)], new)
    return move


def confirmed(log: Log) -> Callable[[Move], None]:
    """What lets only moves happen that skip nothing, of groups that have read the topic before.

    The call raises:
        NotConfirmed: it skips records, or the group has no positions in the topic so far.
    """

    def check(move: Move) -> None:
        if move.skipped or move.is_new:
            known = [group for group in log.groups() if group != move.group]
            meant = nearest(move.group, known) if move.is_new else ""
            raise NotConfirmed(move.group, move.topic, move.skipped, is_new=move.is_new, meant=meant)

    return check


def _others(log: Log, group: str, places: Sequence[TopicPartition]) -> list[str]:
    """The other groups that have positions in an inbox, which only one may have; none of another topic."""
    if not places[0].topic.endswith(inbox_of("")):
        return []
    others = [other for other in log.groups() if other != group]
    return [other for other in others if any(log.group_positions(other, places, stable=False).values())]


def _move(log: Log, group: str, others: Sequence[str], places: Sequence[TopicPartition], to: Where) -> Move:
    """What an inbox's other group has decided on does not wait any more."""
    starts, ends = log.start_positions(places), log.end_positions(places)
    own = log.group_positions(group, places, stable=False)
    all_of_them = [own, *(log.group_positions(other, places, stable=False) for other in others)]
    target = starts if to == "start" else ends
    skipped: dict[int, int] = {}
    repeated: dict[int, int] = {}
    for place in places:
        so_far = max((position.offset for each in all_of_them if (position := each[place])), default=starts[place])
        so_far = min(max(so_far, starts[place]), ends[place])
        if count := _records(log, place, so_far, target[place]):
            skipped[place.partition] = count
        if count := _records(log, place, target[place], so_far):
            repeated[place.partition] = count
    return Move(group, places[0].topic, target, skipped, repeated, not any(own.values()))


def _records(log: Log, place: TopicPartition, start: int, end: int) -> int:
    """How many records there are: offsets are also those of markers, and of records that were compacted away."""
    if end - start > COUNTED_RECORDS or end <= start:
        return max(0, end - start)
    scan, count = Scan(log, place.topic, {place.partition: start}, end=end), 0
    try:
        while not scan.is_done:
            count += len(scan.page())
    finally:
        scan.close()
    return count


def _read_so_far(log: Log, group: str) -> list[TopicPartition]:
    """All partitions of the topics that the group reads: a member of it has some of them, whichever it was given."""
    topics = log.describe()
    places = [TopicPartition(name, number) for name, one in topics.items() for number in range(one.partitions)]
    found = log.group_positions(group, places, stable=False)
    read = {place.topic for place, position in found.items() if position is not None}
    return [place for place in places if place.topic in read]


def _join_once(
    log: Log, group: str, places: Sequence[TopicPartition], commit: Mapping[TopicPartition, Position] | None = None
) -> None:
    """Be the group's only member for a moment, and commit these positions."""
    consumer = log.group(group, sorted({place.topic for place in places}), _Nobody())
    try:
        _join(consumer, group, frozenset(places))
        if commit is not None:
            consumer.commit(commit)
    finally:
        consumer.close()


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
            raise GroupInUse(group)


class _Nobody:
    """Hears of assignments, and has nothing to do."""

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """They deliver nothing until they are started."""

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Nothing is under way."""

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Nothing is under way."""
