"""The second process's side: the log port over the owner's socket, without groups and units."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final, NoReturn, TypeVar

import msgspec

from eventstore.log.errors import EmbeddedInUse, LogClosed, LogError, MessageTooLarge, OutcomeUnknown
from eventstore.log.local.remote import messages as m
from eventstore.log.local.remote.owner import socket_of
from eventstore.log.port import GroupConsumer, Listener, Producer, Reader, Transactor
from eventstore.log.records import Headers, Isolation, Position, Record, Topic, TopicDescription, TopicPartition

A = TypeVar("A", bound=m.Answer)

_ANSWER_S: Final = 30.0
_GREETING_S: Final = 2.0
_BUFFERED: Final = 500


class Connection:
    """One request at a time to the owner."""

    def __init__(self, folder: Path, path: str) -> None:
        self.folder, self._path = folder, path
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(_GREETING_S)
            self._socket.connect(path)
            m.send(self._socket, m.Hello())
            welcome = m.receive_answer(self._socket)
        except BaseException:
            self._socket.close()
            raise
        if not isinstance(welcome, m.Welcome):
            raise ConnectionError(f"not a greeting: {welcome}")
        self.pid, self.message_max_bytes = welcome.pid, welcome.message_max_bytes

    def another(self) -> Connection:
        """A second connection to the same owner."""
        try:
            return Connection(self.folder, self._path)
        except OSError as error:
            raise self._gone() from error

    def ask(self, request: m.Request, answer: type[A], *, wait_s: float = 0.0) -> A:
        """Ask and wait for the answer.

        Raises:
            LogClosed: the owner ended, or this connection was closed.
            LogError: what the owner raised.
        """
        with self._lock:
            try:
                self._socket.settimeout(_ANSWER_S + wait_s)
                m.send(self._socket, request)
                answered = m.receive_answer(self._socket)
            except (OSError, ValueError, msgspec.MsgspecError) as error:
                self._socket.close()
                raise self._gone() from error
        if isinstance(answered, m.Failed):
            raise m.error_of(answered)
        assert isinstance(answered, answer)
        return answered

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _gone(self) -> LogClosed:
        return LogClosed(f"process {self.pid}, which owned {self.folder}, does not answer any more: open the log again")


def connect(folder: Path) -> Connection:
    """Connect to the owner of a folder.

    Raises:
        OSError: nobody answers.
        ValueError: what answers, or the note about it, is none of ours.
    """
    return Connection(folder, socket_of(folder))


class RemoteLog:
    """The log of a folder that another process owns."""

    def __init__(self, url: str, folder: Path, connection: Connection) -> None:
        self.url, self._folder, self._connection = url, folder, connection
        self.message_max_bytes = connection.message_max_bytes

    @property
    def owner(self) -> int:
        """The process id of the owner."""
        return self._connection.pid

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

    def groups(self) -> list[str]:
        return self._connection.ask(m.Groups(), m.Names).names

    def close(self) -> None:
        self._connection.close()

    def _bounds(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        wanted = list(partitions)
        return dict(zip(wanted, self._connection.ask(m.Bounds(_pairs(wanted)), m.Bounded).bounds, strict=True))

    def _refuse(self, what: str) -> NoReturn:
        raise EmbeddedInUse(
            f"{self._folder} belongs to process {self.owner}, and {what} needs its own process: one process per "
            "embedded folder. End that process first, or use kafka:// for several"
        )


class RemoteProducer:
    """Sends what is buffered by `poll`, `flush`, `send`, and when there is much."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._buffer: list[tuple[m.NewRecord, Callable[[LogError | None, int], None] | None]] = []
        self._due: deque[tuple[Callable[[LogError | None, int], None], LogError | None, int]] = deque()

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        *,
        timestamp_ms: int | None = None,
        on_delivery: Callable[[LogError | None, int], None] | None = None,
    ) -> None:
        record = m.NewRecord(topic, partition, key, value, tuple(headers), timestamp_ms)
        self._check_size(record)
        with self._lock:
            self._buffer.append((record, on_delivery))
            if len(self._buffer) >= _BUFFERED:
                self._deliver()

    def send(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> Future[int]:
        record, future = m.NewRecord(topic, partition, key, value, tuple(headers), None), Future[int]()
        self._check_size(record)

        def resolve(error: LogError | None, offset: int) -> None:
            future.set_result(offset) if error is None else future.set_exception(error)

        with self._lock:
            self._buffer.append((record, None))
            self._deliver(last=resolve)
        return future

    def poll(self, timeout: float = 0.0) -> None:
        with self._lock:
            self._deliver()
        for _ in range(len(self._due)):
            on_delivery, error, offset = self._due.popleft()
            on_delivery(error, offset)

    def flush(self, timeout: float = 10.0) -> None:
        self.poll()

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._connection.close()

    def _check_size(self, record: m.NewRecord) -> None:
        size = len(record.key or b"") + len(record.value or b"") + sum(len(n) + len(v) for n, v in record.headers)
        if size > self._connection.message_max_bytes:
            raise MessageTooLarge(record.topic, size_bytes=size, limit_bytes=self._connection.message_max_bytes)

    def _deliver(self, last: Callable[[LogError | None, int], None] | None = None) -> None:
        """Send the buffer; `last` hears of its last record at once, the others when they are polled."""
        if not self._buffer:
            return
        sent, self._buffer = self._buffer, []
        results = self._results([record for record, _ in sent])
        for (_, on_delivery), result in zip(sent, results, strict=True):
            if on_delivery is not None:
                self._due.append((on_delivery, *result))
        if last is not None:
            last(*results[-1])

    def _results(self, records: list[m.NewRecord]) -> list[tuple[LogError | None, int]]:
        try:
            results = self._connection.ask(m.Produce(records), m.Produced).results
        except LogClosed as error:
            unknown = OutcomeUnknown(f"{error}; the records may or may not be there")
            return [(unknown, -1)] * len(records)
        return [(None, each) if isinstance(each, int) else (m.error_of(each), -1) for each in results]


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
