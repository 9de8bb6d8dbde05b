"""What a service hosts: components, described by plans, run by loops.

A component (a store, an aggregate class, a view class, a worker, a saga class) has `__component__()`, which returns its
`Plan`: the topics and message types it needs, the processors that the service's unit runs, and factories of loops of
its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from eventstore.clock import Clock
from eventstore.log.port import Log
from eventstore.log.records import Topic
from eventstore.processor.index import StreamIndex
from eventstore.processor.port import AnyProcessor
from eventstore.state.port import StateEngine
from schemas import Message, Serde

if TYPE_CHECKING:
    from eventstore.processor.asking import Asking
    from eventstore.subject_keys.protection import Protection

ASK_PATIENCE = timedelta(seconds=10)
"""How long a caller waits for an answer unless it says otherwise: longer than the session of an owner that was killed.
"""


class Loop(Protocol):
    """Something that runs in steps: a unit, a worker, a view. One thread calls it."""

    name: str

    def open(self) -> None:
        """Join groups, start threads of its own. Called once, on the loop's thread."""
        ...

    def step(self, timeout: float) -> bool:
        """Do what is due, waiting up to `timeout` seconds for something to do; returns whether there was any."""
        ...

    def is_ready(self) -> bool:
        """Whether everything it was assigned is served. Any thread."""
        ...

    def is_settled(self) -> bool:
        """Whether everything that was in the log when this was called is handled, and nothing is under way. Any thread.

        Timers and delayed retries that are not due do not count.
        """
        ...

    def metrics(self) -> Mapping[str, float]:
        """Counters and gauges, by Prometheus name. Any thread."""
        ...

    def stop(self, deadline: float) -> None:
        """Take nothing new, finish what is under way until `deadline` (clock.monotonic), commit, leave the group."""
        ...


@runtime_checkable
class Progressing(Protocol):
    """A loop that can say what it has to do before it is ready."""

    def progress(self) -> str:
        """For people; empty: that is not known. Any thread, and at once: the log is not asked."""
        ...


class Host(Protocol):
    """What a loop gets from the process that runs it."""

    service: str
    """The service's name: prefix of group names."""
    slot: str
    """Stable name of this process among the service's processes, such as `2`; part of transactional ids."""
    log: Log
    serde: Serde
    state: StateEngine
    clock: Clock
    address: str
    """`host:port` of this process's HTTP endpoint; empty if it has none."""

    def resource(self, wanted: type[Any]) -> Any:
        """What `service.provide` gives for a type.

        Raises:
            LookupError: nothing of that type was provided.
        """
        ...


class Runtime(Protocol):
    """What a component's own methods (`store.append`, `service.ask`) reach while a service runs it."""

    host: Host
    protection: Protection
    """Seals personal data, and forgets."""
    asking: Asking
    """Where calls go in, and their answers come out."""

    async def ask(
        self, to: str, key: str, message: Message, *, id: str | None = None, timeout: timedelta = ASK_PATIENCE
    ) -> Message | None:
        """Put a message into the inbox of `to`, by the shortest way, and wait for the answer.

        If this process owns the key's partition of that processor, the message joins the next batch; else it goes over
        the log. `id` makes a repeat harmless (K8).

        Raises:
            InputFailed: the decision raised; the message is in the dead letters.
            IdReused: another message was asked under this id.
            AskTimedOut: no answer came in time; the outcome is unknown.
            UnknownType, Undecodable: it happened; this code cannot read the answer, which newer code gave.
            TopicMissing: nobody ever took messages for `to`.
            DestinationNotHosted: nobody here takes them, and nobody else sees the log.
        """
        ...

    async def ask_positioned(
        self, to: str, key: str, message: Message, *, id: str | None = None, timeout: timedelta = ASK_PATIENCE
    ) -> tuple[Message | None, Mapping[int, int] | None]:
        """Like `ask`, and where the events topic of `to` stood after the batch that answered: partition -> next offset.

        None in place of positions where they are not known: a remote owner answered, or the answer is that of an
        earlier input of the same id.
        """
        ...

    def index(self, processor: str, key: str) -> StreamIndex | None:
        """The local index of the partition that holds `key`; None if this process does not own and serve it now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a component needs from the service that hosts it."""

    name: str
    topics: Sequence[Topic] = ()
    messages: Sequence[type[Message]] = ()
    processors: Sequence[AnyProcessor] = ()
    """Run by the service's unit, which also makes their topics."""
    loops: Sequence[Callable[[Host], Loop]] = field(default_factory=tuple[Callable[[Host], Loop], ...])
    """Each gets a thread of its own."""
    bind: Callable[[Runtime | None], None] | None = None
    """Called with the runtime before anything runs, and with None after everything stopped."""


class Component(Protocol):
    """What a service hosts: an object, or a class that has this as a class method."""

    def __component__(self) -> Plan:
        """What it needs."""
        ...
