"""A world for sagas in memory: a clock that is moved, processors decided on one input at a time, participants that are
functions.

Messages for one key of one inbox keep their order, as on a log; everything else happens in the order that `chance`
gives. It does what the kernel promises (deduplication by input id, timers, the guard of exactly-once participants) and
nothing more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from eventstore.processor.index import StoredEvent
from eventstore.processor.port import DecideContext, Destination, Processor
from schemas import Command, Event, Failure, Message, Metadata, Nothing, Refusal, ReplyTo, key_of

START_MS = 1_767_225_600_000
"""2026-01-01."""


@dataclass
class Envelope:
    """A record of an inbox, or of a caller's replies."""

    topic: str
    key: str
    message: Message
    metadata: Metadata
    partition: int = 0


class Unanswered(Exception):
    """Raised by a participant that dies without an answer."""


Participant = Callable[[Any, Metadata], Message | None]


@dataclass
class Entity:
    state: Any
    events: list[Event] = field(default_factory=list[Event])
    times: list[int] = field(default_factory=list[int])


class FakeContext:
    """Collects what one decision puts out."""

    def __init__(self, world: World, processor: Processor[Any], entity: Entity, key: str, metadata: Metadata) -> None:
        self._world, self._processor, self._entity, self._ids = world, processor, entity, 0
        self.key, self.metadata = key, metadata
        self.events, self.sent = list[Event](), list[Envelope]()
        self.timers, self.cancelled = dict[str, tuple[int, Message]](), set[str]()
        self.answer: Message | None = None
        self.answered, self.answer_is_final = False, True

    @property
    def state(self) -> Any:
        return self._entity.state

    @property
    def version(self) -> int:
        return len(self._entity.events) + len(self.events) - 1

    @property
    def first(self) -> int:
        return 0

    def truncate(self, before: int) -> None:
        raise AssertionError("sagas keep their history")

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self._world.now_ms / 1000, UTC)

    def new_id(self) -> str:
        self._ids += 1
        return f"{self.metadata.id}.{self._ids}"

    def append(self, event: Event) -> None:
        self._entity.state = self._processor.evolve(self._entity.state, event)
        self.events.append(event)

    def append_encoded(self, value: bytes) -> None:
        raise AssertionError("sagas have state")

    def past(self, *, after: int, limit: int) -> list[StoredEvent]:
        events = self._entity.events[after + 1 : after + 1 + limit]
        return [
            StoredEvent(after + 1 + place, self._world.now_ms, -1, b"", self._world.encode(event))
            for place, event in enumerate(events)
        ]

    def destination(self, command: Command[Any, Any]) -> Destination:
        return Destination(f"{command.__to__}.inbox", self._world.partition(key_of(command)), key_of(command))

    def send(
        self,
        command: Command[Any, Any],
        *,
        id: str | None = None,
        correlation: str | None = None,
        reply: bool = False,
        attributes: Mapping[str, str] | None = None,
        to: Destination | None = None,
    ) -> str:
        message_id, place = id or self.new_id(), to or self.destination(command)
        back = ReplyTo(f"{self._processor.name}.inbox", 0, correlation or message_id, self.key) if reply else None
        metadata = Metadata(
            id=message_id,
            type=command.__type_name__,
            correlation=correlation or "",
            causation=self.metadata.id,
            reply=back,
            attributes=dict(attributes or {}),
        )
        self.sent.append(Envelope(place.topic, place.key, command, metadata, place.partition))
        return message_id

    def send_to(self, to: ReplyTo, message: Message, *, id: str | None = None) -> None:
        metadata = Metadata(id=id or self.new_id(), correlation=to.correlation, causation=self.metadata.id)
        self.sent.append(Envelope(to.topic, to.key, message, metadata))

    def reply(self, message: Message | None, *, final: bool = True) -> None:
        self.answer, self.answered, self.answer_is_final = message, True, final

    def schedule(self, name: str, at: datetime, message: Message) -> None:
        self.timers[name] = (round(at.timestamp() * 1000), message)
        self.cancelled.discard(name)

    def cancel(self, name: str) -> None:
        self.timers.pop(name, None)
        self.cancelled.add(name)


_: type[DecideContext[Any]] = FakeContext


class World:
    """Processors, participants, messages under way, timers, and the time."""

    def __init__(
        self, *processors: Processor[Any], participants: Mapping[str, Participant] | None = None, seed: int = 0
    ) -> None:
        self.now_ms = START_MS
        self.chance = Random(seed)
        self.processors = {processor.name: processor for processor in processors}
        self.participants = dict(participants or {})
        self.queues: dict[tuple[str, str], deque[Envelope]] = {}
        self.entities: dict[tuple[str, str], Entity] = {}
        self.timers: dict[tuple[str, str, str], tuple[int, Message]] = {}
        self.replies: dict[str, Message] = {}
        self.seen: dict[tuple[str, str], FakeContext] = {}
        self.refold = False
        """Whether each input is decided on a state folded anew from its history."""
        self.failures: list[str] = []
        self.encode: Callable[[Event], bytes] = lambda event: event.model_dump_json().encode()
        """How pages of history hold events."""
        self._asked = 0

    partitions = 4
    """Of each inbox."""

    def partition(self, key: str) -> int:
        return sum(key.encode()) % self.partitions

    def ask(self, to: str, key: str, message: Message) -> str:
        """Put a message into an inbox; returns the id under which the answer will stand in `replies`."""
        self._asked += 1
        ask_id = f"ask-{self._asked}"
        reply = ReplyTo("caller.replies", 0, ask_id)
        self.put(Envelope(f"{to}.inbox", key, message, Metadata(id=ask_id, reply=reply)))
        return ask_id

    def put(self, envelope: Envelope) -> None:
        if envelope.topic == "caller.replies":
            self.replies[envelope.metadata.correlation] = envelope.message
        else:
            self.queues.setdefault((envelope.topic, envelope.key), deque()).append(envelope)

    def events(self, processor: str, key: str) -> list[Event]:
        return self.entities[processor, key].events

    def names(self, processor: str, key: str) -> list[str]:
        """The history in words: `step_sent hotel`."""
        return [_word(event) for event in self.events(processor, key)]

    def step(self) -> bool:
        """Deliver one message; False if there is none."""
        if not self.queues:
            return False
        place = self.chance.choice(sorted(self.queues))
        queue = self.queues[place]
        envelope = queue.popleft()
        if not queue:
            del self.queues[place]
        self.deliver(envelope)
        return True

    def run(self, limit: int = 1_000) -> None:
        """Deliver until nothing is under way. Timers do not fire."""
        for _ in range(limit):
            if not self.step():
                return
        raise AssertionError(f"still busy after {limit} messages")

    def wake(self) -> bool:
        """Move the time to the next timer and fire it; False if there is none."""
        if not self.timers:
            return False
        place = min(self.timers, key=lambda each: self.timers[each][0])
        due_ms, message = self.timers.pop(place)
        self.now_ms = max(self.now_ms, due_ms)
        self._asked += 1
        self.decide(place[0], place[1], message, Metadata(id=f"timer-{self._asked}"))
        return True

    def settle(self, limit: int = 1_000) -> None:
        """Deliver and fire until nothing is left to happen."""
        for _ in range(limit):
            self.run()
            if not self.wake():
                return
        raise AssertionError(f"timers still stand after {limit} of them")

    def deliver(self, envelope: Envelope) -> None:
        name = envelope.topic.removesuffix(".inbox")
        if name in self.processors:
            self.decide(name, envelope.key, envelope.message, envelope.metadata)
        else:
            self._act(name, envelope)

    def decide(self, name: str, key: str, message: Message, metadata: Metadata) -> FakeContext:
        known = self.seen.get((name, metadata.id))
        if known is not None and known.answer_is_final:
            self._answer(metadata, known.answer, known.answered, f"{metadata.id}/again")
            return known
        processor = self.processors[name]
        entity = self.entities.setdefault((name, key), Entity(processor.initial(key)))
        if self.refold:
            entity.state = processor.initial(key)
            for event in entity.events:
                entity.state = processor.evolve(entity.state, event)
        context = FakeContext(self, processor, entity, key, metadata)
        try:
            processor.decide(entity.state, message, context)
        except Exception as error:  # noqa: BLE001 (what the kernel does with any error of a decision)
            self.failures.append(type(error).__name__)
            failure = Failure(error=type(error).__name__, detail=str(error), final=False)
            self._answer(metadata, failure, True, f"{metadata.id}/failed")
            entity.state = processor.initial(key)
            for event in entity.events:
                entity.state = processor.evolve(entity.state, event)
            return context
        self.seen[name, metadata.id] = context
        entity.events += context.events
        entity.times += [self.now_ms] * len(context.events)
        for envelope in context.sent:
            self.put(envelope)
        for timer in context.cancelled:
            self.timers.pop((name, key, timer), None)
        for timer, due in context.timers.items():
            self.timers[name, key, timer] = due
        self._answer(metadata, context.answer, context.answered, f"{metadata.id}/reply")
        return context

    def _act(self, name: str, envelope: Envelope) -> None:
        try:
            answer = self.participants[name](envelope.message, envelope.metadata)
        except Unanswered:
            return
        self._answer(envelope.metadata, answer, True, f"{envelope.metadata.id}/reply-{self.chance.random()}")

    def _answer(self, metadata: Metadata, answer: Message | None, answered: bool, reply_id: str) -> None:
        to = metadata.reply
        if to is None or not answered:
            return
        attributes = {"refusal": "final"} if isinstance(answer, Refusal) and self.refusals_are_final else {}
        back = Metadata(id=reply_id, correlation=to.correlation, causation=metadata.id, attributes=attributes)
        self.put(Envelope(to.topic, to.key, Nothing() if answer is None else answer, back))

    refusals_are_final = False
    """Whether participants declare that a refused command did nothing, as aggregates do."""


def _word(event: Event) -> str:
    subject = next((getattr(event, name) for name in ("step", "wait", "condition") if hasattr(event, name)), "")
    return f"{event.__type_name__.removeprefix('sagalog.saga.')} {subject}".strip()
