"""The context that `decide` fills (see `DecideContext` in the port).

One context serves all inputs of a partition, one after the other: making one for each takes as long as some decisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice
from typing import Any, Generic, TypeVar, cast

from eventstore.clock import due_ms
from eventstore.log.errors import MessageTooLarge
from eventstore.processor.index import StoredEvent, StreamIndex
from eventstore.processor.inputs import AnswerOut, Outgoing
from eventstore.processor.port import Destination, Processor
from eventstore.processor.routes import Routes
from eventstore.processor.topics import events_of, inbox_of, takes_answers
from schemas import Command, Event, Message, Metadata, Nothing, ReplyTo, Serde, key_of

S = TypeVar("S")

OVERHEAD_BYTES = 1_000
"""Room that is left beside a value for key and headers when sizes are checked."""
_NO_ATTRIBUTES: Mapping[str, str] = {}


def derived_id(source: str, number: int | str) -> str:
    """An id that follows from another one: 24 hexadecimal digits of BLAKE2b (RFC 7693)."""
    return blake2b(f"{source}/{number}".encode(), digest_size=12).hexdigest()


class InputContext(Generic[S]):
    """Collects what one decision puts out. Nothing leaves it unless the decision returns."""

    __slots__ = (
        "_encode", "_events_topic", "_evolve", "_ids", "_inbox", "_index", "_room", "_routes", "_serde", "answer",
        "answer_is_final", "answered", "cancelled", "events", "first", "key", "metadata", "now", "now_ms", "sent",
        "state", "timers", "version",
    )  # fmt: skip

    def __init__(
        self,
        processor: Processor[S],
        serde: Serde,
        routes: Routes,
        index: StreamIndex,
        inbox: tuple[str, int],
    ) -> None:
        self._serde, self._routes, self._index, self._inbox, self._ids = serde, routes, index, inbox, 0
        self._encode, self._evolve, self._events_topic = serde.encode, processor.evolve, events_of(processor.name)
        self._room = routes.message_max_bytes - OVERHEAD_BYTES
        self.now, self.now_ms = datetime.fromtimestamp(0, UTC), 0
        self.key, self.metadata, self.version, self.first = "", Metadata(id=""), -1, 0
        self.state = cast("S", None)  # `begin` sets it, and all of the line before
        self.events: list[tuple[str, bytes, Event | None]] = []
        """Type name, value, and the event itself unless it came encoded."""
        self.sent: list[Outgoing] = []
        self.timers: dict[str, tuple[int, bytes]] = {}
        self.cancelled: set[str] = set()
        self.answer: Message | None = None
        self.answered = False
        self.answer_is_final = True

    def at(self, now: datetime, now_ms: int) -> None:
        """Set the batch's time."""
        self.now, self.now_ms = now, now_ms

    def begin(self, key: str, metadata: Metadata, state: S, version: int, first: int) -> None:
        """The next input, and what the entity is that it is for."""
        self.key, self.metadata, self._ids = key, metadata, 0
        self.state, self.version, self.first = state, version, first
        if self.events:
            self.events = []
        if self.sent:
            self.sent = []
        if self.answered or self.timers or self.cancelled:
            self._forget_the_rest()

    def _forget_the_rest(self) -> None:
        self.answer, self.answered, self.answer_is_final = None, False, True
        if self.timers or self.cancelled:
            self.timers, self.cancelled = {}, set()

    def new_id(self) -> str:
        self._ids += 1
        return derived_id(self.metadata.id, self._ids)

    def append(self, event: Event) -> None:
        value = self._encoded(event, self._events_topic)
        self.state = self._evolve(self.state, event)
        self.events.append((event.__type_name__, value, event))
        self.version += 1

    def append_encoded(self, value: bytes) -> None:
        self._check_bytes(len(value), self._events_topic)
        self.events.append((self._serde.type_of(value).name, value, None))
        self.version += 1

    def truncate(self, before: int) -> None:
        self.first = max(self.first, min(before, self.version + 1))

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
        topic, partition, key = to or self.destination(command)
        message_id = id or self.new_id()
        back = ReplyTo(*self._inbox, correlation or message_id, self.key) if reply else None
        metadata = Metadata(
            id=message_id,
            type=command.__type_name__,
            correlation=correlation or self.metadata.correlation,
            causation=self.metadata.id,
            reply=back,
            attributes=dict(attributes),
        )
        value = self._encoded(command, topic)
        self.sent.append((topic, partition, key.encode(), value, (("meta", metadata.encode()),), self.now_ms))
        return message_id

    def past(self, *, after: int, limit: int) -> list[StoredEvent]:
        return list(islice(self._index.read(self.key, after=after), limit))

    def destination(self, command: Command[Any, Any]) -> Destination:
        topic, key = inbox_of(command.__to__), key_of(command)
        return Destination(topic, self._routes.partition(topic, key), key)

    def send_to(self, to: ReplyTo, message: Message, *, id: str | None = None) -> None:
        if not takes_answers(to.topic):
            return
        metadata = Metadata(
            id=id or self.new_id(), type=message.__type_name__, correlation=to.correlation, causation=self.metadata.id
        )
        value = self._encoded(message, to.topic)
        key, headers = (to.key.encode() if to.key else None), (("meta", metadata.encode()),)
        self.sent.append(AnswerOut((to.topic, to.partition, key, value, headers, self.now_ms)))

    def reply(self, message: Message | None, *, final: bool = True) -> None:
        self.answer, self.answered, self.answer_is_final = message, True, final

    def encoded_answer(self) -> bytes | None:
        """The answer that is kept for repeats; None if there is none, or it is not final.

        Raises:
            MessageTooLarge: it does not fit into a record of its own, or, with the timers that were set, beside the
                last event, whose metadata keeps both.
        """
        topic, kept = self._inbox[0], None
        if self.answered:
            encoded = self._encoded(Nothing() if self.answer is None else self.answer, topic)
            kept = encoded if self.answer_is_final else None
        if self.events:
            size_bytes = len(kept or b"")
            if self.timers:
                size_bytes += sum(len(payload) for _, payload in self.timers.values())
            self._check_bytes(len(self.events[-1][1]) + size_bytes * 4 // 3, topic)
        return kept

    def schedule(self, name: str, at: datetime, message: Message) -> None:
        due = due_ms(name, at)
        self.cancelled.discard(name)
        self.timers[name] = (due, self._encoded(message, self._inbox[0]))

    def cancel(self, name: str) -> None:
        self.timers.pop(name, None)
        self.cancelled.add(name)

    def _encoded(self, message: Message, topic: str) -> bytes:
        value = self._encode(message)
        if len(value) > self._room:
            self._check_bytes(len(value), topic)
        return value

    def _check_bytes(self, size_bytes: int, topic: str) -> None:
        if size_bytes > self._room:
            limit = self._routes.message_max_bytes
            raise MessageTooLarge(topic, size_bytes=size_bytes + OVERHEAD_BYTES, limit_bytes=limit)
