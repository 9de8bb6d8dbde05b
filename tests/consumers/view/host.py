"""What view tests stand on: a log, processes that run view loops on it, and events in streams."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

from consumers.http import Endpoint
from consumers.queries import Tables
from consumers.rekeying import RekeyLoop
from consumers.view import View
from consumers.view_loop import ViewLoop
from eventstore.clock import Clock, SystemClock
from eventstore.component import Loop, Plan
from eventstore.log.partition import partition_of
from eventstore.log.port import Log, Producer
from eventstore.log.records import Topic
from eventstore.state.memory import MemoryStateEngine
from eventstore.state.port import StateEngine
from eventstore.streams import Position
from schemas import Event, Message, Metadata, Serde
from tests.consumers.host import Driver, TestHost
from tests.waiting import eventually


@contextmanager
def child(module: str, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """A process of a module of these tests, as soon as it has said that it runs; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline(), "it did not start"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


class Streams:
    """Writes events as a store does: key `stream/version`, in the stream's partition."""

    def __init__(self, log: Log, serde: Serde, name: str, partitions: int = 4) -> None:
        self.name, self.topic, self.partitions = name, f"{name}.events", partitions
        self._serde = serde
        self._versions: dict[str, int] = {}
        log.create([Topic(name=self.topic, partitions=partitions, compacted=True)])
        self._producer: Producer = log.producer()

    def __component__(self) -> Plan:
        return Plan(name=self.name)

    def append(self, stream: str, *events: Message) -> Position:
        """Append events, and return the position after them."""
        offsets = [self.put(stream, self._serde.encode(event), event.__type_name__) for event in events]
        return Position.at(partition_of(stream, self.partitions), offsets[-1] + 1)

    def put(self, stream: str, value: bytes | None, name: str = "", partition: int | None = None) -> int:
        """Write one record of a stream, and return its offset."""
        sent = self._send(stream, value, name, partition)
        self._producer.flush()
        return sent(10)

    def fill(self, events: Sequence[tuple[str, Event]]) -> None:
        """Append many events."""
        for stream, event in events:
            version = self._versions[stream] = self._versions.get(stream, -1) + 1
            meta = Metadata(id=f"{stream}-{version}", type=event.__type_name__).encode()
            place = partition_of(stream, self.partitions)
            key = f"{stream}/{version}".encode()
            self._producer.produce(self.topic, place, key, self._serde.encode(event), [("meta", meta)])
        self._producer.flush(60)

    def _send(self, stream: str, value: bytes | None, name: str, partition: int | None) -> Callable[[float], int]:
        version = self._versions[stream] = self._versions.get(stream, -1) + 1
        meta = Metadata(id=f"{stream}-{version}", type=name).encode()
        place = partition_of(stream, self.partitions) if partition is None else partition
        return self._producer.send(self.topic, place, f"{stream}/{version}".encode(), value, [("meta", meta)]).result


class Process:
    """Runs views as a process of a service does: loops on threads, an HTTP endpoint, and tables to read."""

    def __init__(
        self,
        log: Log,
        serde: Serde,
        *views: type[View],
        state: StateEngine | None = None,
        service: str = "shop",
        slot: str = "0",
        clock: Clock | None = None,
        wait: timedelta = timedelta(seconds=10),
        copies: bool = True,
    ) -> None:
        """`copies`: whether it also runs what re-keys for those of the views that want it."""
        self.endpoint = Endpoint()
        self.host = TestHost(
            log=log,
            service=service,
            slot=slot,
            serde=serde,
            state=state or MemoryStateEngine(),
            clock=clock or SystemClock(),
            address=self.endpoint.address,
        )
        for view in views:
            serde.register(view.__component__().messages)
            log.create(view.__component__().topics)
        loops: list[Loop] = [make(self.host) for view in views for make in view.__component__().loops]
        self.loops = [loop for loop in loops if isinstance(loop, ViewLoop)]
        self.copiers = [loop for loop in loops if isinstance(loop, RekeyLoop) and copies]
        self.all_loops: list[Loop] = [*self.copiers, *self.loops]
        self.threads = [Driver(loop, self.host) for loop in self.all_loops]
        self.tables = Tables(self, wait=wait)

    def start(self) -> Process:
        """Run until `stop`."""
        self.endpoint.serve(self, self.tables)
        for thread in self.threads:
            thread.start()
        return self

    def ready(self, timeout: float = 20.0) -> Process:
        """Wait until everything assigned is served."""
        eventually(lambda: not self.not_ready(), timeout)
        return self

    def settle(self, timeout: float = 20.0) -> None:
        """Wait until everything in the log is in the tables."""
        eventually(lambda: all(loop.is_settled() for loop in self.all_loops), timeout)

    def not_ready(self) -> Mapping[str, str]:
        for thread in self.threads:
            if thread.error is not None:
                raise thread.error
        return {loop.name: "not ready" for loop in self.all_loops if not loop.is_ready()}

    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        return {loop.name: loop.metrics() for loop in self.loops}

    def stop(self) -> None:
        self.endpoint.close()
        for thread in self.threads:
            thread.stop()
        self.tables.close()


class Stepped:
    """A process that runs one re-keyed view, whose two loops the test opens and steps by hand."""

    def __init__(
        self,
        log: Log,
        serde: Serde,
        view: type[View],
        slot: str = "0",
        *,
        state: StateEngine | None = None,
        clock: Clock | None = None,
    ) -> None:
        plan = view.__component__()
        serde.register(plan.messages)
        log.create(plan.topics)
        host = TestHost(
            log=log, serde=serde, slot=slot, clock=clock or SystemClock(), state=state or MemoryStateEngine()
        )
        copier, viewer = (make(host) for make in plan.loops)
        assert isinstance(copier, RekeyLoop)
        assert isinstance(viewer, ViewLoop)
        self.copier, self.view = copier, viewer

    def counted(self) -> int:
        """The events in the rows of this process, served or not."""
        return int(self.view.metrics()["view_events_total"])

    def stop(self) -> None:
        """Leave the groups; what was not opened, or stopped before, stays so."""
        self.copier.stop(0.0)
        self.view.stop(0.0)


def step_until(condition: Callable[[], object], *loops: Loop, wait: float = 0.0, timeout: float = 20.0) -> None:
    """Step the loops, one after another, until the condition holds after a round."""

    def holds() -> bool:
        for loop in loops:
            loop.step(wait)
        return bool(condition())

    eventually(holds, timeout)
