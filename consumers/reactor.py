"""React to events with commands, exactly once.

    rebooking = Reactor("rebooking", topics=[flights])

    @rebooking.on
    def cancelled(event: FlightCancelled) -> Iterator[Command[Any, Any]]:
        yield from (Rebook.start(party) for party in parties(event))

Promised: what a handler yields for an event is sent exactly once, together with the reactor's position. Handlers are
pure and synchronous; they may run again when a batch is tried again. An event whose handler raises, or yields what the
broker does not take, goes to the dead letters (`<topic>.<service>.<reactor>.dlq`), and nothing of it is sent. The
group is `<service>.<reactor>`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from inspect import isasyncgenfunction, iscoroutinefunction, signature
from typing import Any, Concatenate

from typing_extensions import TypeVar

from consumers.reactions import Reaction, Reactions
from consumers.reactor_loop import ReactorLoop
from consumers.source import Source, topics_of
from eventstore.component import Host, Plan
from schemas import Command, DefinitionError, Event, Message, is_command, line_of
from schemas.definition import annotations_of, members
from schemas.names import check_name
from schemas.option_values import check_several
from schemas.options import knows_its_options

B = TypeVar("B", bound=Callable[Concatenate[Any, ...], Iterable[Command[Any, Any]]])


class Reactor:
    """Events in, commands out."""

    @knows_its_options
    def __init__(
        self, name: str, *, topics: Sequence[Source], commands: Sequence[type[Command[Any, Any]]] = ()
    ) -> None:
        """`name`: with the service's, the group. `commands`: types to register at once, others when first sent.

        Raises:
            ValueError: the name cannot be one (`schemas.names`).
            TypeError: `topics` or `commands` is no list.
        """
        check_name("Reactor", name, "rebooking")
        check_several(f"reactor {name}", "topics", topics)
        check_several(f"reactor {name}", "commands", commands)
        self.name = name
        self._sources = tuple(topics)
        self._commands = tuple(commands)
        self._reactions: dict[type[Message], Reaction] = {}

    def on(self, handler: B, /) -> B:
        """React to the events that the first parameter's annotation names, with the commands that the handler yields.

        A second parameter, if there is one, gets the event as it was recorded (`Recorded[E]`).

        Raises:
            DefinitionError: the annotation names no events, or an event that has a handler already.
        """
        hints = annotations_of(handler, sys._getframe(1).f_locals)  # pyright: ignore[reportPrivateUsage] - the frame of the definition
        parameters = list(signature(handler).parameters)
        name = getattr(handler, "__name__", repr(handler))
        if not parameters or len(parameters) > 2 or parameters[0] not in hints:
            raise DefinitionError(
                line_of(handler), f"{name} takes an event, annotated with its type, and perhaps its Recorded"
            )
        if (
            iscoroutinefunction(handler)
            or isasyncgenfunction(handler)
            or any(map(is_command, members(hints.get("return"))))
        ):
            raise DefinitionError(
                line_of(handler),
                f"{name} yields commands: write a plain `def` -> Iterator[Command[Any, Any]] with yield",
            )
        for event in members(hints[parameters[0]]):
            if not (isinstance(event, type) and issubclass(event, Event)):
                raise DefinitionError(line_of(handler), f"{name}: {event!r} is no event")
            if event in self._reactions:
                raise DefinitionError(
                    line_of(handler), f"{self.name} reacts to {event.__name__} twice: put both into one"
                )
            self._reactions[event] = Reaction(handler, wants_recorded=len(parameters) == 2)
        return handler

    def __component__(self) -> Plan:
        if not self._reactions:
            raise ValueError(
                f"reactor {self.name} reacts to nothing: decorate a function with its .on before a service gets it"
            )
        reactions = dict(self._reactions)

        def loop(host: Host) -> ReactorLoop:
            group = f"{host.service}.{self.name}"
            return ReactorLoop(host, group, topics_of(self._sources), Reactions(host, self.name, group, reactions))

        return Plan(name=self.name, messages=(*reactions, *self._commands), loops=(loop,))
