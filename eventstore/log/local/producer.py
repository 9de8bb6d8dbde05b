"""What writes to the local broker: plain producers and transactors.

A produced record is in the log when `produce` returns; only its callback waits for `poll` or `flush`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

from eventstore.log.errors import LogClosed, LogError
from eventstore.log.local.broker import Broker
from eventstore.log.local.coordinator import check_positions
from eventstore.log.local.store import Entry, Partition
from eventstore.log.port import Member
from eventstore.log.records import Headers, Outgoing, Position, TopicPartition


class LocalProducer:
    """Appends at once."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._due: deque[tuple[Callable[[LogError | None, int], None], int]] = deque()
        self._closed = False

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
        if self._closed:
            raise LogClosed("the producer was closed")
        broker = self._broker
        target = broker.target(topic, partition, key, value, headers)
        offset = broker.append(target, key, value, headers, timestamp_ms)
        if on_delivery is not None:
            self._due.append((on_delivery, offset))

    def send(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> Future[int]:
        if self._closed:
            raise LogClosed("the producer was closed")
        broker, future = self._broker, Future[int]()
        target = broker.target(topic, partition, key, value, headers)
        offset = broker.append(target, key, value, headers, None)
        broker.store.sync()
        future.set_result(offset)
        return future

    def poll(self, timeout: float = 0.0) -> None:
        due = self._due
        if due:
            self._broker.store.sync()
        for _ in range(len(due)):
            on_delivery, offset = due.popleft()
            on_delivery(None, offset)

    def flush(self, timeout: float = 10.0) -> None:
        self._broker.store.sync()
        while self._due:
            self.poll()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            if not self._broker.closed:
                self.flush()


class LocalTransactor:
    """Buffers a unit, and applies it under the broker's lock."""

    def __init__(self, broker: Broker, transactional_id: str) -> None:
        self.transactional_id = transactional_id
        self._broker = broker
        self._epoch = broker.open_transactor(transactional_id)
        self._unit: dict[Partition, list[Entry]] | None = None
        self._closed = False

    def begin(self) -> None:
        self._check_open()
        if self._unit is not None:
            raise RuntimeError(f"{self.transactional_id!r} has an open unit: commit or abort it first")
        self._broker.check_epoch(self.transactional_id, self._epoch)
        self._unit = {}

    def rest(self) -> None:
        """Nothing is told meanwhile."""

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        *,
        timestamp_ms: int | None = None,
    ) -> None:
        unit = self._unit
        if unit is None:
            raise self._no_unit()
        broker = self._broker
        target = broker.target(topic, partition, key, value, headers)
        at_ms = broker.clock.now_ms() if timestamp_ms is None else timestamp_ms
        unit.setdefault(target, []).append((at_ms, key, value, headers))

    def produce_all(self, records: Sequence[Outgoing]) -> None:
        unit = self._unit
        if unit is None:
            raise self._no_unit()
        broker, entries = self._broker, dict[tuple[str, int], list[Entry]]()
        limit = broker.message_max_bytes
        for topic, partition, key, value, headers, timestamp_ms in records:
            size = len(key or b"") + len(value or b"")
            for name, content in headers:
                size += len(name) + len(content)
            place = (topic, partition)
            into = entries.get(place)
            if into is None or size > limit or key is None:
                target = broker.target(topic, partition, key, value, headers)
                into = entries[place] = unit.setdefault(target, [])
            into.append((timestamp_ms, key, value, headers))

    def commit(
        self,
        positions: Mapping[TopicPartition, Position] | None = None,
        member: Member | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> dict[TopicPartition, int]:
        unit = self._unit
        if unit is None:
            raise self._no_unit()
        if (positions is None) != (member is None):
            raise ValueError("give positions and the member they were polled by, or neither (K2)")
        if positions is not None:
            check_positions(positions)
        if meanwhile is not None:
            meanwhile()
        try:
            return self._broker.commit_unit(self.transactional_id, self._epoch, unit, positions or {}, member)
        finally:
            self._unit = None

    def abort(self) -> None:
        self._unit = None

    def close(self) -> None:
        self._unit = None
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise LogClosed(f"the transactor {self.transactional_id!r} was closed")

    def _no_unit(self) -> Exception:
        self._check_open()
        self._broker.check_epoch(self.transactional_id, self._epoch)
        return RuntimeError(f"{self.transactional_id!r} has no open unit: call begin first")
