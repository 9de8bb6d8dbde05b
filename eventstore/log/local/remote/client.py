"""The second process's side: the log port over the owner's socket, without groups and units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from eventstore.log.errors import EmbeddedInUse, LogClosed
from eventstore.log.local.remote import messages as m
from eventstore.log.local.remote.connection import Connection
from eventstore.log.local.remote.producer import RemoteProducer
from eventstore.log.port import GroupConsumer, Listener, Producer, Reader, Transactor
from eventstore.log.records import Isolation, Position, Record, Topic, TopicDescription, TopicPartition


class RemoteLog:
    """The log of a folder that another process owns."""

    def __init__(self, url: str, folder: Path, connection: Connection) -> None:
        self.url, self._folder, self._connection = url, folder, connection
        self.message_max_bytes = connection.message_max_bytes

    @property
    def owner(self) -> int:
        """The process id of the owner."""
        return self._connection.pid

    def take_over(self) -> bool:
        """Whether the owner gives the folder up, or is gone."""
        try:
            return self._connection.ask(m.Yield(), m.Yielded).is_free
        except LogClosed:
            return True

    def create(self, topics: Iterable[Topic]) -> None:
        wishes = [
            m.TopicWish(
                topic.name,
                topic.partitions,
                topic.compacted,
                topic.retention_ms,
                dict(topic.settings),
                topic.has_unique_keys,
            )
            for topic in topics
        ]
        self._connection.ask(m.Create(wishes), m.Done)

    def describe(self, names: Iterable[str] | None = None) -> dict[str, TopicDescription]:
        found = self._connection.ask(m.Describe(None if names is None else list(names)), m.Described)
        return {
            name: TopicDescription(
                name=name, id=id_, partitions=partitions, manifest_partitions=manifest, wanted=wanted
            )
            for name, id_, partitions, manifest, wanted in found.topics
        }

    def configuration(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        return self._connection.ask(m.Configuration(list(names)), m.Configured).settings

    def configure(self, topic: str, settings: Mapping[str, str]) -> None:
        self._connection.ask(m.Configure(topic, dict(settings)), m.Done)

    def delete(self, names: Iterable[str]) -> None:
        self._connection.ask(m.Delete(list(names)), m.Done)

    def producer(self) -> Producer:
        return RemoteProducer(self._connection.another())

    def transactor(self, transactional_id: str) -> Transactor:
        self._refuse(f"opening the transactor {transactional_id!r}")

    def group(self, group: str, topics: Sequence[str], listener: Listener, *, session_ms: int = 6_000) -> GroupConsumer:
        self._refuse(f"joining the group {group!r}")

    def reader(self, positions: Mapping[TopicPartition, int], *, isolation: Isolation = "committed") -> Reader:
        self._bounds(positions)
        return RemoteReader(self._connection.another(), positions)

    def start_positions(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: start for partition, (start, _) in self._bounds(partitions).items()}

    def end_positions(
        self, partitions: Iterable[TopicPartition], *, isolation: Isolation = "committed"
    ) -> dict[TopicPartition, int]:
        return {partition: end for partition, (_, end) in self._bounds(partitions).items()}

    def group_positions(
        self, group: str, partitions: Iterable[TopicPartition], *, stable: bool = True, timeout: float = 5.0
    ) -> dict[TopicPartition, Position | None]:
        wanted = list(partitions)
        found = self._connection.ask(m.Committed(group, _pairs(wanted)), m.Positions).positions
        return {at: None if there is None else Position(*there) for at, there in zip(wanted, found, strict=True)}

    def groups(self, *, live: bool = False) -> list[str]:
        return self._connection.ask(m.Groups(live), m.Names).names

    def trouble(self) -> str:
        return ""

    def close(self) -> None:
        self._connection.close()

    def _bounds(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        wanted = list(partitions)
        return dict(zip(wanted, self._connection.ask(m.Bounds(_pairs(wanted)), m.Bounded).bounds, strict=True))

    def _refuse(self, what: str) -> NoReturn:
        raise EmbeddedInUse(
            f"{self._folder} belongs to process {self.owner}, and {what} needs its own process: one process per "
            "embedded folder. End that process first, use a Client here, or kafka:// for several"
        )


class RemoteReader:
    """Reads explicit partitions; the positions are kept on this side."""

    def __init__(self, connection: Connection, positions: Mapping[TopicPartition, int]) -> None:
        self._connection = connection
        self._positions = dict(positions)

    def read(self, max_records: int, timeout: float) -> list[Record]:
        if not self._positions:
            return []
        request = m.Read(
            [(at.topic, at.partition, position) for at, position in self._positions.items()], max_records, timeout
        )
        found = self._connection.ask(request, m.Found, wait_s=timeout)
        for topic, partition, position in found.positions[1:] + found.positions[:1]:
            at = TopicPartition(topic, partition)
            del self._positions[at]  # the first one goes to the end, so that none is starved
            self._positions[at] = position
        return [
            Record(r.topic, r.partition, r.offset, r.timestamp_ms, r.key, r.value, r.headers) for r in found.records
        ]

    def position(self, partition: TopicPartition) -> int:
        return self._positions[partition]

    def close(self) -> None:
        self._connection.close()


def _pairs(partitions: Iterable[TopicPartition]) -> list[tuple[str, int]]:
    return [(at.topic, at.partition) for at in partitions]
