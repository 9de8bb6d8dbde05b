"""The context of a decision on a state, and the processor as the kernel calls it (`eventstore.processor.changelog`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Literal, TypeVar

from eventstore.errors import NoEventsKept
from eventstore.log.records import Headers
from eventstore.processor.changelog import Kept, States
from eventstore.processor.context import InputContext
from eventstore.processor.index import StreamIndex
from eventstore.processor.port import DecideContext, Destination, Processor, StateProcessor
from eventstore.processor.routes import Routes
from eventstore.processor.topics import inbox_of
from schemas import Command, Event, Message, Metadata, Serde, key_of

S = TypeVar("S")

LONGEST_SOURCE = 40
"""Characters of an input's id that ids are made of by adding a number. Longer ones are digested, so ids do not grow."""
_NO_ATTRIBUTES: Mapping[str, str] = {}


class StateInputContext(InputContext[S]):
    """Collects what one decision puts out, and the state that it returns."""

    __slots__ = ("_count", "_name", "_number", "_sending", "_states", "_topics", "after", "kept")

    def __init__(
        self,
        processor: Processor[S],
        states: States[S],
        serde: Serde,
        routes: Routes,
        index: StreamIndex,
        inbox: tuple[str, int],
        nothing: Kept[S],
    ) -> None:
        """`nothing` stands for a state until `begin`."""
        super().__init__(processor, serde, routes, index, inbox)
        self._name, self._states, self.kept = processor.name, states, nothing
        self._number, self._count = inbox[1], routes.count(inbox[0])
        self._topics: dict[str, int] = {}
        self._sending: dict[type[Command[Any, Any]], tuple[str, int, str]] = {}
        self.after: S | None = None
        """What the decision returned."""

    def begin_on(self, kept: Kept[S], metadata: Metadata) -> None:
        """The next input, and the state that it is for."""
        self.kept, self.key, self.state, self.metadata, self._ids = kept, kept.key, kept.state, metadata, 0
        if self.sent:
            self.sent = []
        if self.answered or self.timers or self.cancelled:
            self._forget_the_rest()

    def new_id(self) -> str:
        """An id that follows from the input's: that with a number, which costs less than a digest of both."""
        source = self.metadata.id
        if len(source) > LONGEST_SOURCE:
            return super().new_id()
        self._ids += 1
        return f"{source}~{self._ids}"

    def send(
        self,
        command: Command[Any, Any],
        *,
        id: str | None = None,
        correlation: str | None = None,
        reply: bool = False,
        attributes: Mapping[str, str] = _NO_ATTRIBUTES,
        to: Destination | None = None,
    ) -> str:
        if reply or attributes or to:
            return super().send(command, id=id, correlation=correlation, reply=reply, attributes=attributes, to=to)
        kind, given = type(command), self.metadata
        topic, count, type_name = self._sending.get(kind) or self._destination(kind)
        key = key_of(command)
        partition = self._number if count == self._count and key == self.key else self._routes.partition(topic, key)
        message_id = id or self.new_id()
        metadata = Metadata(
            id=message_id, type=type_name, correlation=correlation or given.correlation, causation=given.id
        )
        value = self._encoded(command, topic)
        self.sent.append((topic, partition, key.encode(), value, (("meta", metadata.encode()),), self.now_ms))
        return message_id

    def emit(self, topic: str, key: str, value: bytes, *, headers: Headers = ()) -> None:
        """As the port says."""
        if len(value) > self._room:
            self._check_bytes(len(value), topic)
        count = self._topics.get(topic) or self._count_of(topic)
        if key == self.key and count == self._count:
            self.sent.append((topic, self._number, self.kept.raw, value, headers, self.now_ms))
        else:
            partition = self._routes.partition(topic, key)
            self.sent.append((topic, partition, key.encode(), value, headers, self.now_ms))

    def _count_of(self, topic: str) -> int:
        """How many partitions a topic has, looked up once."""
        found = self._topics[topic] = self._routes.count(topic)
        return found

    def _destination(self, kind: type[Command[Any, Any]]) -> tuple[str, int, str]:
        """Topic, partitions and type name of a kind of command, looked up once."""
        topic = inbox_of(kind.__to__)
        found = self._sending[kind] = topic, self._routes.count(topic), kind.__type_name__
        return found

    def append(self, event: Event) -> None:
        raise NoEventsKept(self._name, type(event).__name__)

    def append_encoded(self, value: bytes) -> None:
        raise NoEventsKept(self._name, "an encoded event")

    def truncate(self, before: int) -> None:
        raise NoEventsKept(self._name, "a truncation")

    def encoded_answer(self) -> bytes | None:
        """As the port says; also encodes the state, while deciding with care.

        Raises:
            MessageTooLarge: answer or state do not fit into a record.
        """
        kept = super().encoded_answer()
        self._states.check(self.kept, self.after)
        return kept


class AsProcessor(Generic[S]):
    """A state processor as a partition calls a processor: what it returns goes into the context."""

    journal: Literal["events", "state"] = "state"

    def __init__(self, processor: StateProcessor[S]) -> None:
        self.name, self.partitions, self.messages = processor.name, processor.partitions, processor.messages
        self.initial, self._decide = processor.initial, processor.decide

    def decide(self, state: S, message: Message, context: DecideContext[S]) -> None:
        """Decide, and note in the context what it returned."""
        assert isinstance(context, StateInputContext), "a partition of states has such a context"
        given: StateInputContext[Any] = context
        given.after = self._decide(state, message, context)

    def evolve(self, state: S, event: Event) -> S:
        """Never called: there are no events."""
        raise NoEventsKept(self.name, type(event).__name__)
