"""A producer whose futures are resolved by the worker's own loop.

`Producer.send` resolves its futures on a thread of the producer; under load that thread, the handlers' and the loop's
compete for the interpreter, which doubles the cost of an answer. Here they are resolved in `poll` and `flush`, which
the loop calls once per step. So a handler that awaits such a future waits up to one poll of the loop; hooks need not
await any.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from eventstore.log.errors import LogError
from eventstore.log.port import Producer
from eventstore.log.records import Headers


class Sending:
    """The port's `Producer`, over another one."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

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
        """See `Producer`."""
        self._producer.produce(
            topic, partition, key, value, headers, timestamp_ms=timestamp_ms, on_delivery=on_delivery
        )

    def send(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> Future[int]:
        """See `Producer`; the future is resolved in `poll` or `flush`."""
        future: Future[int] = Future()
        future.set_running_or_notify_cancel()
        self._producer.produce(topic, partition, key, value, headers, on_delivery=partial(_resolve, future))
        return future

    def poll(self, timeout: float = 0.0) -> None:
        """Resolve what is due."""
        self._producer.poll(timeout)

    def flush(self, timeout: float = 10.0) -> None:
        """See `Producer`."""
        self._producer.flush(timeout)

    def close(self) -> None:
        """See `Producer`."""
        self._producer.close()


def _resolve(future: Future[int], error: LogError | None, offset: int) -> None:
    if error is None:
        future.set_result(offset)
    else:
        future.set_exception(error)
