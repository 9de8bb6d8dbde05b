"""The second process's producer: a thread sends what was produced, many records in one request.

What is produced while a request is under way goes with the next one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Condition, Lock, Thread, current_thread
from typing import Final, TypeAlias

import msgspec

from eventstore.log.errors import LogClosed, LogError, MessageTooLarge, OutcomeUnknown
from eventstore.log.local.remote import messages as m
from eventstore.log.local.remote.connection import Connection
from eventstore.log.records import Headers

Delivered: TypeAlias = Callable[[LogError | None, int], None]

MOST_AT_ONCE: Final = 500
MOST_WAITING: Final = 10_000
"""Records; who produces more waits."""
MOST_BYTES_AT_ONCE: Final = 8 << 20
"""Of one request, unless a record alone is larger: the owner reads it whole, and answers within its time."""
MOST_BYTES_WAITING: Final = 64 << 20


class RemoteProducer:
    """The port's `Producer`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._changed = Condition(Lock())
        self._waiting: deque[tuple[bytes, Delivered | None, Future[int] | None]] = deque()
        self._bytes = 0
        """Of what waits."""
        self._sending = 0
        self._due: deque[tuple[Delivered, LogError | None, int]] = deque()
        self._failure: LogError | None = None
        """Of a record whose fate nobody else is told of."""
        self._is_closed = False
        self._thread = Thread(target=self._send_all, name="embedded-producer", daemon=True)
        self._thread.start()

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        *,
        timestamp_ms: int | None = None,
        on_delivery: Delivered | None = None,
    ) -> None:
        self._add(m.NewRecord(topic, partition, key, value, tuple(headers), timestamp_ms), on_delivery, None)

    def send(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> Future[int]:
        future = Future[int]()
        future.set_running_or_notify_cancel()
        self._add(m.NewRecord(topic, partition, key, value, tuple(headers), None), None, future)
        return future

    def poll(self, timeout: float = 0.0) -> None:
        if timeout > 0 and not self._due:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._due), timeout)
        for _ in range(len(self._due)):
            on_delivery, error, offset = self._due.popleft()
            on_delivery(error, offset)

    def flush(self, timeout: float = 10.0) -> None:
        with self._changed:
            is_sent = self._changed.wait_for(lambda: not self._waiting and not self._sending, timeout)
            left = len(self._waiting) + self._sending
        self.poll()
        if not is_sent:
            raise OutcomeUnknown(f"{left} records not acknowledged within {timeout:g} s: read the log, or flush again")
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def close(self) -> None:
        if self._is_closed:
            return
        try:
            self.flush()
        finally:
            with self._changed:
                self._is_closed = True
                self._changed.notify_all()
            self._connection.close()
            if current_thread() is not self._thread:
                self._thread.join()
            self.poll()

    def _add(self, record: m.NewRecord, on_delivery: Delivered | None, future: Future[int] | None) -> None:
        size = len(record.key or b"") + len(record.value or b"") + sum(len(n) + len(v) for n, v in record.headers)
        if size > self._connection.message_max_bytes:
            raise MessageTooLarge(record.topic, size_bytes=size, limit_bytes=self._connection.message_max_bytes)
        body = m.packed(record)
        with self._changed:
            self._changed.wait_for(lambda: self._has_room() or self._is_closed)
            if self._is_closed:
                raise LogClosed("the producer was closed")
            self._waiting.append((body, on_delivery, future))
            self._bytes += len(body)
            if len(self._waiting) == 1:
                self._changed.notify_all()

    def _has_room(self) -> bool:
        """The thread itself, in a future's callback, waits for nobody: only it makes room."""
        is_less = len(self._waiting) < MOST_WAITING and self._bytes < MOST_BYTES_WAITING
        return is_less or current_thread() is self._thread

    # The thread

    def _send_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting) or self._is_closed)
                if not self._waiting:
                    return
                sent = self._next()
                self._sending = len(sent)
            results = self._results([body for body, _, _ in sent])
            with self._changed:
                self._sending = 0
                for (_, on_delivery, future), (error, offset) in zip(sent, results, strict=True):
                    if on_delivery is not None:
                        self._due.append((on_delivery, error, offset))
                    elif future is None:
                        self._failure = self._failure or error
                self._changed.notify_all()
            for (_, _, future), (error, offset) in zip(sent, results, strict=True):
                if future is not None:
                    future.set_result(offset) if error is None else future.set_exception(error)

    def _next(self) -> list[tuple[bytes, Delivered | None, Future[int] | None]]:
        """What goes with the next request."""
        size, sent = 0, list[tuple[bytes, Delivered | None, Future[int] | None]]()
        while self._waiting and len(sent) < MOST_AT_ONCE:
            size += len(self._waiting[0][0])
            if sent and size > MOST_BYTES_AT_ONCE:
                break
            sent.append(self._waiting.popleft())
            self._bytes -= len(sent[-1][0])
        return sent

    def _results(self, records: Sequence[bytes]) -> list[tuple[LogError | None, int]]:
        try:
            results = self._connection.ask(m.Produce([*map(msgspec.Raw, records)]), m.Produced).results
        except LogClosed as error:
            unknown = OutcomeUnknown(f"{error}; the records may or may not be there")
            return [(unknown, -1)] * len(records)
        except LogError as error:
            return [(error, -1)] * len(records)
        return [(None, each) if isinstance(each, int) else (m.error_of(each), -1) for each in results]
