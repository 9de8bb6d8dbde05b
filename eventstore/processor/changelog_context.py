"""The context of a decision on a state, and the processor as the kernel calls it (`eventstore.processor.changelog`).

One context serves all inputs of a partition, one after the other: making one for each would take as long as many a
decision.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from eventstore.errors import NoEventsKept
from eventstore.processor.changelog import Kept, States
from eventstore.processor.context import InputContext
from eventstore.processor.index import StreamIndex
from eventstore.processor.port import DecideContext, Processor, StateProcessor
from eventstore.processor.routes import Routes
from schemas import Event, Message, Metadata, Serde

S = TypeVar("S")


class StateContext(InputContext[S]):
    """Collects what one decision puts out, and the state that it returns."""

    __slots__ = ("_name", "_states", "after", "kept")

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
        super().__init__(
            processor, serde, routes, index, inbox=inbox, key="", metadata=Metadata(id=""),
            now=datetime.fromtimestamp(0).astimezone(), now_ms=0, state=nothing.state, version=-1, first=0,
        )  # fmt: skip
        self._name, self._states, self.kept = processor.name, states, nothing
        self.after: S | None = None
        """What the decision returned."""

    def at(self, now: datetime, now_ms: int) -> None:
        """Set the batch's time."""
        self.now, self.now_ms = now, now_ms

    def begin(self, kept: Kept[S], metadata: Metadata) -> None:
        """The next input."""
        self.kept, self.key, self.state, self.metadata, self._ids = kept, kept.key, kept.state, metadata, 0
        if self.sent:
            self.sent = []
        if self.timers or self.cancelled:
            self.timers, self.cancelled = {}, set()
        if self.answered:
            self.answer, self.answered, self.answer_is_final = None, False, True

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
        assert isinstance(context, StateContext), "a partition of states has such a context"
        given: StateContext[Any] = context
        given.after = self._decide(state, message, context)

    def evolve(self, state: S, event: Event) -> S:
        """Never called: there are no events."""
        raise NoEventsKept(self.name, type(event).__name__)
