"""Aggregates as the kernel runs them: what an instance knows besides its fields, and the processor of a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from eventstore.errors import EventNotDeclared, RefusedAfterRecording
from eventstore.handlers import Handlers, is_refusal, reply
from eventstore.processor.port import DecideContext
from eventstore.processor.snapshots import Snapshots, StateForm
from eventstore.state_form import JsonStateForm
from schemas import Event, Message
from schemas.definition import Line

if TYPE_CHECKING:
    from eventstore.aggregate import Aggregate

A = TypeVar("A", bound="Aggregate[Any]")


@dataclass(slots=True)
class Entity:
    """What an instance of an aggregate knows besides its fields."""

    key: str = ""
    version: int = -1
    recorded: list[Event] = field(default_factory=list[Event])
    """Since the current decision began."""
    context: DecideContext[Any] | None = None


class Options(NamedTuple):
    """What an aggregate class is told besides its name."""

    partitions: int | None
    snapshot: Snapshots | None
    cached: int


class AggregateProcessor:
    """Runs an aggregate class in the kernel. Its entities' states are instances of the class, changed in place."""

    journal: Literal["events", "state"] = "events"

    def __init__(self, aggregate: type[Aggregate[Any]], handlers: Handlers[Any], line: Line) -> None:
        self.name, (self.partitions, policy, self.cached) = aggregate.__aggregate__, aggregate.__options__
        self.messages: Sequence[type[Message]] = handlers.messages()
        self._aggregate, self._handlers, self._evolving = aggregate, handlers, handlers.evolving
        self.snapshots: StateForm[Any] | None = None
        if policy is not None:
            self.snapshots = JsonStateForm(self.name, policy, aggregate, handlers, aggregate, line, revived)

    def initial(self, key: str) -> Aggregate[Any]:
        """An instance of the defaults."""
        state = self._aggregate()
        object.__setattr__(state, "_entity", Entity(key))
        return state

    def evolve(self, state: Aggregate[Any], event: Event) -> Aggregate[Any]:
        """Call the event's handler.

        Raises:
            EventNotDeclared: it has none.
        """
        handler = self._evolving.get(type(event))
        if handler is None:
            raise EventNotDeclared(self.name, type(event).__name__)
        handler(state, event)
        entity_of(state).version += 1
        return state

    def decide(self, state: Aggregate[Any], message: Message, context: DecideContext[Any]) -> None:
        """Call the command's handler and answer with what it returns.

        Raises:
            DecisionNotMade, AnswerNotDeclared, RefusedAfterRecording: the aggregate is programmed wrongly.
        """
        deciding = self._handlers.for_command(message)
        entity = entity_of(state)
        entity.context, entity.recorded, entity.version = context, [], context.version
        try:
            answer = deciding.call(state, message, context)
        finally:
            entity.context = None
        if entity.recorded and is_refusal(answer):
            raise RefusedAfterRecording(
                deciding.name, type(message).__name__, type(answer).__name__, len(entity.recorded)
            )
        reply(context, deciding, message, answer)


def entity_of(state: Aggregate[Any]) -> Entity:
    """What an instance knows besides its fields."""
    try:
        return state._entity  # pyright: ignore[reportPrivateUsage] - ours, hidden from users
    except AttributeError:  # made by hand, not by the processor
        entity = Entity()
        object.__setattr__(state, "_entity", entity)
        return entity


def revived(state: A, key: str, version: int) -> A:
    """The aggregate as one of this key and version."""
    object.__setattr__(state, "_entity", Entity(key, version))
    return state
