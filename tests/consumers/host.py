"""A host for loops under test, and what drives a loop: a step at a time, or a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from eventstore.clock import Clock, ManualClock
from eventstore.component import Loop
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.log.records import Topic
from eventstore.state.port import StateEngine
from schemas import MemoryRegistry, Message, Metadata, Serde


@dataclass(kw_only=True)
class TestHost:
    """What a service would give to a loop."""

    __test__ = False

    log: Log
    service: str = "shop"
    slot: str = "0"
    serde: Serde = field(default_factory=lambda: Serde(MemoryRegistry(), format="json"))
    state: StateEngine = field(default_factory=lambda: cast(StateEngine, None))
    clock: Clock = field(default_factory=ManualClock)
    address: str = ""
    resources: dict[type[Any], Any] = field(default_factory=dict[type[Any], Any])

    def resource(self, wanted: type[Any]) -> Any:
        if wanted not in self.resources:
            raise LookupError(f"nobody provides {wanted}")
        return self.resources[wanted]


class Feed:
    """Writes messages to a topic."""

    def __init__(self, host: TestHost, topic: str, partitions: int = 1) -> None:
        self.host, self.topic, self.partitions = host, topic, partitions
        host.log.create([Topic(name=topic, partitions=partitions)])
        self._producer = host.log.producer()
        self._count = 0

    def send(self, key: str | None, message: Message | bytes | None, *, partition: int | None = None) -> int:
        """Write one record, and return its offset."""
        value = self.host.serde.encode(message) if isinstance(message, Message) else message
        name = message.__type_name__ if isinstance(message, Message) else ""
        self._count += 1
        meta = Metadata(id=f"{self.topic}-{self._count}", type=name).encode()
        raw = None if key is None else key.encode()
        place = partition if partition is not None else partition_of(raw or b"", self.partitions)
        sent = self._producer.send(self.topic, place, raw, value, [("meta", meta)])
        self._producer.flush()
        return sent.result(10)

    def send_all(self, messages: Iterator[tuple[str, Message]]) -> int:
        """Write many, and return how many."""
        before = self._count
        for key, message in messages:
            self._count += 1
            meta = Metadata(id=f"{self.topic}-{self._count}", type=message.__type_name__).encode()
            raw = key.encode()
            self._producer.produce(
                self.topic, partition_of(raw, self.partitions), raw, self.host.serde.encode(message), [("meta", meta)]
            )
        self._producer.flush(60.0)
        return self._count - before


@contextmanager
def running(loop: Loop, host: TestHost, *, drain: float = 5.0) -> Generator[Driver]:
    """Run a loop on a thread, as a service does."""
    driver = Driver(loop, host)
    driver.start()
    try:
        yield driver
    finally:
        driver.stop(drain)


class Driver:
    """A thread that opens, steps and stops a loop, and remembers what it raised."""

    def __init__(self, loop: Loop, host: TestHost) -> None:
        self.loop, self._host = loop, host
        self.error: BaseException | None = None
        self._error_of_stop: BaseException | None = None
        self._stopping = threading.Event()
        self._drain = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"test-{loop.name}")

    def start(self) -> None:
        self._thread.start()

    def stop(self, drain: float = 5.0) -> None:
        """Let it finish what runs for up to `drain` seconds. Raises what the loop's `stop` raises."""
        self._drain = drain
        self._stopping.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the loop did not stop"
        if self._error_of_stop is not None:
            raise self._error_of_stop

    def _run(self) -> None:
        try:
            self.loop.open()
            while not self._stopping.is_set():
                self.loop.step(0.01)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error
        finally:
            self._end()

    def _end(self) -> None:
        try:
            self.loop.stop(self._host.clock.monotonic() + self._drain)
        except BaseException as error:  # noqa: BLE001 - `stop` raises it
            self._error_of_stop = error


def waiting(predicate: Callable[[], object]) -> Callable[[], bool]:
    """A predicate as a plain truth."""
    return lambda: bool(predicate())
