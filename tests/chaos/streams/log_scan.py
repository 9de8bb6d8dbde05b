"""What the log says in the end: a read-committed scan of the events topic. No process is asked."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from eventstore.log.port import Log
from eventstore.registry import TopicRegistry
from schemas import Serde
from tests.chaos.ledger import all_records
from tests.chaos.streams.model import Noted, label


@dataclass(frozen=True, slots=True)
class Logged:
    """An event in the log."""

    version: int
    label: str
    partition: int
    offset: int
    time_ms: int


@dataclass
class Final:
    """Each stream's events in the order in which the log has them."""

    streams: dict[str, list[Logged]] = field(default_factory=lambda: defaultdict[str, list[Logged]](list))

    def labels(self, stream: str) -> list[str]:
        """The events by version, as far as versions have no gap."""
        by_version = {logged.version: logged.label for logged in reversed(self.streams.get(stream, []))}
        found: list[str] = []
        while len(found) in by_version:
            found.append(by_version[len(found)])
        return found


def scan(log: Log, topic: str) -> Final:
    """Read the topic from its start to its end."""
    registry = TopicRegistry(log)
    serde, final = Serde(registry, (Noted,)), Final()
    try:
        for record in sorted(all_records(log, topic), key=lambda each: (each.partition, each.offset)):
            assert record.key is not None, "records of a compacted topic have keys"
            assert record.value is not None, "nobody deletes streams here"
            stream, _, version = record.key.decode().rpartition("/")
            event = serde.decode(record.value)
            assert isinstance(event, Noted)
            final.streams[stream].append(
                Logged(int(version), label(event), record.partition, record.offset, record.timestamp_ms)
            )
    finally:
        registry.close()
    return final
