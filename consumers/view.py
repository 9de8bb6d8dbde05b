"""Declare views: tables that are computed from events, exactly.

::

    class Totals(View, topics=[orders], version=1):
        by_order: Table[str, Total]
        by_customer: Table[str, Total] = table(merge=Total.plus)

        @on
        def placed(self, event: OrderPlaced, recorded: Recorded[OrderPlaced]) -> None:
            self.by_order[event.order_id] = Total(cents=event.total_cents)

Handlers are pure: they see the event and the tables, nothing else, and what they raise stops the partition. A handler
that computes something else than before needs a new `version=`, which is built beside the old one. What is declared
wrongly is a
`DefinitionError` when the module is imported, and names the line to change.

Promised: every event once, in order per key; rows and position in one write. Not promised: that two topics of one view
are seen in the order in which they were written.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, TypeVar

from consumers.rekeying import By, RekeyLoop, rekeyed, rekeyed_topic
from consumers.source import Source, topics_of
from consumers.table import Table
from consumers.view_loop import ViewLoop
from eventstore.component import Plan
from eventstore.store import EventStore
from eventstore.streams import Recorded
from schemas import Event
from schemas.definition import (
    BodyType,
    Definition,
    DefinitionError,
    Line,
    annotations_of,
    definition_of,
    line_of,
    members,
)
from schemas.names import unfit
from schemas.option_values import TEXT, WHOLE, check_several, check_value

P = TypeVar("P", bound=Callable[Concatenate[Any, Any, ...], None])

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Handling:
    """A handler, as a plain function of view and event."""

    call: Callable[..., None]
    wants_recorded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewDefinition:
    """What a view class says."""

    view: type[View]
    name: str
    version: int
    sources: Sequence[Source]
    tables: Mapping[str, Table[Any, Any]]
    handlers: Mapping[type[Event], Handling]
    by: By | None
    """What it is re-keyed by, if it is."""

    @property
    def full_name(self) -> str:
        """Name and version, such as `totals.v1`: names the state folders and, after the service's name, the group."""
        return f"{self.name}.v{self.version}"

    @property
    def topics(self) -> list[str]:
        """The topics it reads; the first decides who owns which partitions."""
        return topics_of(self.sources) if self.by is None else [rekeyed_topic(self.full_name)]

    @property
    def layout(self) -> str:
        """What its stored rows are."""
        return "; ".join(self.tables[name].layout for name in sorted(self.tables))


class View(metaclass=BodyType):
    """Base class of views. Instances are made by the loop that runs them, one per partition."""

    __view__: ClassVar[ViewDefinition]

    def __init_subclass__(
        cls, *, topics: Sequence[Source], name: str | None = None, version: int = 1, by: By | None = None
    ) -> None:
        """`topics`: stores, aggregate classes, saga classes or topic names, with equal partition counts.

        `name`: default, the class's name in snake case. `version`: raise it when the handlers compute something else.
        `by`: the key, by event, that the rows' keys begin with: the events are re-keyed through a topic
        (`consumers.rekeying`), so that all that the view keeps for a key is in one partition.

        Raises:
            DefinitionError: something is declared wrongly.
        """
        super().__init_subclass__()
        body = definition_of(cls)
        check_several(cls.__name__, "topics", topics, line=body.class_line)
        check_value(cls.__name__, "version", version, WHOLE, line=body.class_line)
        check_value(cls.__name__, "name", name, TEXT, or_none=True, line=body.class_line)
        name = name if name is not None else re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        if not _NAME.fullmatch(name) or version < 1 or not topics:
            raise DefinitionError(
                body.class_line,
                f"{cls.__name__} needs a name of a-z, 0-9 and _, a version from 1 and at least one topic; it has "
                f"name={name!r}, version={version}, {len(topics)} topics",
            )
        if why := unfit(name, "totals"):
            raise DefinitionError(body.class_line, f"{cls.__name__} cannot have this name=: {why}")
        cls.__view__ = ViewDefinition(
            view=cls,
            name=name,
            version=version,
            sources=tuple(topics),
            tables=_tables(cls, body),
            handlers=_handlers(cls, body, topics),
            by=by,
        )

    if not TYPE_CHECKING:

        def __setattr__(self, name, value):
            raise AttributeError(
                f"{type(self).__name__}.{name} cannot be set: a view keeps nothing but the rows of its tables, because "
                f"only they come back after a restart; write self.{name}[key] = row, or declare a Table"
            )

    @classmethod
    def __component__(cls) -> Plan:
        definition = cls.__view__
        name, events = definition.full_name, tuple(definition.handlers)
        view = partial(ViewLoop, definition)
        if definition.by is None:
            return Plan(name=name, messages=events, loops=(view,))
        rekey = partial(RekeyLoop, view=name, topics=topics_of(definition.sources), events=events, by=definition.by)
        return Plan(name=name, messages=events, topics=(rekeyed(name),), loops=(rekey, view))


def on(handler: P, /) -> P:
    """Handle the events that the annotation of the handler's event names.

    A second parameter `recorded: Recorded[E]` gets the event with its stream, version, metadata, time and position.
    """
    handler.__handler__ = "on"  # type: ignore[attr-defined] # an attribute of ours
    return handler


def _tables(cls: type[View], body: Definition) -> dict[str, Table[Any, Any]]:
    tables: dict[str, Table[Any, Any]] = {}
    for attribute, annotation in annotations_of(cls, body.locals).items():
        if typing.get_origin(annotation) is not Table:
            if annotation is Table or (typing.get_origin(annotation) is not ClassVar and not hasattr(cls, attribute)):
                raise DefinitionError(
                    body.lines.get(attribute, body.class_line),
                    f"{cls.__name__}.{attribute} is no table with the types of its keys and rows, and a view keeps "
                    f"nothing else: write {attribute}: Table[Key, Row]",
                )
            continue
        declared: Table[Any, Any] = getattr(cls, attribute, None) or Table[Any, Any]()
        line = body.lines.get(attribute, body.class_line)
        tables[attribute] = declared.bound(cls, attribute, typing.get_args(annotation), line)
        setattr(cls, attribute, tables[attribute])
    for attribute, value in vars(cls).items():
        if isinstance(value, Table) and attribute not in tables:
            raise DefinitionError(
                body.lines.get(attribute, body.class_line),
                f"{cls.__name__}.{attribute} has no annotation: write {attribute}: Table[Key, Row] = table(…)",
            )
    return tables


def _handlers(cls: type[View], body: Definition, sources: Sequence[Source]) -> dict[type[Event], Handling]:
    handlers: dict[type[Event], Handling] = {}
    lines: dict[type[Event], Line] = {}
    for function, local in _functions(cls):
        hints = annotations_of(function, dict(local))
        handling = _handling(cls, function, hints)
        for event in _events(cls, function, hints):
            _check_declared(cls, function, event, sources)
            if event in handlers:
                raise DefinitionError(
                    line_of(function),
                    f"{event.__name__} has an @on in {cls.__name__} already, on line {lines[event].number}",
                )
            handlers[event], lines[event] = handling, line_of(function)
    if not handlers:
        raise DefinitionError(body.class_line, f"{cls.__name__} handles nothing: add a method with @on")
    return handlers


def _check_declared(
    cls: type[View], function: Callable[..., None], event: type[Event], sources: Sequence[Source]
) -> None:
    """Refuse an event that none of the sources can hold, where all are stores: only of these it is known here."""
    stores: list[EventStore[Any]] = [source for source in sources if isinstance(source, EventStore)]
    declared = {each.__type_name__ for store in stores for each in store.events}
    if len(stores) == len(sources) and event.__type_name__ not in declared:
        raise DefinitionError(
            line_of(function),
            f"{cls.__name__}.{function.__name__} handles {event.__name__}, which is not among the events=[…] of "
            f"{' and '.join(store.name for store in stores)}: add it there, or the store that has it to topics=",
        )


def _functions(cls: type[View]) -> list[tuple[Callable[..., None], Mapping[str, Any]]]:
    """The handlers of the class and its bases: an inherited one counts unless its name is bound anew."""
    found: list[tuple[Callable[..., None], Mapping[str, Any]]] = []
    bound: set[str] = set()
    for base in cls.__mro__:
        body = vars(base).get("__definition__")
        if not isinstance(body, Definition) or base is View:
            continue
        found += [(handler, body.locals) for name, handler in body.handlers if name == "_" or name not in bound]
        bound |= vars(base).keys()
    return found


def _handling(cls: type[View], function: Callable[..., None], hints: Mapping[str, Any]) -> Handling:
    called, parameters = f"{cls.__name__}.{function.__name__}", list(inspect.signature(function).parameters.values())
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise DefinitionError(
            line_of(function), f"{called} is async or a generator: a view's handlers are plain functions"
        )
    if len(parameters) not in (2, 3) or any(each.kind is not each.POSITIONAL_OR_KEYWORD for each in parameters):
        raise DefinitionError(
            line_of(function),
            f"{called} takes other parameters than self, the event and, if it wants it, a Recorded of it",
        )
    if len(parameters) == 3:
        annotation = hints.get(parameters[2].name)
        if annotation is not Recorded and typing.get_origin(annotation) is not Recorded:
            raise DefinitionError(
                line_of(function),
                f"{called}: {parameters[2].name!r} is no Recorded of the event; a view's handler is pure, "
                "resources are for workers",
            )
    return Handling(function, len(parameters) == 3)


def _events(cls: type[View], function: Callable[..., None], hints: Mapping[str, Any]) -> tuple[type[Event], ...]:
    name = list(inspect.signature(function).parameters)[1]
    if name not in hints:
        raise DefinitionError(
            line_of(function), f"{cls.__name__}.{function.__name__}: annotate {name!r} with the event it handles"
        )
    events = members(hints[name])
    for event in events:
        if not (isinstance(event, type) and issubclass(event, Event)):
            raise DefinitionError(
                line_of(function), f"{cls.__name__}.{function.__name__} handles {event!r}, which is no Event"
            )
    return events
