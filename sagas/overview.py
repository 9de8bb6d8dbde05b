"""Sagas as their events topic shows them: to list and to show them without their definitions, and while nothing runs.

Histories are of the same types for all definitions, so a reader needs no code of the user's. What is read is all that
was committed when reading began.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from eventstore.errors import TopicMissing
from eventstore.log.partition import partition_of
from eventstore.log.port import Log, Record, TopicPartition
from eventstore.processor.topics import events_of
from sagas import history
from sagas.history import EVENTS
from sagas.timeline import Happened
from schemas import Event, Serde

READ_RECORDS = 5_000
READ_SECONDS = 0.2

Progress: TypeAlias = Callable[[int], None]
"""Told how many more events were read."""
Standing: TypeAlias = Literal["forward", "compensating", "parked", "completed", "undone"]


@dataclass(frozen=True, slots=True)
class Overview:
    """A saga at a glance."""

    key: str
    version: int
    standing: Standing
    at_step: str
    """The last step something happened to."""
    reason: str
    """Why it turned back: the refusal's type, or a word; empty if it did not."""
    started: datetime
    changed: datetime
    events: int


def read_history(log: Log, serde: Serde, saga: str, key: str, *, progress: Progress = lambda _: None) -> list[Happened]:
    """All that happened to one saga, in order; empty if there is none.

    Raises:
        TopicMissing: no saga of this name ever ran on this log.
    """
    topic = events_of(saga)
    place = TopicPartition(topic, partition_of(key, _partitions(log, topic)))
    serde.register(EVENTS)
    return [happened for _, happened in _read(log, serde, [place], progress, only=key)]


def read_overviews(log: Log, serde: Serde, saga: str, *, progress: Progress = lambda _: None) -> list[Overview]:
    """Every saga of this name, the last changed first.

    Raises:
        TopicMissing: no saga of this name ever ran on this log.
    """
    topic = events_of(saga)
    places = [TopicPartition(topic, number) for number in range(_partitions(log, topic))]
    serde.register(EVENTS)
    histories = dict[str, list[Happened]]()
    for key, happened in _read(log, serde, places, progress):
        histories.setdefault(key, []).append(happened)
    found = [overview(key, happened) for key, happened in histories.items()]
    return sorted(found, key=lambda each: each.changed, reverse=True)


def overview(key: str, happened: Iterable[Happened]) -> Overview:
    """A history at a glance; it is not empty."""
    all_of_it = list(happened)
    version, standing, at_step, reason = 0, _FORWARD, "", ""
    for each in all_of_it:
        event = each.event
        at_step = _subject(event) or at_step
        standing = _standing(event, standing)
        if isinstance(event, history.SagaStarted):
            version = event.version
        elif isinstance(event, history.CompensationStarted):
            reason = event.type or event.reason
    return Overview(key, version, standing, at_step, reason, all_of_it[0].at, all_of_it[-1].at, len(all_of_it))


_FORWARD: Standing = "forward"


def _standing(event: Event, before: Standing) -> Standing:
    match event:
        case history.CompensationStarted() | history.UndoResent() | history.UndoSkipped():
            return "compensating"
        case history.StepUndone() if before == "parked":
            return "compensating"
        case history.UndoParked():
            return "parked"
        case history.SagaCompleted():
            return "completed"
        case history.SagaUndone():
            return "undone"
        case _:
            return before


def _subject(event: Event) -> str:
    return str(getattr(event, "step", "") or getattr(event, "wait", ""))


def _partitions(log: Log, topic: str) -> int:
    described = log.describe([topic]).get(topic)
    if described is None:
        raise TopicMissing(topic)
    return described.partitions


def _read(
    log: Log, serde: Serde, places: list[TopicPartition], progress: Progress, *, only: str | None = None
) -> Iterator[tuple[str, Happened]]:
    """Events of all streams, or of `only` one, which is the only one decoded."""
    ends = log.end_positions(places)
    reader = log.reader(log.start_positions(places))
    try:
        while any(reader.position(place) < end for place, end in ends.items()):
            records = reader.read(READ_RECORDS, READ_SECONDS)
            progress(len(records))
            for record in records:
                if record.value is None or record.offset >= ends[TopicPartition(record.topic, record.partition)]:
                    continue
                stream, _, version = (record.key or b"").decode().rpartition("/")
                if only is None or stream == only:
                    yield stream, _happened(serde, record, int(version), record.value)
    finally:
        reader.close()


def _happened(serde: Serde, record: Record, version: int, value: bytes) -> Happened:
    event = serde.decode(value)
    assert isinstance(event, Event), f"{record.topic} holds {type(event).__name__}, which is no event"
    return Happened(version, datetime.fromtimestamp(record.timestamp_ms / 1000, UTC), event)
