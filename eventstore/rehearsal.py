"""A `DecideContext` in memory: for specifications and tests of processors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from eventstore.clock import due_ms
from eventstore.processor.index import StoredEvent
from eventstore.processor.port import Destination, Processor
from eventstore.processor.topics import inbox_of
from schemas import Command, Event, Message, Metadata, ReplyTo, key_of

S = TypeVar("S")
_NO_ATTRIBUTES: Mapping[str, str] = {}


class Scheduled(NamedTuple):
    """A timer that was set."""

    at: datetime
    message: Message


class Sent(NamedTuple):
    """A message that was sent, to a command's destination or to an address."""

    id: str
    message: Message
    to: ReplyTo | None


class Rehearsal(Generic[S]):
    """Holds what one decision did, and evolves the state by it."""

    def __init__(
        self,
        processor: Processor[S],
        key: str,
        state: S,
        *,
        version: int,
        now: datetime,
        metadata: Metadata | None = None,
        stored: Sequence[StoredEvent] = (),
    ) -> None:
        """`stored`: what `past` finds."""
        self._processor, self._stored = processor, stored
        self.key, self.state, self.version, self.now = key, state, version, now
        self.metadata = metadata or Metadata(id="input")
        self.first = 0
        self.events: list[Event] = []
        self.encoded: list[bytes] = []
        self.sent: list[Sent] = []
        self.scheduled: dict[str, Scheduled] = {}
        self.cancelled: set[str] = set()
        self.answer: Message | None = None
        self.is_answered = False
        self.is_final = False
        self._ids = 0

    def new_id(self) -> str:
        """The input's id with a count."""
        self._ids += 1
        return f"{self.metadata.id}.{self._ids}"

    def append(self, event: Event) -> None:
        """Keep the event and evolve by it."""
        self.state = self._processor.evolve(self.state, event)
        self.version += 1
        self.events.append(event)

    def append_encoded(self, value: bytes) -> None:
        """Keep the bytes."""
        self.version += 1
        self.encoded.append(value)

    def truncate(self, before: int) -> None:
        """Note which event is the first one that is kept."""
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
        """Keep the command."""
        sent = Sent(id or self.new_id(), command, None)
        self.sent.append(sent)
        return sent.id

    def past(self, *, after: int, limit: int) -> list[StoredEvent]:
        """Of the events that were given."""
        return [event for event in self._stored if event.version > after][:limit]

    def destination(self, command: Command[Any, Any]) -> Destination:
        """The first partition of the destination's inbox."""
        return Destination(inbox_of(command.__to__), 0, key_of(command))

    def send_to(self, to: ReplyTo, message: Message, *, id: str | None = None) -> None:
        """Keep the message."""
        self.sent.append(Sent(id or self.new_id(), message, to))

    def reply(self, message: Message | None, *, final: bool = True) -> None:
        """Keep the answer."""
        self.answer, self.is_answered, self.is_final = message, True, final

    def schedule(self, name: str, at: datetime, message: Message) -> None:
        """Keep the timer.

        Raises:
            TypeError, ValueError: it is due at no instant.
        """
        due_ms(name, at)
        self.cancelled.discard(name)
        self.scheduled[name] = Scheduled(at, message)

    def cancel(self, name: str) -> None:
        """Forget the timer."""
        self.scheduled.pop(name, None)
        self.cancelled.add(name)
