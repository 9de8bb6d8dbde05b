"""Read the log while the storm goes on, and afterwards hold it against the rules. Nothing here asks a process."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from eventstore.log.errors import LogError
from eventstore.log.port import Log, Reader
from eventstore.log.records import Record, TopicPartition
from eventstore.processor.predecessor import transactional_id_of
from eventstore.processor.topics import events_of, inbox_of
from eventstore.registry import TopicRegistry
from examples.airline.rebooking import Rebook
from sagas.history import SagaCompleted, SagaUndone
from schemas import Serde

_ENDINGS = {SagaCompleted.__type_name__, SagaUndone.__type_name__}


@dataclass
class Ledger:
    """Follows the sagas' events."""

    log: Log
    ended: int = 0
    events: int = 0
    times: dict[int, list[int]] = field(default_factory=lambda: defaultdict[int, list[int]](list))
    """Partition → when its events were decided on, in ms."""

    def __post_init__(self) -> None:
        self._registry = TopicRegistry(self.log)
        self._serde = Serde(self._registry)
        self._reader: Reader | None = None

    def follow(self, seconds: float) -> None:
        """Take in what came."""
        reader = self._reader or self._open()
        if reader is None:
            return
        for record in reader.read(2_000, seconds):
            self.events += 1
            self.times[record.partition].append(record.timestamp_ms)
            assert record.value is not None, "nobody deletes sagas"
            self.ended += self._serde.type_of(record.value).name in _ENDINGS

    def owners(self, service: str) -> dict[int, int]:
        """Partition of the sagas → slot of the process that committed there last. Empty if nobody can say now."""
        inbox = inbox_of(Rebook.__saga__)
        try:
            described = self.log.describe([inbox])
            places = [TopicPartition(inbox, number) for number in range(described[inbox].partitions)]
            found = self.log.group_positions(service, places, stable=False, timeout=1.0)
        except (LogError, KeyError, TimeoutError):
            return {}
        ids = {at.partition: transactional_id_of(one.metadata) for at, one in found.items() if one is not None}
        return {number: int(id_.rpartition(".")[2]) for number, id_ in ids.items() if id_}

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._registry.close()

    def _open(self) -> Reader | None:
        topic = events_of(Rebook.__saga__)
        described = self.log.describe([topic])
        if topic in described:
            count = described[topic].partitions
            self._reader = self.log.reader({TopicPartition(topic, number): 0 for number in range(count)})
        return self._reader


def gaps(log: Log) -> list[str]:
    """Every stream of every events topic has the versions 0, 1, 2, … in this order, on one partition."""
    found: list[str] = []
    for topic in sorted(name for name in log.describe() if name.endswith(".events")):
        next_version = defaultdict[str, int](int)
        homes: dict[str, int] = {}
        for record in all_records(log, topic):
            assert record.key is not None, "records of a compacted topic have keys"
            stream, _, version = record.key.decode().rpartition("/")
            if int(version) != next_version[stream]:
                found.append(f"{topic} {stream}: version {version} in the place of {next_version[stream]}")
            if homes.setdefault(stream, record.partition) != record.partition:
                found.append(f"{topic} {stream}: on partitions {homes[stream]} and {record.partition}")
            next_version[stream] = int(version) + 1
    return found


def dead_letters(log: Log) -> list[str]:
    """What was given up on: nothing should have been."""
    return [
        f"dead letter in {topic}: {dict(record.headers).get('__dlq.errors.exception', b'')!r} {record.key!r}"
        for topic in sorted(name for name in log.describe() if name.endswith(".dlq"))
        for record in all_records(log, topic)
    ]


def all_records(log: Log, topic: str) -> list[Record]:
    """Everything committed in a topic."""
    partitions = [TopicPartition(topic, number) for number in range(log.describe([topic])[topic].partitions)]
    ends = log.end_positions(partitions)
    reader = log.reader(dict.fromkeys(partitions, 0))
    records: list[Record] = []
    try:
        while any(reader.position(at) < end for at, end in ends.items()):
            records += reader.read(5_000, 0.5)
    finally:
        reader.close()
    return records
