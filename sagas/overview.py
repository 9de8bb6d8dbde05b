"""Sagas as their events topic shows them: to list and to show them without their definitions, and while nothing runs.

Histories are of the same types for all definitions, so a reader needs no code of the user's. What is read is all that
was committed when reading began.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from eventstore.event_records import RecordUnreadable, place_of
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.log.records import Record, TopicPartition
from eventstore.processor.topics import events_of
from sagas import history
from sagas.finding import saga_partitions
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
    """The steps and waits it waits for, with commas; while it is undone, those whose undo is under way, or parked.

    At its end the last one, or the one where it turned back.
    """
    reason: str
    """Why it turned back: the refusal's type, or a word; empty if it did not."""
    started: datetime
    changed: datetime
    events: int


def read_history(log: Log, serde: Serde, saga: str, key: str, *, progress: Progress = lambda _: None) -> list[Happened]:
    """All that happened to one saga, in order; empty if there is none.

    Raises:
        SagaNameUnknown: no saga of this name ever ran on this log.
    """
    topic = events_of(saga)
    place = TopicPartition(topic, partition_of(key, saga_partitions(log, serde, saga)))
    serde.register(EVENTS)
    return [happened for _, happened in _read(log, serde, [place], progress, only=key)]


def read_overviews(log: Log, serde: Serde, saga: str, *, progress: Progress = lambda _: None) -> list[Overview]:
    """Every saga of this name, the last changed first.

    Raises:
        SagaNameUnknown: no saga of this name ever ran on this log.
    """
    topic = events_of(saga)
    places = [TopicPartition(topic, number) for number in range(saga_partitions(log, serde, saga))]
    serde.register(EVENTS)
    histories = dict[str, list[Happened]]()
    for key, happened in _read(log, serde, places, progress):
        histories.setdefault(key, []).append(happened)
    found = [overview(key, happened) for key, happened in histories.items()]
    return sorted(found, key=lambda each: each.changed, reverse=True)


def overview(key: str, happened: Iterable[Happened]) -> Overview:
    """A history at a glance; it is not empty."""
    all_of_it = list(happened)
    version, standing, reason, place = 0, _FORWARD, "", _Place()
    for each in all_of_it:
        event = each.event
        place.take(event)
        standing = _standing(event, standing)
        if isinstance(event, history.SagaStarted):
            version = event.version
        elif isinstance(event, history.CompensationStarted):
            reason = event.type or event.reason
    return Overview(
        key, version, standing, place.at(standing), reason, all_of_it[0].at, all_of_it[-1].at, len(all_of_it)
    )


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


class _Place:
    """Where a saga is, as its events go by."""

    def __init__(self) -> None:
        self._awaited, self._parked = dict[str, None](), dict[str, None]()
        self._turned, self._last = "", ""

    def take(self, event: Event) -> None:
        match event:
            case history.StepSent() | history.StepNotBuilt() | history.UndoSent() | history.UndoResent():
                self._begin(event.step)
            case history.WaitBegan():
                self._begin(event.wait)
            case history.CompensationStarted():
                self._awaited.clear()
                self._turned = self._last = event.step
            case history.UndoParked():
                self._end(event.step)
                self._parked[event.step] = None
            case history.StepReplied() | history.StepRefused() | history.StepUndone() | history.UndoSkipped():
                self._end(event.step)
            case history.SignalReceived() | history.WaitUnanswered():
                self._end(event.wait)
            case _:
                pass

    def at(self, standing: Standing) -> str:
        """The step or wait, or several with commas."""
        return self._turned if standing == "undone" else ", ".join(self._parked or self._awaited) or self._last

    def _begin(self, name: str) -> None:
        self._parked.pop(name, None)
        self._awaited[name], self._last = None, name

    def _end(self, name: str) -> None:
        self._parked.pop(name, None)
        if name in self._awaited:
            del self._awaited[name]
            self._last = name


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
                stream, version = place_of(record)
                if only is None or stream == only:
                    yield stream, _happened(serde, record, version, record.value)
    finally:
        reader.close()


def _happened(serde: Serde, record: Record, version: int, value: bytes) -> Happened:
    event = serde.decode(value)
    if not isinstance(event, Event):
        raise RecordUnreadable(record.topic, record.partition, record.offset, f"{event.__type_name__} is no event")
    return Happened(version, datetime.fromtimestamp(record.timestamp_ms / 1000, UTC), event)
