"""Specifications of aggregates and deciders: given a history, when a command, then events and an answer.

::

    given(Stock, Received(sku="a", quantity=2)).when(ReserveStock(sku="a", quantity=3)).then(reply=OutOfStock(sku="a"))

They run the handlers that the kernel runs, in memory, at an instant that is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, overload

from typing_extensions import TypeVar as DefaultTypeVar

from eventstore.aggregate import Aggregate, processor_of
from eventstore.decider import Decider
from eventstore.processor.port import Processor
from eventstore.rehearsal import Rehearsal, Scheduled, Sent
from schemas import Command, Event, key_of
from schemas.messages import R, X

E = DefaultTypeVar("E", bound=Event, default=Event)
N = TypeVar("N", bound=Event)
Q = TypeVar("Q")

DEFAULT_NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Then(Generic[N, Q]):
    """What followed from the command."""

    recorded: tuple[N, ...]
    answer: Q
    scheduled: Mapping[str, Scheduled]
    """Timers set, by name."""
    cancelled: frozenset[str]
    sent: tuple[Sent, ...]

    @overload
    def then(self, *events: N) -> None: ...
    @overload
    def then(self, *events: N, reply: Q) -> None: ...
    def then(self, *events: N, **expected: object) -> None:
        """Compare with what should have been recorded, exactly, and with the answer if one is given.

        Raises:
            AssertionError: they differ.
        """
        if self.recorded != events:
            raise AssertionError(f"expected the events {_lines(events)}\nrecorded {_lines(self.recorded)}")
        if "reply" in expected and self.answer != expected["reply"]:
            raise AssertionError(f"expected the answer {expected['reply']!r}, answered {self.answer!r}")


@dataclass(frozen=True, slots=True)
class Given(Generic[E]):
    """An entity with a history."""

    processor: Processor[Any]
    history: tuple[E, ...]

    def when(self, command: Command[R, X], /, *, now: datetime = DEFAULT_NOW) -> Then[E, R | X]:
        """Decide on a command. What the handler raises goes through."""
        key = key_of(command)
        state = self.processor.initial(key)
        for event in self.history:
            state = self.processor.evolve(state, event)
        rehearsal = Rehearsal(self.processor, key, state, version=len(self.history) - 1, now=now)
        self.processor.decide(state, command, rehearsal)
        recorded: Any = tuple(rehearsal.events)
        answer: Any = rehearsal.answer
        return Then(recorded, answer, rehearsal.scheduled, frozenset(rehearsal.cancelled), tuple(rehearsal.sent))


@overload
def given(decider: type[Aggregate[E]], /, *history: E) -> Given[E]: ...
@overload
def given(decider: Decider[Any, E], /, *history: E) -> Given[E]: ...
def given(decider: type[Aggregate[E]] | Decider[Any, E], /, *history: E) -> Given[E]:
    """Start a specification: an aggregate or decider, and what happened to it before.

    Raises:
        DefinitionError: an event of the decider has no evolve function.
        EventNotDeclared: by `when`, for a history that the decider does not know.
    """
    if isinstance(decider, Decider):
        return Given(decider.processor(), history)
    return Given(processor_of(decider), history)


def _lines(events: tuple[Any, ...]) -> str:
    return "".join(f"\n    {event!r}" for event in events) or "(none)"
