"""A small processor that does everything a processor can, and a bench to run it step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Literal
from uuid import uuid4

from eventstore.clock import Clock, ManualClock
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.log.records import Record, TopicPartition
from eventstore.process_host import ProcessHost
from eventstore.processor.inputs import Answered, AnyCall, Call
from eventstore.processor.port import DecideContext
from eventstore.processor.standby import Standby
from eventstore.processor.topics import inbox_of, topics_of
from eventstore.processor.unit import Unit
from eventstore.state.memory import MemoryStateEngine
from eventstore.state.port import StateEngine
from schemas import Command, Event, MemoryRegistry, Message, Metadata, Refusal, Registry, Reply, ReplyTo, Serde, key_of


class Added(Event, name="counter.added"):
    by: int


class Total(Reply, name="counter.total"):
    is_: int


class TooMuch(Refusal, name="counter.too_much"):
    limit: int


class Add(Command[Total, TooMuch], to="counter", key="counter"):
    """Add once; more than 100 at once is refused, a negative number is a bug that raises."""

    counter: str
    by: int


class AddLater(Command[None], to="counter", key="counter"):
    """Add after a while, unless `StopAdding` comes first."""

    counter: str
    by: int
    after_ms: int


class StopAdding(Command[None], to="counter", key="counter"):
    counter: str


class Ask(Command[Total], to="counter", key="counter"):
    """Tell the total: no event follows."""

    counter: str


class Tell(Command[None], to="counter", key="counter"):
    """Send an `Add` to another counter."""

    counter: str
    other: str


MESSAGES: tuple[type[Message], ...] = (Added, Total, TooMuch, Add, AddLater, StopAdding, Ask, Tell)


class Counters:
    """One number per key."""

    def __init__(self, name: str = "counter", partitions: int | None = 2) -> None:
        self.name, self.partitions = name, partitions

    journal: Literal["events", "state"] = "events"
    messages: Sequence[type[Message]] = MESSAGES

    def initial(self, key: str) -> int:
        return 0

    def evolve(self, state: int, event: Event) -> int:
        assert isinstance(event, Added)
        return state + event.by

    def decide(self, state: int, message: Message, context: DecideContext[int]) -> None:
        match message:
            case Add(by=by) if by < 0:
                context.append(Added(by=by))
                raise ValueError(f"cannot add {by}")
            case Add(by=by) if by > 100:
                context.reply(TooMuch(limit=100))
            case Add(by=by):
                context.append(Added(by=by))
                context.reply(Total(is_=context.state))
            case AddLater(counter=counter, by=by, after_ms=after):
                at = context.now + timedelta(milliseconds=after)
                context.schedule("later", at, Add(counter=counter, by=by))
                context.reply(None)
            case StopAdding():
                context.cancel("later")
                context.reply(None)
            case Ask():
                context.reply(Total(is_=state))
            case Tell(other=other):
                context.send(Add(counter=other, by=1))
                context.reply(None)
            case _:
                raise TypeError(type(message).__name__)


@dataclass
class Bench:
    """A unit that is stepped by hand."""

    log: Log
    service: str = "bench"
    slot: str = "0"
    clock: Clock = field(default_factory=ManualClock)
    state: StateEngine = field(default_factory=MemoryStateEngine)
    registry: Registry = field(default_factory=MemoryRegistry)
    processors: Sequence[Any] = field(default_factory=lambda: [Counters()])
    moved: list[AnyCall] = field(default_factory=list[AnyCall])
    follows: bool = False
    """Whether it has a standby for what others own."""

    def __post_init__(self) -> None:
        self.serde = Serde(self.registry, MESSAGES)
        self.host = ProcessHost(
            service=self.service, slot=self.slot, log=self.log, serde=self.serde, state=self.state, clock=self.clock
        )
        for processor in self.processors:
            self.log.create(topics_of(processor, self.service))
        self.standby = Standby(self.host, self.service, self.processors, self._is_ready)
        standby = self.standby if self.follows else None
        self.unit = Unit(self.host, self.processors, moved=self.moved.append, standby=standby)
        self.unit.open()

    def _is_ready(self) -> bool:
        return self.unit.is_ready()

    def run(self, until: Callable[[], bool] | None = None, *, steps: int = 2_000) -> None:
        """Step until the condition holds, or until the unit is ready and settled."""
        done = until or (lambda: self.unit.is_ready() and self.unit.is_settled())
        for _ in range(steps):
            self.unit.step(0.01)
            if done():
                return
        raise AssertionError(f"not done after {steps} steps")

    def ask(self, command: Command[Any, Any], *, id: str | None = None) -> Message | None:
        """A local call, stepped to its answer."""
        return self.asked(command, id=id).message

    def asked(self, command: Command[Any, Any], *, id: str | None = None) -> Answered:
        answers: list[Answered] = []
        self.call(command, answers.append, id=id)
        self.run(lambda: bool(answers))
        return answers[0]

    def call(self, command: Command[Any, Any], resolve: Callable[[Answered], None], *, id: str | None = None) -> None:
        key = key_of(command)
        metadata = Metadata(id=id or uuid4().hex, type=command.__type_name__)
        self.unit.call(Call("counter", key, partition_of(key, 2), command, metadata, partial(_each, resolve)))

    def post(
        self, command: Command[Any, Any], *, id: str | None = None, reply: ReplyTo | None = None,
        attributes: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Put a command into the inbox, as a foreign process does."""
        metadata = Metadata(id=id or uuid4().hex, type=command.__type_name__, reply=reply, attributes=attributes or {})
        self.post_bytes(key_of(command), self.serde.encode(command), (("meta", metadata.encode()),))

    def post_bytes(self, key: str, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> None:
        producer = self.log.producer()
        producer.produce(inbox_of("counter"), partition_of(key, 2), key.encode(), value, headers)
        producer.flush()
        producer.close()

    def records(self, topic: str) -> list[Record]:
        """Everything committed in a topic."""
        return records_of(self.log, topic)

    def events(self, key: str) -> list[tuple[int, int]]:
        """Versions and amounts of a counter's events, from the log."""
        found: list[tuple[int, int]] = []
        for record in self.records("counter.events"):
            assert record.key is not None and record.value is not None
            stream, _, version = record.key.decode().rpartition("/")
            if stream == key:
                event = self.serde.decode(record.value)
                assert isinstance(event, Added)
                found.append((int(version), event.by))
        return found

    def close(self) -> None:
        self.unit.stop(self.clock.monotonic() + 1)


def records_of(log: Log, topic: str) -> list[Record]:
    """Everything committed in a topic, partition by partition."""
    described = log.describe([topic])
    if topic not in described:
        return []
    partitions = [TopicPartition(topic, number) for number in range(described[topic].partitions)]
    ends = log.end_positions(partitions)
    reader = log.reader(dict.fromkeys(partitions, 0))
    found: list[Record] = []
    while any(reader.position(at) < end for at, end in ends.items()):
        found.extend(reader.read(1_000, 0.2))
    reader.close()
    return sorted(found, key=lambda record: (record.partition, record.offset))


def _each(resolve: Callable[[Answered], None], answers: Sequence[Answered]) -> None:
    for answer in answers:
        resolve(answer)
