"""Specifications of aggregates and deciders: given a history, when a command, then events and an answer.

::

    given(Stock, Received(sku="a", quantity=2)).when(ReserveStock(sku="a", quantity=3)).then(reply=OutOfStock(sku="a"))

They run the handlers that the kernel runs, in memory, at an instant that is given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, overload

from typing_extensions import TypeVar as DefaultTypeVar

from eventstore.aggregate import Aggregate, processor_of
from eventstore.decider import Decider
from eventstore.processor.port import Processor
from eventstore.refold import Refold
from eventstore.rehearsal import Rehearsal, Scheduled, Sent
from schemas import Command, Event, Message, key_of
from schemas.messages import R, X
from schemas.options import knows_its_options

E = DefaultTypeVar("E", bound=Event, default=Event)
N = TypeVar("N", bound=Event)
Q = TypeVar("Q")

DEFAULT_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_NOT_COMPARED: Any = object()


@dataclass(frozen=True, slots=True)
class Then(Generic[N, Q]):
    """What followed from the command."""

    recorded: tuple[N, ...]
    answer: Q
    scheduled: Mapping[str, Scheduled]
    """Timers set, by name."""
    cancelled: frozenset[str]
    sent: tuple[Sent, ...]

    @knows_its_options
    def then(
        self,
        *events: N,
        reply: Q = _NOT_COMPARED,
        sent: Sequence[Message] = _NOT_COMPARED,
        scheduled: Mapping[str, tuple[datetime, Message]] = _NOT_COMPARED,
        cancelled: Collection[str] = _NOT_COMPARED,
    ) -> None:
        """Compare with what should have been recorded, exactly, and with whatever else is given.

        `reply`: the answer, or the refusal. `sent`: the messages, in order. `scheduled`: the timers set, by name, each
        with its instant and its message: `{"due": (instant, message)}`; `cancelled`: the names of those that were
        cancelled.

        Raises:
            AssertionError: they differ.
            DefinitionError: a keyword is none of these.
        """
        if self.recorded != events:
            raise AssertionError(f"expected the events {_lines(events)}\nrecorded {_lines(self.recorded)}")
        if reply is not _NOT_COMPARED and self.answer != reply:
            raise AssertionError(f"expected the answer {reply!r}, answered {self.answer!r}")
        messages = [each.message for each in self.sent]
        if sent is not _NOT_COMPARED and messages != list(sent):
            raise AssertionError(f"expected the messages {_lines(sent)}\nsent {_lines(messages)}")
        if scheduled is not _NOT_COMPARED and self.scheduled != scheduled:
            timers = _lines(tuple(scheduled.items())), _lines(tuple(self.scheduled.items()))
            raise AssertionError(f"expected the timers {timers[0]}\nscheduled {timers[1]}")
        if cancelled is not _NOT_COMPARED and self.cancelled != frozenset(cancelled):
            raise AssertionError(f"expected {sorted(cancelled)} to be cancelled, cancelled {sorted(self.cancelled)}")


@dataclass(frozen=True, slots=True)
class Given(Generic[E]):
    """An entity with a history."""

    processor: Processor[Any]
    history: tuple[E, ...]

    def when(self, command: Command[R, X], /, *, now: datetime = DEFAULT_NOW) -> Then[E, R | X]:
        """Decide on a command at the instant `now`, 2026-01-01 00:00 UTC unless given. What the handler raises goes
        through.

        Raises:
            ChangedWithoutEvent: the decision changed the state itself; only `@evolve` may.
        """
        key = key_of(command)
        refold = Refold(self.processor, key, self.history)
        state = self.processor.initial(key)
        for event in self.history:
            state = self.processor.evolve(state, event)
        rehearsal = Rehearsal(self.processor, key, state, version=len(self.history) - 1, now=now)
        self.processor.decide(state, command, rehearsal)
        recorded: Any = tuple(rehearsal.events)
        refold.compare(rehearsal.state, recorded)
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


def _lines(items: Sequence[object]) -> str:
    return "".join(f"\n    {each!r}" for each in items) or "(none)"
