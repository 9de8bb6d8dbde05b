"""The idempotent producer.

Delivery reports are served by whoever polls; from the first `send` on a thread does, so that futures resolve by
themselves. `on_delivery` callbacks stay on the thread that calls `poll` or `flush`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeAlias

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as Client

from eventstore.log.errors import BrokerUnreachable, LogClosed, LogError, OutcomeUnknown
from eventstore.log.kafka.diagnostics import Diagnostics
from eventstore.log.kafka.errors import error_of, general, of_delivery
from eventstore.log.kafka.records import require_size, size_of
from eventstore.log.kafka.settings import Settings
from eventstore.log.records import Headers

OnDelivery: TypeAlias = Callable[[LogError | None, int], None]
Report: TypeAlias = Callable[[KafkaError | None, Message], None]

SLICE = 0.1
"""Seconds that the serving thread waits for reports in one go; `close` waits as long for it."""


class KafkaProducer:
    """The port's `Producer`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limit = settings.message_max_bytes
        self._diagnostics = Diagnostics("producer")
        self._client: Client | None = Client(
            settings.producer() | {"error_cb": self._diagnostics.error, "on_delivery": self._note_failure},
            logger=self._diagnostics,
        )
        self._connect(self._client)
        self._due: deque[tuple[OnDelivery, LogError | None, int]] = deque()
        self._reported = threading.Condition()
        self._failure: LogError | None = None
        self._server: threading.Thread | None = None
        self._starting = threading.Lock()

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        *,
        timestamp_ms: int | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> None:
        report = None if on_delivery is None else self._queueing(on_delivery)
        self._hand_over(topic, partition, key, value, headers, timestamp_ms, report)

    def send(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> Future[int]:
        future: Future[int] = Future()

        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                future.set_result(message.offset() or 0)
            else:
                future.set_exception(self._failed(error, message))

        future.set_running_or_notify_cancel()
        if self._server is None:
            self._start_serving()
        self._hand_over(topic, partition, key, value, headers, None, report)
        return future

    def poll(self, timeout: float = 0.0) -> None:
        if self._server is None:
            self._open().poll(timeout)
        elif timeout > 0 and not self._due:
            with self._reported:
                self._reported.wait_for(lambda: bool(self._due), timeout)
        self._call_due()

    def flush(self, timeout: float = 10.0) -> None:
        left = self._open().flush(timeout)
        self._call_due()
        if left:
            raise OutcomeUnknown(f"{left} records not acknowledged within {timeout:g} s: read the log, or flush again")
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def close(self) -> None:
        if self._client is None:
            return
        try:
            self.flush(self._settings.api_timeout)
        finally:
            client, self._client = self._client, None
            if self._server is not None:
                self._server.join(timeout=10 * SLICE)
            client.purge()
            client.flush(1.0)
            self._call_due()

    def _connect(self, client: Client) -> None:
        """Without a connection librdkafka asks for a producer id only every 500 ms, so one is made first."""
        try:
            client.list_topics(timeout=self._settings.api_timeout)
        except KafkaException as raised:
            error = self._diagnostics.last_error or error_of(raised)
            raise general(error, what="connect a producer", address=self._settings.address) from raised

    def _open(self) -> Client:
        if self._client is None:
            raise LogClosed("the producer was closed: open a new one")
        return self._client

    def _hand_over(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        timestamp_ms: int | None,
        report: Report | None,
    ) -> None:
        require_size(topic, size_of(key, value, headers), self._limit)
        client, deadline = self._open(), None
        while True:
            try:
                client.produce(topic, value, key, partition, report, None, timestamp_ms or 0, list(headers) or None)
                return
            except BufferError:
                deadline = deadline or time.monotonic() + self._settings.api_timeout
                if time.monotonic() >= deadline:
                    why = self._diagnostics.why("the buffer stays full")
                    raise BrokerUnreachable(self._settings.address, why) from None
                client.poll(0.01)
            except KafkaException as raised:
                raise self._mapped(error_of(raised), topic, partition, size_of(key, value, headers)) from raised

    def _queueing(self, on_delivery: OnDelivery) -> Report:
        def report(error: KafkaError | None, message: Message) -> None:
            failure = None if error is None else self._failed(error, message)
            self._due.append((on_delivery, failure, -1 if failure else message.offset() or 0))
            if self._server is not None:
                with self._reported:
                    self._reported.notify_all()

        return report

    def _call_due(self) -> None:
        while self._due:
            on_delivery, failure, offset = self._due.popleft()
            on_delivery(failure, offset)

    def _note_failure(self, error: KafkaError | None, message: Message) -> None:
        """The report of a record that nobody asked about."""
        if error is not None:
            self._failure = self._failed(error, message)

    def _failed(self, error: KafkaError, message: Message) -> LogError:
        size = size_of(message.key(), message.value(), ())
        return self._mapped(error, message.topic() or "", message.partition() or 0, size)

    def _mapped(self, error: KafkaError, topic: str, partition: int, size_bytes: int) -> LogError:
        return of_delivery(error, topic=topic, partition=partition, size_bytes=size_bytes, limit_bytes=self._limit)

    def _start_serving(self) -> None:
        with self._starting:
            if self._server is None:
                self._server = threading.Thread(target=self._serve, name="sagalog-producer", daemon=True)
                self._server.start()

    def _serve(self) -> None:
        while (client := self._client) is not None:
            client.poll(SLICE)
