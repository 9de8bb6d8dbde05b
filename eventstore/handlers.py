"""Dispatch tables of aggregates and deciders, compiled from annotations when they are defined.

A *decide* handler takes (state, command) and, if it has a third parameter named `context`, the `DecideContext`. An
*evolve* handler takes (state, event). Everything that can be checked is checked here, and every error names the line to
change.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar, cast

from eventstore.errors import AnswerNotDeclared, DecisionNotMade, EventNotDeclared
from eventstore.processor.port import DecideContext
from schemas import Event, Message, Refusal, answers, is_command
from schemas.definition import DefinitionError, Line, annotations_of, line_of, members
from schemas.option_values import check_several

S = TypeVar("S")
Handler: TypeAlias = Callable[..., Any]


class Deciding(NamedTuple):
    """A compiled decide handler."""

    call: Callable[[Any, Any, Any], Any]
    """Takes state, command and context."""
    answers: frozenset[type]
    name: str


@dataclass(slots=True)
class Handlers(Generic[S]):
    """The dispatch tables of one aggregate or decider."""

    owner: str
    """What errors call it."""
    to: str
    """Where the commands it decides on are sent."""
    events: tuple[type[Event], ...]
    """The union of events it declares; empty: any."""
    deciding: dict[type, Deciding] = field(default_factory=dict[type, Deciding])
    evolving: dict[type, Callable[[Any, Any], Any]] = field(default_factory=dict[type, Callable[[Any, Any], Any]])
    lines: dict[tuple[str, type], Line] = field(default_factory=dict[tuple[str, type], Line])

    def add_decide(self, handler: Handler, local: Mapping[str, Any]) -> None:
        """Compile a decide handler.

        Raises:
            DefinitionError: it cannot be one.
        """
        called = f"{self.owner}.{handler.__name__}"
        hints = annotations_of(handler, dict(local))
        parameters = _parameters(handler, called, "decide", "command")
        wants_context = _wants_context(handler, called, parameters)
        answering = _answering(handler, called, hints, self.events)
        call = handler if wants_context else _without_context(handler)
        for command in _handled(handler, called, hints, parameters[1], "command"):
            self._check_command(handler, called, command, answering)
            self._claim(handler, "decide", command)
            self.deciding[command] = Deciding(call, frozenset(answering), called)

    def _check_command(self, handler: Handler, called: str, command: Any, answering: Sequence[Any]) -> None:
        if not is_command(command):
            raise DefinitionError(line_of(handler), f"{called} decides on {_named(command)}, which is no Command")
        if command.__to__ != self.to:
            raise DefinitionError(
                line_of(handler),
                f"{called} decides on {command.__name__}, which goes to {command.__to__!r}, not to {self.to!r}: "
                f"change its "
                "to=, or move the handler",
            )
        replies, refusals = answers(command)
        for answer in answering:
            if answer not in (*replies, *refusals):
                raise DefinitionError(
                    line_of(handler), f"{called} may answer {_named(answer)}, which {command.__name__} does not declare"
                )

    def add_evolve(self, handler: Handler, local: Mapping[str, Any]) -> None:
        """Compile an evolve handler.

        Raises:
            DefinitionError: it cannot be one.
        """
        called = f"{self.owner}.{handler.__name__}"
        hints = annotations_of(handler, dict(local))
        parameters = _parameters(handler, called, "evolve", "event")
        if len(parameters) != 2:
            raise DefinitionError(
                line_of(handler), f"{called} takes {', '.join(parameters)}: an evolve takes the event only"
            )
        for event in _handled(handler, called, hints, parameters[1], "event"):
            if not (isinstance(event, type) and issubclass(event, Event)):
                raise DefinitionError(line_of(handler), f"{called} evolves by {_named(event)}, which is no Event")
            if self.events and event not in self.events:
                raise DefinitionError(
                    line_of(handler),
                    f"{called} evolves by {event.__name__}, which is none of the events of {self.owner}",
                )
            self._claim(handler, "evolve", event)
            self.evolving[event] = handler

    def _claim(self, handler: Handler, kind: str, message: type) -> None:
        earlier = self.lines.get((kind, message))
        if earlier is not None:
            raise DefinitionError(
                line_of(handler), f"{message.__name__} has an @{kind} in {self.owner} already, on line {earlier.number}"
            )
        self.lines[kind, message] = line_of(handler)

    def check_complete(self, line: Line) -> None:
        """Refuse an event of the union without an evolve.

        Raises:
            DefinitionError: names the event, and `line`.
        """
        for event in self.events:
            if event not in self.evolving:
                raise DefinitionError(line, f"{self.owner} records {event.__name__} but has no @evolve for it")

    def messages(self) -> tuple[type[Message], ...]:
        """Every type that is decided on, recorded or answered, once each."""
        found: dict[type[Message], None] = {}
        for command in self.deciding:
            replies, refusals = answers(command)
            found.update(dict.fromkeys((command, *(a for a in (*replies, *refusals) if a is not NoneType))))
        return (*found, *self.evolving)

    def for_command(self, message: Message) -> Deciding:
        """The handler of a command.

        Raises:
            DecisionNotMade: there is none.
        """
        deciding = self.deciding.get(type(message))
        if deciding is None:
            raise DecisionNotMade(self.owner, type(message).__name__)
        return deciding

    def evolve(self, state: S, event: Event) -> Any:
        """What the event's handler returns.

        Raises:
            EventNotDeclared: it has none.
        """
        handler = self.evolving.get(type(event))
        if handler is None:
            raise EventNotDeclared(self.owner, type(event).__name__)
        return handler(state, event)


def reply(context: DecideContext[Any], deciding: Deciding, command: Message, answer: Any) -> None:
    """Answer the input.

    Raises:
        AnswerNotDeclared: the handler returned what its command does not declare.
    """
    if type(answer) not in deciding.answers:
        raise AnswerNotDeclared(deciding.name, type(command).__name__, type(answer).__name__)
    context.reply(answer)


def is_refusal(answer: object) -> bool:
    """Whether the answer says that nothing happened."""
    return isinstance(answer, Refusal)


def _without_context(handler: Handler) -> Callable[[Any, Any, Any], Any]:
    return lambda state, command, _: handler(state, command)


def _parameters(handler: Handler, called: str, kind: str, noun: str) -> list[str]:
    if inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler):
        raise DefinitionError(
            line_of(handler), f"{called} is async: @{kind} is pure and does no I/O; a worker is where to await"
        )
    parameters = list(inspect.signature(handler).parameters.values())
    names = [each.name for each in parameters]
    if len(parameters) < 2 or any(each.kind is not each.POSITIONAL_OR_KEYWORD for each in parameters):
        raise DefinitionError(
            line_of(handler), f"{called} takes ({', '.join(names)}): an @{kind} takes its state and the {noun}"
        )
    return names


def _wants_context(handler: Handler, called: str, parameters: Sequence[str]) -> bool:
    if len(parameters) == 2:
        return False
    if parameters[2:] == ["context"]:
        return True
    raise DefinitionError(
        line_of(handler),
        f"{called} takes {', '.join(parameters[2:])}: a decide takes its command and, if it wants it, `context`. It "
        f"is pure; "
        "what needs a resource is a worker's job",
    )


def _handled(handler: Handler, called: str, hints: Mapping[str, Any], parameter: str, noun: str) -> tuple[Any, ...]:
    if parameter not in hints:
        raise DefinitionError(line_of(handler), f"{called}: annotate {parameter!r} with the {noun} it handles")
    return members(hints[parameter])


def _answering(
    handler: Handler, called: str, hints: Mapping[str, Any], events: Iterable[type[Event]]
) -> tuple[Any, ...]:
    if "return" not in hints:
        raise DefinitionError(line_of(handler), f"{called}: annotate what it answers, `-> None` if nothing")
    returned = hints["return"]
    if typing.get_origin(returned) is not Generator:
        return members(returned)
    recorded, _, answer = typing.get_args(returned)
    for event in members(recorded):
        if event not in events:
            raise DefinitionError(
                line_of(handler), f"{called} yields {_named(event)}, which is none of the declared events"
            )
    return members(answer)


def _named(annotation: Any) -> str:
    return "None" if annotation is NoneType else getattr(annotation, "__name__", repr(annotation))


def check_event_types(what: str, events: object) -> None:
    """Refuse what is no list of classes of events. `what` has it, such as `store orders`.

    Raises:
        TypeError: names the first that is none.
    """
    check_several(what, "events", events)
    for event in cast("Sequence[Any]", events):
        if not _is_event(event):
            shown = getattr(event, "__name__", repr(event))
            raise TypeError(f"{what}: events=[…] holds {shown}, which is no event: give classes of events")


def _is_event(given: object) -> bool:
    return isinstance(given, type) and issubclass(given, Event)


def declared_events(union: Any) -> tuple[type[Event], ...]:
    """The members of a union of events; none if it is just `Event`."""
    return tuple(event for event in members(union) if event is not Event)
