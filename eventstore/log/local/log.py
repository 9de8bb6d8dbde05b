"""The log port on the local broker: the handle that `open_log` returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

from eventstore.log.errors import LogClosed
from eventstore.log.local.broker import Broker
from eventstore.log.local.consumer import LocalConsumer, LocalReader
from eventstore.log.local.producer import LocalProducer, LocalTransactor
from eventstore.log.port import GroupConsumer, Listener, Producer, Reader, Transactor
from eventstore.log.records import Isolation, Position, Topic, TopicDescription, TopicPartition


class LocalLog:
    """One handle on a broker of this process; several may share one."""

    def __init__(self, url: str, broker: Broker, on_close: Callable[[], None]) -> None:
        self.url = url
        self.message_max_bytes = broker.message_max_bytes
        self._broker, self._on_close = broker, on_close
        self._closed = False

    @property
    def broker(self) -> Broker:
        """The broker behind it.

        Raises:
            LogClosed: the log was closed.
        """
        if self._closed:
            raise LogClosed(f"{self.url} was closed")
        return self._broker

    def create(self, topics: Iterable[Topic]) -> None:
        self.broker.create(topics)

    def describe(self, names: Iterable[str] | None = None) -> dict[str, TopicDescription]:
        return self.broker.describe(names)

    def configuration(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        return self.broker.configuration(names)

    def configure(self, topic: str, settings: Mapping[str, str]) -> None:
        self.broker.configure(topic, settings)

    def delete(self, names: Iterable[str]) -> None:
        self.broker.delete(names)

    def producer(self) -> Producer:
        return LocalProducer(self.broker)

    def transactor(self, transactional_id: str) -> Transactor:
        return LocalTransactor(self.broker, transactional_id)

    def group(self, group: str, topics: Sequence[str], listener: Listener, *, session_ms: int = 6_000) -> GroupConsumer:
        return LocalConsumer(self.broker, group, topics, listener, session_ms / 1000)

    def reader(self, positions: Mapping[TopicPartition, int], *, isolation: Isolation = "committed") -> Reader:
        return LocalReader(self.broker, positions)

    def start_positions(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: first for partition, (first, _) in self.broker.bounds(partitions).items()}

    def end_positions(
        self, partitions: Iterable[TopicPartition], *, isolation: Isolation = "committed"
    ) -> dict[TopicPartition, int]:
        return {partition: end for partition, (_, end) in self.broker.bounds(partitions).items()}

    def group_positions(
        self, group: str, partitions: Iterable[TopicPartition], *, stable: bool = True, timeout: float = 5.0
    ) -> dict[TopicPartition, Position | None]:
        return self.broker.committed(group, partitions)

    def groups(self, *, live: bool = False) -> list[str]:
        return self.broker.group_names(live=live)

    def trouble(self) -> str:
        return ""

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._on_close()

    # Beyond the port

    def compact(self, topic: str | None = None, *, tombstone_age: timedelta = timedelta(hours=24)) -> None:
        """Compact and apply retention now. Tombstones go when they are that old and an earlier compaction saw them."""
        self.broker.compact(topic, tombstone_age=tombstone_age)

    def erase(self, topic: str) -> None:
        """Remove what later records of the same key replace, from the disk too; tombstones stay for their time."""
        self.broker.erase(topic)

    def add_partitions(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions behind the manifest's back, as an administrator of a Kafka cluster could."""
        self.broker.add_partitions(topic, partitions)
