"""The Kafka engine's log: what the URL opens."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence

from confluent_kafka.cimpl import NewTopic

from eventstore.log.errors import LogClosed, PartitionCountChanged
from eventstore.log.kafka import manifest
from eventstore.log.kafka.admin import Admin
from eventstore.log.kafka.group import KafkaGroupConsumer
from eventstore.log.kafka.manifest import Entry, Manifest
from eventstore.log.kafka.positions import GroupPositions
from eventstore.log.kafka.producer import KafkaProducer
from eventstore.log.kafka.reader import KafkaReader
from eventstore.log.kafka.settings import DEFAULT_MESSAGE_MAX_BYTES, OVERHEAD_BYTES, Settings
from eventstore.log.kafka.transactor import KafkaTransactor
from eventstore.log.port import Listener
from eventstore.log.records import Isolation, Position, Topic, TopicDescription, TopicPartition


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
            entries, found = self._manifest.entries(), admin.describe(list(wanted))
            missing = [topic for name, topic in wanted.items() if name not in found]
            if missing or wanted.keys() - entries.keys():
                copies = self._copies(admin)
                self._manifest.create(self._new(Topic(name=manifest.NAME, partitions=1, compacted=True), copies))
                admin.create([self._new(topic, copies) for topic in missing])
                found |= admin.described([topic.name for topic in missing])
            created = {topic.name for topic in missing}
            for name, topic in wanted.items():
                frozen = None if name in created else entries.get(name)
                _check(topic, frozen=None if frozen is None else frozen.partitions, actual=found[name][1])
            now = {
                name: Entry(partitions=found[name][1], settings=topic.configuration) for name, topic in wanted.items()
            }
            self._manifest.write({name: entry for name, entry in now.items() if entry != entries.get(name)})

    def describe(self, names: Iterable[str] | None = None) -> dict[str, TopicDescription]:
        admin = self._open()
        wanted = (name for name in admin.names() if name != manifest.NAME) if names is None else names
        found, entries = admin.describe(_once(wanted)), self._manifest.entries()
        return {
            name: _description(name, id_, partitions, entries.get(name)) for name, (id_, partitions) in found.items()
        }

    def configuration(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        return self._open().configuration(_once(names))

    def configure(self, topic: str, settings: Mapping[str, str]) -> None:
        self._open().configure(topic, settings)

    def delete(self, names: Iterable[str]) -> None:
        wanted = list(names)
        with self._creating:
            self._open().delete(wanted)
            frozen = self._manifest.entries()
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
        return KafkaGroupConsumer(self._settings, self._open(), group, topics, listener, session_ms)

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

    def groups(self, *, live: bool = False) -> list[str]:
        return self._open().groups(live=live)

    def trouble(self) -> str:
        return "" if self._admin is None else self._admin.trouble()

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
    config = dict[str, str]()
    if copies >= 3:
        config["min.insync.replicas"] = "2"
    if message_max_bytes > DEFAULT_MESSAGE_MAX_BYTES:
        config["max.message.bytes"] = str(message_max_bytes + OVERHEAD_BYTES)
    return config | topic.configuration


def _description(name: str, id_: str, partitions: int, entry: Entry | None) -> TopicDescription:
    if entry is None:
        return TopicDescription(name=name, id=id_, partitions=partitions, manifest_partitions=None)
    return TopicDescription(
        name=name, id=id_, partitions=partitions, manifest_partitions=entry.partitions, wanted=entry.settings
    )


def _check(topic: Topic, *, frozen: int | None, actual: int) -> None:
    for said, is_asked in ((frozen, False), (topic.partitions, True)):
        if said is not None and said != actual:
            raise PartitionCountChanged(topic.name, manifest=said, actual=actual, is_asked=is_asked)


def _once(names: Iterable[str]) -> list[str]:
    """Kafka refuses a question that names a topic twice."""
    return list(dict.fromkeys(names))
