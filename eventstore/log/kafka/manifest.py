"""The manifest: the partition count that each topic was created with, and the settings that are wanted for it, in the
compacted topic `sagalog.topics`.

One partition, key = topic name (UTF-8), value = JSON `{"v": 1, "partitions": n, "settings": {name: value}}`; a
tombstone once the topic was deleted. Read to its end at every use.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping

import msgspec
from confluent_kafka.cimpl import NewTopic

from eventstore.log.errors import BrokerUnreachable, LogError
from eventstore.log.kafka.admin import Admin
from eventstore.log.kafka.producer import KafkaProducer
from eventstore.log.kafka.reader import KafkaReader
from eventstore.log.kafka.settings import Settings
from eventstore.log.records import Record, TopicPartition

NAME = "sagalog.topics"
_PARTITION = TopicPartition(NAME, 0)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is frozen about a topic, and what is wanted of it."""

    v: int = 1
    partitions: int
    settings: dict[str, str] = msgspec.field(default_factory=dict[str, str])


def decode_entry(name: str, value: bytes) -> Entry:
    """The entry of a topic.

    Raises:
        LogError: it is none, or of another layout version.
    """
    try:
        entry = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LogError(f"{NAME} holds an entry for {name!r} that cannot be read: {error}") from error
    if entry.v != 1:
        raise LogError(f"{NAME} holds an entry for {name!r} of version {entry.v}: upgrade this process")
    return entry


_decode = msgspec.json.Decoder(Entry).decode


class Manifest:
    """The entries of all topics. Safe to use from any thread."""

    def __init__(self, settings: Settings, admin: Admin) -> None:
        self._settings, self._admin = settings, admin
        self._reader: KafkaReader | None = None
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()

    def entries(self) -> dict[str, Entry]:
        """What the log has now, by topic; empty if there is no manifest yet."""
        with self._lock:
            if self._reader is None and not self._admin.describe([NAME]):
                return {}
            return dict(self._caught_up())

    def create(self, topic: NewTopic) -> None:
        """Make the manifest's own topic unless it is there."""
        if self._reader is None and not self._admin.describe([NAME]):
            self._admin.create([topic])

    def write(self, entries: Mapping[str, Entry]) -> None:
        """Freeze partition counts, note what is wanted."""
        self._append({name: msgspec.json.encode(entry) for name, entry in entries.items()})

    def forget(self, names: Iterable[str]) -> None:
        """Drop entries."""
        self._append(dict.fromkeys(names))

    def close(self) -> None:
        with self._lock:
            reader, self._reader = self._reader, None
            self._entries.clear()
            if reader is not None:
                reader.close()

    def _caught_up(self) -> dict[str, Entry]:
        if self._reader is None:
            self._reader = KafkaReader(self._settings, self._admin, {_PARTITION: 0}, "committed")
        end = self._admin.ends([_PARTITION], "committed")[_PARTITION]
        deadline = time.monotonic() + self._settings.api_timeout
        while self._reader.position(_PARTITION) < end:
            if time.monotonic() >= deadline:
                raise BrokerUnreachable(self._settings.address, f"reading {NAME} takes longer than api_timeout")
            for record in self._reader.read(1_000, 0.1):
                self._take(record)
        return self._entries

    def _take(self, record: Record) -> None:
        name = (record.key or b"").decode(errors="replace")
        if record.value is None:
            self._entries.pop(name, None)
            return
        self._entries[name] = decode_entry(name, record.value)

    def _append(self, values: Mapping[str, bytes | None]) -> None:
        if not values:
            return
        failures: list[LogError] = []
        producer = KafkaProducer(self._settings)
        try:
            for name, value in values.items():
                producer.produce(
                    NAME,
                    0,
                    name.encode(),
                    value,
                    on_delivery=lambda error, _: failures.append(error) if error else None,
                )
            producer.flush(self._settings.api_timeout)
        finally:
            producer.close()
        for failure in failures:
            raise failure
