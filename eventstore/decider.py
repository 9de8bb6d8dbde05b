"""Plain deciders: the same as an aggregate, as functions over a state that may be immutable.

::

    stock = Decider("stock", initial=OnHand, events=[Received, Reserved])

    @stock.decide
    def reserve(state: OnHand, command: ReserveStock) -> Decision[Reserved, StockReserved | OutOfStock]:
        if command.quantity > state.quantity:
            return OutOfStock(sku=command.sku)
        yield Reserved(sku=command.sku, quantity=command.quantity)
        return StockReserved(sku=command.sku)

    @stock.evolve
    def reserved(state: OnHand, event: Reserved) -> OnHand:
        return replace(state, quantity=state.quantity - event.quantity)

A decision yields its events and returns its answer; `state` in it is the one before them. One that records nothing may
be a plain function. A decision that raises or refuses has recorded nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from types import GeneratorType
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast

from typing_extensions import TypeVar as DefaultTypeVar

from eventstore.component import Plan
from eventstore.entity_class import check_options
from eventstore.errors import EventNotDeclared, RefusedAfterRecording
from eventstore.handlers import Handlers, check_event_types, is_refusal, reply
from eventstore.processor.entities import ENTITIES_KEPT
from eventstore.processor.port import DecideContext
from eventstore.processor.snapshots import Snapshots, StateForm
from eventstore.state_form import JsonStateForm, kind_of
from schemas import Event, Message
from schemas.definition import Line
from schemas.names import check_name

S = TypeVar("S")
E = DefaultTypeVar("E", bound=Event, default=Event)
_E = TypeVar("_E")
_A = TypeVar("_A")
F = TypeVar("F", bound=Callable[..., object])

Decision: TypeAlias = Generator[_E, None, _A]
"""What a decide function is annotated to return: the events that it yields, and its answer."""


class Decider(Generic[S, E]):
    """Decides on commands and evolves by events, by functions."""

    def __init__(
        self,
        name: str,
        *,
        initial: Callable[[], S],
        events: Sequence[type[E]],
        partitions: int | None = None,
        snapshot: Snapshots | None = None,
        cached: int = ENTITIES_KEPT,
    ) -> None:
        """`name` names its topics and is where its commands go. `initial` makes the state of a new entity.

        `snapshot`: when snapshots are taken; None: never. The state's type is `initial`, if that is a class, or what it
        is annotated to return. `cached`: how many entities are kept decoded per partition.

        Raises:
            ValueError: the name cannot be one (`schemas.names`).
            DefinitionError: the state cannot be written into snapshots, or an option is of another type.
            TypeError: `events` holds something else than classes of events.
        """
        check_name("Decider", name, "stock")
        frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage] - the frame of the definition
        self._line = Line(frame.f_code.co_filename, frame.f_lineno)
        check_options(f"decider {name}", self._line, partitions=partitions, snapshot=snapshot, cached=cached)
        check_event_types(f"decider {name}", events)
        self.name, self.partitions = name, partitions
        self._initial, self._events = initial, tuple(events)
        self._handlers, self._cached = Handlers[S](name, name, self._events), cached
        self._form: StateForm[S] | None = None
        if snapshot is not None:
            kind = kind_of(initial, frame.f_locals)
            self._form = JsonStateForm(name, snapshot, kind, self._handlers, initial, self._line)

    def decide(self, handler: F) -> F:
        """Answer a command: the annotation says which.

        Raises:
            DefinitionError: the function cannot do it.
        """
        self._handlers.add_decide(handler, _locals_of_caller())
        return handler

    def evolve(self, handler: Callable[[S, _E], S]) -> Callable[[S, _E], S]:
        """Apply an event: the annotation says which.

        Raises:
            DefinitionError: the function cannot do it.
        """
        self._handlers.add_evolve(handler, _locals_of_caller())
        return handler

    def __component__(self) -> Plan:
        processor = self.processor()
        return Plan(name=self.name, messages=processor.messages, processors=(processor,))

    def processor(self) -> DeciderProcessor[S]:
        """What a unit runs.

        Raises:
            DefinitionError: an event has no evolve function.
        """
        self._handlers.check_complete(self._line)
        return DeciderProcessor(
            self.name, self._initial, self._handlers, self.partitions, snapshots=self._form, cached=self._cached
        )


class DeciderProcessor(Generic[S]):
    """Runs a decider in the kernel."""

    journal: Literal["events", "state"] = "events"

    def __init__(
        self,
        name: str,
        initial: Callable[[], S],
        handlers: Handlers[S],
        partitions: int | None,
        *,
        snapshots: StateForm[S] | None,
        cached: int,
    ) -> None:
        self.name, self.partitions, self.snapshots, self.cached = name, partitions, snapshots, cached
        self.messages: Sequence[type[Message]] = handlers.messages()
        self._initial, self._handlers = initial, handlers

    def initial(self, key: str) -> S:
        """The state of an entity without events."""
        return self._initial()

    def evolve(self, state: S, event: Event) -> S:
        """The state after the event.

        Raises:
            EventNotDeclared: it has no evolve function.
        """
        return cast("S", self._handlers.evolve(state, event))

    def decide(self, state: S, message: Message, context: DecideContext[S]) -> None:
        """Run the command's function to its end, then append what it yielded and answer with what it returned.

        Raises:
            DecisionNotMade, AnswerNotDeclared, EventNotDeclared, RefusedAfterRecording: the decider is programmed
            wrongly.
        """
        deciding = self._handlers.for_command(message)
        events, answer = _run(deciding.call(state, message, context))
        if events and is_refusal(answer):
            raise RefusedAfterRecording(deciding.name, type(message).__name__, type(answer).__name__, len(events))
        for event in events:
            if type(event) not in self._handlers.evolving:
                raise EventNotDeclared(self.name, type(event).__name__)
            context.append(event)
        reply(context, deciding, message, answer)


def _run(decision: Any) -> tuple[list[Event], Any]:
    if not isinstance(decision, GeneratorType):
        return [], decision
    running, events = cast("Generator[Event, None, Any]", decision), list[Event]()
    while True:
        try:
            events.append(next(running))
        except StopIteration as end:
            return events, end.value


def _locals_of_caller() -> Mapping[str, Any]:
    return sys._getframe(2).f_locals  # pyright: ignore[reportPrivateUsage] - the frame of the definition
