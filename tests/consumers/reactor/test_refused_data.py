"""What a real Kafka refuses of a reactor's outputs: one event's, or all, for the clock is wrong (K6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from consumers import Reactor
from consumers.reactor_loop import ReactorLoop
from eventstore.clock import SystemClock
from eventstore.log import open_log
from eventstore.log.errors import DataRefused
from eventstore.log.port import Log
from eventstore.log.records import Topic
from eventstore.process_host import ProcessHost
from eventstore.registry import TopicRegistry
from eventstore.state.memory import MemoryStateEngine
from schemas import Command, Event, Metadata, Serde
from tests.eventstore.processor.counters import records_of

LARGE_BYTES = 5_000


class Told(Event, name="refused.told"):
    """Something that leads to one command."""

    text_bytes: int


class WrongClock(SystemClock):
    """A machine's clock that somebody set."""

    ahead = timedelta()

    def now_ms(self) -> int:
        return super().now_ms() + int(self.ahead.total_seconds() * 1_000)


class World:
    """A reactor that is stepped by hand, from a topic of events to an inbox that takes records of 2,000 bytes."""

    def __init__(self, log: Log, name: str) -> None:
        self.log, self.source, self.inbox = log, f"{name}.source.events", f"{name}.inbox"
        self.clock = WrongClock()

        class Act(Command[None], to=name, key="what", name="refused.act"):
            what: str
            text: str

        self.reactor = Reactor("reacting", topics=[self.source])

        @self.reactor.on
        def told(event: Told) -> Iterator[Command[Any, Any]]:
            yield Act(what="x", text="." * event.text_bytes)

        self.serde = Serde(TopicRegistry(log), [Told, Act])
        self.act = Act
        log.create([Topic(name=self.source, partitions=1, compacted=True), Topic(name=self.inbox, partitions=1)])
        log.configure(self.inbox, {"max.message.bytes": "2000"})
        self.dead = f"{self.source}.{name}.reacting.dlq"
        self.host = ProcessHost(
            service=name, slot="0", log=log, serde=self.serde, state=MemoryStateEngine(), clock=self.clock
        )
        self.loop = self.start()

    def start(self) -> ReactorLoop:
        [make] = self.reactor.__component__().loops
        loop = make(self.host)
        assert isinstance(loop, ReactorLoop)
        loop.open()
        return loop

    def append(self, *text_bytes: int) -> None:
        """Put events into the log, all at once."""
        producer = self.log.producer()
        for number, size in enumerate(text_bytes):
            metadata = Metadata(id=f"event {number}", type=Told.__type_name__)
            value = self.serde.encode(Told(text_bytes=size))
            producer.produce(self.source, 0, f"s/{number}".encode(), value, (("meta", metadata.encode()),))
        producer.close()

    def run(self, until: Callable[[], bool]) -> None:
        for _ in range(3_000):
            self.loop.step(0.01)
            if until():
                return
        raise AssertionError("the reactor did not get there")

    def sent(self) -> list[int]:
        """How large the texts were that were sent, in order."""
        acts = [self.serde.decode(record.value or b"") for record in records_of(self.log, self.inbox)]
        return [len(act.text) for act in acts if isinstance(act, self.act)]


@pytest.fixture
def world(kafka: str, unique: Callable[[str], str]) -> Iterator[World]:
    log = open_log(f"kafka://{kafka}")
    made = World(log, unique("refused"))
    yield made
    made.loop.stop(0)
    log.close()


def test_the_event_whose_command_the_broker_refuses_becomes_a_dead_letter(world: World) -> None:
    """An administrator lowered the inbox's limit: the one event is found by halving, its neighbours are handled."""
    world.append(1, 2, LARGE_BYTES, 3)

    world.run(lambda: len(world.sent()) == 3 and len(records_of(world.log, world.dead)) == 1)

    assert world.sent() == [1, 2, 3]
    [letter] = records_of(world.log, world.dead)
    headers = dict(letter.headers)
    assert (letter.key, headers["__dlq.errors.type"]) == (b"s/2", b"DataRefused")
    assert world.loop.metrics()["reactor_failed_total"] == 1


def test_a_clock_that_is_ahead_stops_the_reactor_by_name(world: World) -> None:
    """The broker takes no record from the future, no dead letter either. Nothing is lost; set, it goes on."""
    world.clock.ahead = timedelta(days=2)
    world.append(1)

    with pytest.raises(DataRefused, match="set this machine's clock"):
        world.run(lambda: False)

    world.loop.stop(0)
    world.clock.ahead = timedelta()
    world.loop = world.start()
    world.run(lambda: world.sent() == [1])
    assert records_of(world.log, world.dead) == []
