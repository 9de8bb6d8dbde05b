"""The Kafka engine's log: what the URL opens."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence

from confluent_kafka.cimpl import NewTopic

from eventstore.log.errors import LogClosed, PartitionCountChanged
from eventstore.log.kafka import manifest
from eventstore.log.kafka.admin import Admin
from eventstore.log.kafka.group import KafkaGroupConsumer
from eventstore.log.kafka.manifest import Manifest
from eventstore.log.kafka.positions import GroupPositions
from eventstore.log.kafka.producer import KafkaProducer
from eventstore.log.kafka.reader import KafkaReader
from eventstore.log.kafka.settings import DEFAULT_MESSAGE_MAX_BYTES, OVERHEAD_BYTES, Settings
from eventstore.log.kafka.transactor import KafkaTransactor
from eventstore.log.port import Listener
from eventstore.log.records import Isolation, Position, Topic, TopicDescription, TopicPartition

DIRTY_RATIO = "0.9"
"""Rewriting stays near once the ingest; Kafka's default of 0.5 makes it many times that on large logs."""


class KafkaLog:
    """The port's `Log`."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.url
        self.message_max_bytes = settings.message_max_bytes
        self._settings = settings
        self._admin: Admin | None = Admin(settings)
        self._manifest = Manifest(settings, self._admin)
        self._positions = GroupPositions(settings)
        self._creating = threading.Lock()

    def create(self, topics: Iterable[Topic]) -> None:
        wanted, admin = {topic.name: topic for topic in topics}, self._open()
        with self._creating:
            counts, found = self._manifest.counts(), admin.describe(list(wanted))
            missing = [topic for name, topic in wanted.items() if name not in found]
            if missing or wanted.keys() - counts.keys():
                copies = self._copies(admin)
                self._manifest.create(self._new(Topic(name=manifest.NAME, partitions=1, compacted=True), copies))
                admin.create([self._new(topic, copies) for topic in missing])
                found |= admin.describe([topic.name for topic in missing])
            created = {topic.name for topic in missing}
            for name, topic in wanted.items():
                frozen = None if name in created else counts.get(name)
                _check(topic, frozen=frozen, actual=found[name][1])
            self._manifest.write({name: found[name][1] for name in wanted if name in created or name not in counts})

    def describe(self, names: Iterable[str] | None = None) -> dict[str, TopicDescription]:
        admin = self._open()
        wanted = [name for name in admin.names() if name != manifest.NAME] if names is None else list(names)
        found, counts = admin.describe(wanted), self._manifest.counts()
        return {
            name: TopicDescription(name=name, id=id, partitions=partitions, manifest_partitions=counts.get(name))
            for name, (id, partitions) in found.items()
        }

    def delete(self, names: Iterable[str]) -> None:
        wanted = list(names)
        with self._creating:
            self._open().delete(wanted)
            frozen = self._manifest.counts()
            self._manifest.forget(name for name in wanted if name in frozen)

    def producer(self) -> KafkaProducer:
        self._open()
        return KafkaProducer(self._settings)

    def transactor(self, transactional_id: str) -> KafkaTransactor:
        self._open()
        return KafkaTransactor(self._settings, transactional_id)

    def group(
        self, group: str, topics: Sequence[str], listener: Listener, *, session_ms: int = 6_000
    ) -> KafkaGroupConsumer:
        self._open()
        return KafkaGroupConsumer(self._settings, group, topics, listener, session_ms)

    def reader(self, positions: Mapping[TopicPartition, int], *, isolation: Isolation = "committed") -> KafkaReader:
        return KafkaReader(self._settings, self._open(), positions, isolation)

    def start_positions(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return self._open().starts(partitions)

    def end_positions(
        self, partitions: Iterable[TopicPartition], *, isolation: Isolation = "committed"
    ) -> dict[TopicPartition, int]:
        return self._open().ends(partitions, isolation)

    def group_positions(
        self, group: str, partitions: Iterable[TopicPartition], *, stable: bool = True, timeout: float = 5.0
    ) -> dict[TopicPartition, Position | None]:
        return self._positions.read(group, list(partitions), stable=stable, timeout=timeout)

    def groups(self) -> list[str]:
        return self._open().groups()

    def close(self) -> None:
        self._manifest.close()
        self._positions.close()
        self._admin = None

    def _open(self) -> Admin:
        if self._admin is None:
            raise LogClosed(f"the log {self.url} was closed: open it again")
        return self._admin

    def _copies(self, admin: Admin) -> int:
        return self._settings.replication or min(3, admin.brokers())

    def _new(self, topic: Topic, copies: int) -> NewTopic:
        return NewTopic(
            topic.name,
            num_partitions=topic.partitions or self._settings.partitions,
            replication_factor=copies,
            config=_config(topic, copies, self.message_max_bytes),
        )


def _config(topic: Topic, copies: int, message_max_bytes: int) -> dict[str, str]:
    if topic.compacted and topic.retention_ms is not None:
        raise ValueError(f"{topic.name}: a compacted topic keeps the last record of each key, it has no retention_ms")
    config = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": DIRTY_RATIO}
    if not topic.compacted:
        retention = -1 if topic.retention_ms is None else topic.retention_ms
        config = {"cleanup.policy": "delete", "retention.ms": str(retention)}
    if copies >= 3:
        config["min.insync.replicas"] = "2"
    if message_max_bytes > DEFAULT_MESSAGE_MAX_BYTES:
        config["max.message.bytes"] = str(message_max_bytes + OVERHEAD_BYTES)
    return config | dict(topic.settings)


def _check(topic: Topic, *, frozen: int | None, actual: int) -> None:
    for said in (frozen, topic.partitions):
        if said is not None and said != actual:
            raise PartitionCountChanged(topic.name, manifest=said, actual=actual)
