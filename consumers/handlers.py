"""Register handlers by their annotations, and give them what they ask for by type.

The first parameter's annotation names the message types, one or a union. Every other parameter is filled by its
annotation: `Context`, `Recorded[E]`, `Metadata` and `Record` from the record at hand, all others once, from what the
service provides. What cannot be right is a `DefinitionError` at the handler's line, when its module is imported.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from consumers.delivery import Context, Delivery, Invocation, context_of, timestamp_of
from consumers.origin import origin_of
from consumers.retry import Retry
from eventstore.component import Host
from eventstore.event_records import place_of
from eventstore.log.records import Record
from eventstore.streams import Position, Recorded
from schemas import Message, Metadata
from schemas.definition import DefinitionError, annotations_of, line_of, members
from schemas.messages import answers, is_command

Function = Callable[..., Awaitable[object]]
Extract = Callable[[Delivery], object]


@dataclass(slots=True)
class Stats:
    """What a handler's records did so far. Written by the handlers' thread."""

    completed: int = 0
    failed: int = 0
    dead_lettered: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class Handler:
    """A function that handles some types, and how it is tried."""

    function: Function
    types: tuple[type[Message], ...]
    extras: Mapping[str, Any]
    """The annotations of its further parameters."""
    retry: Retry
    timeout: timedelta | None
    stats: Stats = field(default_factory=Stats)

    @property
    def name(self) -> str:
        """For people."""
        return getattr(self.function, "__qualname__", repr(self.function))


@dataclass(slots=True, eq=False)
class Bound:
    """A handler with its resources, ready to run."""

    handler: Handler
    start: Invocation
    timeout_seconds: float | None


def handler_of(function: Function, local: dict[str, Any], *, retry: Retry, timeout: timedelta | None) -> Handler:
    """Read a handler from its signature; `local` are the names of the function that defines it.

    Raises:
        DefinitionError: it is no coroutine function, or a parameter cannot be filled.
    """
    if not inspect.iscoroutinefunction(function):
        raise DefinitionError(line_of(function), f"{function.__name__} is handled by a worker: write `async def`")
    hints = annotations_of(function, local)
    first, *others = _parameters(function, hints)
    types = _message_types(function, hints[first])
    for message in types:
        if is_command(message):
            _check_answers(function, message, hints.get("return"))
    return Handler(
        function=function, types=types, extras={name: hints[name] for name in others}, retry=retry, timeout=timeout
    )


def bind(handler: Handler, host: Host) -> Bound:
    """Fetch what the handler needs from the host.

    Raises:
        LookupError: the service provides nothing of a type that the handler asks for.
    """
    extracts = {name: _extract(handler, annotation, host) for name, annotation in handler.extras.items()}
    seconds = None if handler.timeout is None else handler.timeout.total_seconds()
    return Bound(handler, _invocation(handler.function, extracts), seconds)


def _parameters(function: Function, hints: Mapping[str, Any]) -> list[str]:
    wanted: list[str] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise DefinitionError(
                line_of(function), f"{function.__name__} takes *{parameter.name}: name each parameter"
            )
        if parameter.name in hints:
            wanted.append(parameter.name)
        elif parameter.default is parameter.empty:
            raise DefinitionError(line_of(function), f"{function.__name__}: annotate {parameter.name!r} with its type")
    if not wanted:
        raise DefinitionError(line_of(function), f"{function.__name__} takes no message: annotate a first parameter")
    return wanted


def _message_types(function: Function, annotation: Any) -> tuple[type[Message], ...]:
    types = members(annotation)
    for found in types:
        if not (isinstance(found, type) and issubclass(found, Message)):
            raise DefinitionError(
                line_of(function),
                f"{function.__name__}: the first parameter is a message or a union of some, not {found!r}",
            )
    return types


def _check_answers(function: Function, command: type[Any], returned: Any) -> None:
    replies, refusals = answers(command)
    for answer in members(returned):
        if answer not in (*replies, *refusals):
            raise DefinitionError(
                line_of(function),
                f"may answer {getattr(answer, '__name__', answer)}, which {command.__name__} does not declare",
            )


def _extract(handler: Handler, annotation: Any, host: Host) -> Extract:
    if annotation is Context:
        return context_of
    if annotation is Metadata:
        return lambda delivery: delivery.metadata
    if annotation is Record:
        return lambda delivery: delivery.record
    if (typing.get_origin(annotation) or annotation) is Recorded:
        return recorded_of
    try:
        resource: object = host.resource(annotation)
    except LookupError as missing:
        raise LookupError(
            f"{handler.name} asks for {annotation!r}: decorate a function that returns one with @service.provide"
        ) from missing
    return lambda _: resource


def recorded_of(delivery: Delivery) -> Recorded[Any]:
    """The event of a delivery, as it stands in its store."""
    record = delivery.record
    stream, version = place_of(record)
    event: Any = delivery.message
    origin = origin_of(record)
    position = Position.at(origin.partition, origin.offset + 1)
    return Recorded(event, version, stream, delivery.metadata, timestamp_of(record), position)


def _invocation(function: Any, extracts: Mapping[str, Extract]) -> Invocation:
    if not extracts:
        return lambda delivery: function(delivery.message)
    items = tuple(extracts.items())
    return lambda delivery: function(delivery.message, **{name: extract(delivery) for name, extract in items})
