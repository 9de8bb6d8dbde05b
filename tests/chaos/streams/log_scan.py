"""What the log says: a read-committed scan of the topics of events, state and alarms. No process is asked.

The topics of events and state are compacted, and the storms have Kafka's cleaner run all the time: what was erased, and
what was replaced by a newer record, is gone in the end. So the topics are also followed while a storm goes on. `Final`
has everything that the log ever had, and what the last scan still found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from eventstore.event_records import place_of
from eventstore.log.port import Log
from eventstore.log.records import Record
from eventstore.processor.erasure import PREFIX as ERASED
from eventstore.processor.erasure import decode_erasure
from eventstore.processor.rows import step_of
from eventstore.processor.topics import events_of, state_of
from eventstore.registry import TopicRegistry
from schemas import Serde
from tests.chaos.ledger import all_records
from tests.chaos.streams.alarms import ALARM_EVENTS, Armed, alarms_of
from tests.chaos.streams.model import Noted, label

_OUTCOME = b"d"


@dataclass(frozen=True, slots=True)
class Logged:
    """An event in the log."""

    version: int
    label: str
    partition: int
    offset: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class LoggedErasure:
    """A record that says what is erased of a stream (E2)."""

    first: int
    head: int
    done: int
    """Tombstones are written for all versions below."""
    input: str
    """The id of the input that asked for it; empty: the record only says how far tombstones are."""


@dataclass(frozen=True, slots=True)
class LoggedAlarm:
    """What became of an alarm."""

    what: str
    """`chaos.armed`, `chaos.disarmed` or `chaos.expired`."""
    due_ms: int
    partition: int
    time_ms: int


@dataclass
class Final:
    """What the log had, in its order, and has."""

    streams: dict[str, list[Logged]] = field(default_factory=lambda: defaultdict[str, list[Logged]](list))
    """Every event that was ever there."""
    erasures: dict[str, list[LoggedErasure]] = field(
        default_factory=lambda: defaultdict[str, list[LoggedErasure]](list)
    )
    left: dict[str, dict[int, str | None]] = field(
        default_factory=lambda: defaultdict[str, dict[int, str | None]](dict)
    )
    """Stream → version → the event's name, as the last scan found it; None: its tombstone."""
    cleaned: int = 0
    """Records that were there and are not any more."""
    alarms: dict[str, list[LoggedAlarm]] = field(default_factory=lambda: defaultdict[str, list[LoggedAlarm]](list))

    def labels(self, stream: str) -> dict[int, str]:
        """The events by version; the first one where several have it."""
        return {logged.version: logged.label for logged in reversed(self.streams.get(stream, []))}


class LogScan:
    """Collects records of a store's topics, in any order and more than once."""

    def __init__(self, log: Log, store: str) -> None:
        self._log, self._registry = log, TopicRegistry(log)
        self._serde = Serde(self._registry, (Noted, *ALARM_EVENTS))
        self._events, self._state, self._alarms = events_of(store), state_of(store), events_of(alarms_of(store))
        self._records: dict[tuple[str, int, int], Record] = {}

    @property
    def topics(self) -> tuple[str, str, str]:
        """Events, state and alarms."""
        return self._events, self._state, self._alarms

    def take(self, records: Iterable[Record]) -> None:
        """Take in what was read."""
        for record in records:
            self._records[record.topic, record.partition, record.offset] = record

    def final(self) -> Final:
        """Scan the topics from start to end, and sum up."""
        found, left, there = Final(), list[Record](), 0
        for topic in self.topics:
            records = all_records(self._log, topic)
            self.take(records)
            left += records if topic == self._events else []
            there += len(records)
        found.cleaned = len(self._records) - there
        ordered = [self._records[at] for at in sorted(self._records)]
        inputs = {at: id_ for record in ordered if (at := self._step(record)) and (id_ := _input(record))}
        for record in ordered:
            self._sum_up(record, found, inputs)
        for record in sorted(left, key=lambda each: (each.partition, each.offset)):
            stream, version = place_of(record)
            found.left[stream][version] = None if record.value is None else self._name(record.value)
        return found

    def close(self) -> None:
        self._registry.close()

    def _sum_up(self, record: Record, found: Final, inputs: dict[tuple[int, int], str]) -> None:
        key, value = record.key or b"", record.value
        if value is None:
            return
        if record.topic == self._state:
            if key.startswith(ERASED):
                erased, at = decode_erasure(value), self._step(record)
                input_id = inputs.get(at, "") if at is not None else ""
                stream = found.erasures[key[1:].decode()]
                stream.append(LoggedErasure(erased.first, erased.head, erased.done, input_id))
            return
        stream_id, version = place_of(record)
        if record.topic == self._alarms:
            event = self._serde.decode(value)
            due_ms = event.due_ms if isinstance(event, Armed) else 0
            alarm = LoggedAlarm(event.__type_name__, due_ms, record.partition, record.timestamp_ms)
            found.alarms[stream_id].append(alarm)
            return
        logged = Logged(version, self._name(value), record.partition, record.offset, record.timestamp_ms)
        found.streams[stream_id].append(logged)

    def _step(self, record: Record) -> tuple[int, int] | None:
        """The partition and step of a record of the state topic that tells of an erasure or an outcome."""
        is_one = record.topic == self._state and (record.key or b"")[:1] in (ERASED, _OUTCOME)
        return (record.partition, step_of(record.value)) if is_one and record.value is not None else None

    def _name(self, value: bytes) -> str:
        event = self._serde.decode(value)
        assert isinstance(event, Noted), "the store holds nothing else"
        return label(event)


def _input(record: Record) -> str:
    key = record.key or b""
    return key[1:].decode() if key.startswith(_OUTCOME) else ""


def scan(log: Log, store: str) -> Final:
    """Read the topics of a store from start to end."""
    found = LogScan(log, store)
    try:
        return found.final()
    finally:
        found.close()
