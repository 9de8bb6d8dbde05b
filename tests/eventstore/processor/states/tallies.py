"""A processor of states that does everything such a one can, and a bench to run it step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Literal
from uuid import uuid4

import msgspec

from eventstore.log.partition import partition_of
from eventstore.processor.inputs import Answered, Call
from eventstore.processor.port import NotKnownHere, StateContext
from schemas import Command, Event, Message, Metadata, Refusal, Reply, ReplyTo, key_of
from tests.eventstore.processor.counters import Bench, _each

PARTITIONS = 2


class Tallied(Reply, name="tally.tallied"):
    count: int
    amount: int


class TooMuch(Refusal, name="tally.too_much"):
    limit: int


class Add(Command[Tallied, TooMuch], to="tally", key="sensor", name="tally.add"):
    """Count and add; more than 1,000 at once is refused, a negative amount is a bug that raises after a change."""

    sensor: str
    amount: int


class AddLater(Command[None], to="tally", key="sensor", name="tally.add_later"):
    sensor: str
    amount: int
    after_ms: int


class StopAdding(Command[None], to="tally", key="sensor", name="tally.stop_adding"):
    sensor: str


class Look(Command[Tallied], to="tally", key="sensor", name="tally.look"):
    """Tell the state; `final` false: a repeat is answered anew."""

    sensor: str
    final: bool = True


class Forget(Command[None], to="tally", key="sensor", name="tally.forget"):
    sensor: str


class Grow(Command[None], to="tally", key="sensor", name="tally.grow"):
    """Make the state so many bytes larger."""

    sensor: str
    by: int


class Pass(Command[None], to="tally", key="sensor", name="tally.pass"):
    """Count, and have another sensor add 1."""

    sensor: str
    other: str


class Happened(Event, name="tally.happened"):
    """An event, which such a processor has none of."""


class Record(Command[None], to="tally", key="sensor", name="tally.record"):
    sensor: str


MESSAGES: tuple[type[Message], ...] = (
    Tallied, TooMuch, Add, AddLater, StopAdding, Look, Forget, Grow, Pass, Happened, Record,
)  # fmt: skip


class Tally(msgspec.Struct):
    """What is kept of a sensor; changed in place."""

    count: int = 0
    amount: int = 0
    padding: str = ""


class Tallies:
    """Count and sum per sensor."""

    journal: Literal["state"] = "state"
    messages: Sequence[type[Message]] = MESSAGES
    version = 1

    def __init__(self, name: str = "tally", partitions: int | None = PARTITIONS, *, counts: str = "") -> None:
        """`counts`: the topic that each count goes to; none if empty."""
        self.name, self.partitions, self._counts = name, partitions, counts
        self.encoded = 0
        """How often a state was encoded."""

    def initial(self, key: str) -> Tally:
        return Tally()

    def decide(self, state: Tally, message: Message, context: StateContext[Tally]) -> Tally | None:
        match message:
            case Add(amount=amount) if amount > 1_000:
                context.reply(TooMuch(limit=1_000))
            case Add(amount=amount):
                state.count += 1
                state.amount += amount
                if amount < 0:
                    context.send(Add(sensor="never", amount=1))
                    raise ValueError(f"cannot add {amount}")
                if self._counts:
                    context.emit(self._counts, context.key, b"%d" % state.count)
                context.reply(Tallied(count=state.count, amount=state.amount))
            case Look(final=final):
                context.reply(Tallied(count=state.count, amount=state.amount), final=final)
            case Forget():
                context.reply(None)
                return None
            case Grow(by=by):
                state.padding += "x" * by
                context.reply(None)
            case Pass(other=other):
                state.count += 1
                context.send(Add(sensor=other, amount=1))
                context.reply(None)
            case _:
                return self._other(state, message, context)
        return state

    def _other(self, state: Tally, message: Message, context: StateContext[Tally]) -> Tally:
        match message:
            case AddLater(sensor=sensor, amount=amount, after_ms=after):
                at = context.now + timedelta(milliseconds=after)
                context.schedule("later", at, Add(sensor=sensor, amount=amount))
            case StopAdding():
                context.cancel("later")
            case Record():
                context.append(Happened())
            case _:
                raise TypeError(type(message).__name__)
        context.reply(None)
        return state

    def encode_state(self, state: Tally) -> bytes:
        self.encoded += 1
        return bytes((self.version,)) + msgspec.json.encode(state)

    def decode_state(self, key: str, data: bytes) -> Tally:
        if data[0] > self.version:
            raise NotKnownHere(f"version {data[0]}")
        return msgspec.json.decode(data[1:], type=Tally)


@dataclass
class TallyBench(Bench):
    """A unit of tallies that is stepped by hand."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.serde.register(MESSAGES)

    def call(self, command: Command[Any, Any], resolve: Callable[[Answered], None], *, id: str | None = None) -> None:
        key = key_of(command)
        metadata = Metadata(id=id or uuid4().hex, type=command.__type_name__)
        self.unit.call(Call("tally", key, partition_of(key, PARTITIONS), command, metadata, partial(_each, resolve)))

    def post_all(self, *commands: Command[Any, Any], ids: Sequence[str] = (), reply: ReplyTo | None = None) -> None:
        """Put commands into the inbox; nobody waits for them, unless `reply` says who."""
        producer = self.log.producer()
        for number, command in enumerate(commands):
            key, id_ = key_of(command), ids[number] if ids else f"{self.service}-{id(producer)}-{number}"
            meta = Metadata(id=id_, type=command.__type_name__, reply=reply)
            partition = partition_of(key, PARTITIONS)
            value, headers = self.serde.encode(command), (("meta", meta.encode()),)
            producer.produce("tally.inbox", partition, key.encode(), value, headers)
        producer.flush()
        producer.close()

    def look(self, sensor: str) -> tuple[int, int]:
        """Count and sum, as the processor tells them."""
        answer = self.ask(Look(sensor=sensor, final=False))
        assert isinstance(answer, Tallied)
        return answer.count, answer.amount

    def changelog(self, sensor: str) -> list[Tally | None]:
        """The records of a sensor's state, from the log."""
        found = [each.value for each in self.records("tally.state") if each.key == b"k" + sensor.encode()]
        return [None if value is None else msgspec.json.decode(value[10:], type=Tally) for value in found]

    def rows(self) -> dict[bytes, bytes]:
        """All rows of the served partitions but those that say how far they go."""
        served = self.unit._served.partitions.values()
        return {key: value for each in served for key, value in each.state.scan(b"") if key != b"m"}


def later(before: TallyBench, **changes: Any) -> TallyBench:
    """The next process of the service, on the same log."""
    given: dict[str, Any] = {
        "log": before.log, "clock": before.clock, "state": before.state, "registry": before.registry,
        "processors": [Tallies()],
    }  # fmt: skip
    return TallyBench(**(given | changes))
