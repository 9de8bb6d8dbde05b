"""What a processor is: names, types and two pure functions that the kernel runs (design §5).

A processor decides on *inputs* (inbox records, local calls, due timers), one key at a time. What `decide` puts into its
context becomes one Kafka transaction together with the positions of what was read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

from typing_extensions import TypeIs

from eventstore.log.records import Headers
from eventstore.processor.index import StoredEvent
from schemas import Command, Event, Message, Metadata, ReplyTo

Retention: TypeAlias = Literal["compacted", "forever"]
"""What becomes of events in the log: those that were erased go, or all stay (see `eventstore.processor.topics`)."""

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)


class Processor(Protocol[S]):
    """What a unit runs. Instances are shared by all partitions and hold no entity state."""

    name: str
    """Names the topics: `name.inbox`, `name.events`, `name.state`."""
    partitions: int | None
    """How many partitions its topics get when they are created; None: the log's default."""
    journal: Literal["events", "state"]
    """What the log keeps: "events". One that keeps states is a `StateProcessor`."""
    messages: Sequence[type[Message]]
    """All types it takes in, records, answers or sends: they are registered when the service starts."""

    def initial(self, key: str) -> S:
        """The state of an entity without events."""
        ...

    def decide(self, state: S, message: Message, context: DecideContext[S]) -> None:
        """Decide on one input: put events, commands, timers and the answer into `context`.

        Pure: time comes from `context.now`, ids from `context.new_id()`. What it raises makes the input poison (K7).
        """
        ...

    def evolve(self, state: S, event: Event) -> S:
        """The state after the event. May change `state` in place and return it."""
        ...


class StateProcessor(Protocol[S]):
    """What a unit runs that is not event-sourced: the log keeps the newest state of each key (`journal="state"`).

    For counters, windows and whatever else nobody asks the history of. One record is written for each key whose state
    changed in a batch, however many inputs changed it. What is promised is in `eventstore.processor.changelog`.
    """

    name: str
    """Names the topics: `name.inbox`, `name.state`."""
    partitions: int | None
    """How many partitions its topics get when they are created; None: the log's default."""
    journal: Literal["state"]
    messages: Sequence[type[Message]]
    """All types it takes in, records, answers or sends: they are registered when the service starts."""

    def initial(self, key: str) -> S:
        """The state of a key that has none. A state that is encoded like it is not kept."""
        ...

    def decide(self, state: S, message: Message, context: StateContext[S]) -> S | None:
        """Decide on one input; returns the state after it, which may be `state` changed in place. None deletes it.

        Pure, as `Processor.decide`; it may be called more than once for an input. `context.append` and
        `context.truncate` raise, for there are no events.
        """
        ...

    def encode_state(self, state: S) -> bytes:
        """The state's bytes; the same for the same state. Called once for a changed key and batch."""
        ...

    def decode_state(self, key: str, data: bytes) -> S:
        """What `encode_state` was given.

        Raises:
            NotKnownHere: newer code wrote it. The input waits for an owner that can read it.
            StateUndecodable: no code will. The partition is not served; nothing is lost.
        """
        ...


AnyProcessor: TypeAlias = "Processor[Any] | StateProcessor[Any]"
"""What a unit can run."""


def keeps_states(processor: AnyProcessor) -> TypeIs[StateProcessor[Any]]:
    """Whether the processor's log keeps states, not events."""
    return processor.journal == "state"


class NotKnownHere(Exception):
    """Raised by `decide` when this code lacks what the input needs, such as a version: another process may have it.

    An inbox record is stashed, and decided on again by an owner that takes the partition later (K7).
    """


@runtime_checkable
class Joinable(Protocol):
    """Mixed into a processor of which a service may host several under one name, such as the versions of a saga."""

    def joined(self, other: Any) -> AnyProcessor:
        """One processor that does what both do.

        Raises:
            ValueError: they are not parts of one processor.
        """
        ...


@runtime_checkable
class Stateless(Protocol):
    """Mixed into a processor whose entities have no state, such as an event store.

    Nothing is folded for it: `context.version` comes from the stream's head, and `evolve` is never called.
    """

    stateless: Literal[True]


@runtime_checkable
class Retaining(Protocol):
    """Mixed into a processor that says what becomes of its events; those of others are "compacted"."""

    retention: Retention


class Destination(NamedTuple):
    """A place in an inbox: the topic, the partition and the record key."""

    topic: str
    partition: int
    key: str


class DecideContext(Protocol[S_co]):
    """What `decide` sees of its input, and where it puts what follows from it."""

    @property
    def key(self) -> str:
        """The entity's key."""
        ...

    @property
    def state(self) -> S_co:
        """The entity's state, the events appended so far included."""
        ...

    @property
    def version(self) -> int:
        """The version of the entity's last event, those appended so far included; −1 if it never had one.

        It stays when events are erased: versions are not used again.
        """
        ...

    @property
    def first(self) -> int:
        """The version of the entity's first event that is not erased; beyond `version`: it has none."""
        ...

    @property
    def metadata(self) -> Metadata:
        """The input's metadata: its id, correlation, causation and where the answer goes."""
        ...

    @property
    def now(self) -> datetime:
        """The batch's time, UTC."""
        ...

    def new_id(self) -> str:
        """An id derived from the input's id: the same when a retried batch decides again."""
        ...

    def append(self, event: Event) -> None:
        """Record an event on the entity's stream and evolve `state` by it.

        Raises:
            MessageTooLarge: it does not fit into a record.
        """
        ...

    def append_encoded(self, value: bytes) -> None:
        """Record an event that is in wire format already. Only for stateless processors: nothing evolves by it.

        Raises:
            MessageTooLarge: it does not fit into a record.
        """
        ...

    def truncate(self, before: int) -> None:
        """Erase the entity's events with a version below `before`; `version + 1` erases all (E2).

        `state` stays as it is during this decision. After it the entity is folded from the first event that is kept:
        what earlier ones say must be in that one, or in a snapshot. Timers stay.
        """
        ...

    def send(
        self,
        command: Command[Any, Any],
        *,
        id: str | None = None,
        correlation: str | None = None,
        reply: bool = False,
        attributes: Mapping[str, str] = ...,
        to: Destination | None = None,
    ) -> str:
        """Send a command to its destination's inbox; returns its id (`new_id()` unless given).

        With `reply`, the answer becomes an input of this entity, with `metadata.correlation` as given here and
        `metadata.causation` the command's id. `attributes` travel in the command's metadata (P2: `saga`, `step`,
        `role`). `to` sends it where another one went, instead of where the command itself says.
        """
        ...

    def past(self, *, after: int, limit: int) -> list[StoredEvent]:
        """Up to `limit` events of the entity's stream with a version greater than `after`, in order.

        Those of the batch under way may be missing.
        """
        ...

    def destination(self, command: Command[Any, Any]) -> Destination:
        """Where `send` would put the command now. What was recorded of it stays true when topics grow (P2)."""
        ...

    def send_to(self, to: ReplyTo, message: Message, *, id: str | None = None) -> None:
        """Send a message to an address, such as a waiting caller's."""
        ...

    def reply(self, message: Message | None, *, final: bool = True) -> None:
        """Answer the input. A repeat of the input gets the same answer, unless it is not `final` (K8)."""
        ...

    def schedule(self, name: str, at: datetime, message: Message) -> None:
        """Feed `message` to this entity at `at`. A timer of the same name of this entity is replaced.

        Raises:
            TypeError: `at` is no datetime.
            ValueError: it has no zone.
        """
        ...

    def cancel(self, name: str) -> None:
        """Forget the timer of this name, if there is one."""
        ...


class StateContext(DecideContext[S_co], Protocol[S_co]):
    """What `StateProcessor.decide` sees of its input, and where it puts what follows from it."""

    def emit(self, topic: str, key: str, value: bytes, *, headers: Headers = ()) -> None:
        """Write a plain record, no message of ours, to a topic that exists, in the same transaction.

        Raises:
            MessageTooLarge: it does not fit into a record.
            TopicMissing: there is no such topic. The partition stops until there is.
        """
        ...
