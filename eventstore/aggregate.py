"""Aggregates: they decide on commands, record events, and evolve by them.

::

    class Stock(Aggregate[Received | Reserved], name="stock"):
        on_hand: int = 0

        @decide
        def reserve(self, command: ReserveStock) -> StockReserved | OutOfStock:
            if command.quantity > self.on_hand:
                return OutOfStock(sku=command.sku)
            self.record(Reserved(sku=command.sku, quantity=command.quantity))
            return StockReserved(sku=command.sku)

        @evolve
        def on_reserved(self, event: Reserved) -> None:
            self.on_hand -= event.quantity

The annotations are the registration. A new stream starts from the fields' defaults. A handler whose third parameter is
called `context` gets the `DecideContext`. A refusal says that nothing happened: recording first and refusing then is an
error.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import isgeneratorfunction
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple, TypeVar, cast

from pydantic import BaseModel, ConfigDict, PrivateAttr
from typing_extensions import TypeVar as DefaultTypeVar

from eventstore.component import Plan
from eventstore.errors import EventNotDeclared, RefusedAfterRecording
from eventstore.handlers import Handlers, declared_events, is_refusal, reply
from eventstore.processor.entities import ENTITIES_KEPT
from eventstore.processor.port import DecideContext
from eventstore.processor.snapshots import Snapshots, StateForm
from eventstore.state_form import JsonStateForm
from schemas import Event, Message
from schemas.definition import Body, Definition, DefinitionError, Line, definition_of, line_of

E = DefaultTypeVar("E", bound=Event, default=Event)
F = TypeVar("F", bound=Callable[..., object])
G = TypeVar("G", bound=Callable[..., None])
A = TypeVar("A", bound="Aggregate[Any]")


def decide(handler: F) -> F:
    """Answer a command: the annotation says which."""
    return cast("F", _marked(handler, "decide"))


def evolve(handler: G) -> G:
    """Apply an event: the annotation says which."""
    return cast("G", _marked(handler, "evolve"))


def _marked(handler: Any, kind: Literal["decide", "evolve"]) -> Any:
    handler.__handler__ = kind
    return handler


@dataclass(slots=True)
class _Entity:
    """What an instance knows besides its fields."""

    key: str = ""
    version: int = -1
    recorded: list[Event] = field(default_factory=list[Event])
    """Since the current decision began."""
    context: DecideContext[Any] | None = None


class _Options(NamedTuple):
    partitions: int | None
    snapshot: Snapshots | None
    cached: int


if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


class AggregateType(ModelMetaclass):
    """Watches the class body: which line binds which handler."""

    @classmethod
    def __prepare__(
        mcs,  # noqa: N804 - the convention of metaclasses
        name: str,
        bases: tuple[type, ...],
        /,
        **kwargs: Any,
    ) -> Any:
        return Body(sys._getframe(1))  # pyright: ignore[reportPrivateUsage] - the frame of the class body

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], /, **kwargs: Any) -> Any:
        if any(isinstance(base, AggregateType) for base in bases) and isinstance(namespace, Body):
            _refuse_reserved(name, namespace)
        return super().__new__(mcs, name, bases, namespace, **kwargs)


def _refuse_reserved(cls: str, body: Body) -> None:
    for name in ("key", "record", "version"):
        if name in body or name in body.get("__annotations__", ()):
            line = body.definition.line(name)
            raise DefinitionError(line, f"{cls}.{name} hides what every aggregate has under this name: rename it")


class Aggregate(BaseModel, Generic[E], metaclass=AggregateType):
    """State that is the fold of its events `E`, and the decisions on it."""

    model_config = ConfigDict(
        extra="forbid", validate_assignment=False, ser_json_bytes="base64", val_json_bytes="base64",
        ser_json_inf_nan="strings",
    )  # fmt: skip

    __aggregate__: ClassVar[str]
    __options__: ClassVar[_Options]
    __handlers__: ClassVar[Handlers[Any]]
    __processor__: ClassVar[AggregateProcessor]

    if TYPE_CHECKING:
        _entity: _Entity = PrivateAttr()
    else:  # a slot costs a twentieth of a private attribute, and does not count for equality
        __slots__ = ("_entity",)

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        partitions: int | None = None,
        snapshot: Snapshots | None = None,
        cached: int = ENTITIES_KEPT,
        **unknown: Any,
    ) -> None:
        """`name` names its topics and is where its commands go; `partitions`: when the topics are created.

        `snapshot`: when snapshots are taken; None: never. `cached`: how many entities are kept decoded per partition.
        """
        if unknown:
            raise DefinitionError(
                definition_of(cls).class_line,
                f"{cls.__name__} has no option {next(iter(unknown))}=: it takes name=, partitions=, snapshot=, cached=",
            )
        super().__init_subclass__()
        cls.__aggregate__ = name or _snake_case(cls.__name__)
        cls.__options__ = _Options(partitions, snapshot, cached)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        generic = cls.__pydantic_generic_metadata__
        if generic["origin"] is None and not generic["parameters"]:
            _define(cls)

    @classmethod
    def __component__(cls) -> Plan:
        return _plan(cls.__processor__)

    @property
    def key(self) -> str:
        """The entity's key: its stream's id."""
        return _entity(self).key

    @property
    def version(self) -> int:
        """The version of its last event, −1 if it has none."""
        return _entity(self).version

    def record(self, event: E) -> None:
        """Evolve by the event now, and append it when the decision returns.

        Raises:
            EventNotDeclared: it is none of the aggregate's events.
            MessageTooLarge: it does not fit into a record.
        """
        entity = _entity(self)
        entity.recorded.append(event)
        if entity.context is None:
            self.__processor__.evolve(self, event)
        else:
            entity.context.append(event)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _define(cls: type[Aggregate[Any]]) -> None:
    definition = definition_of(cls)
    handlers = Handlers[Any](cls.__name__, cls.__aggregate__, _events_of(cls))
    for kind, handler, local in handlers_of(cls):
        if kind == "evolve":
            handlers.add_evolve(handler, local)
        elif isgeneratorfunction(handler):
            raise DefinitionError(
                line_of(handler),
                f"{cls.__name__}.{handler.__name__} yields: an aggregate records its events by self.record",
            )
        else:
            handlers.add_decide(handler, local)
    handlers.check_complete(definition.class_line)
    _check_fields(cls, definition)
    cls.__handlers__ = handlers
    cls.__processor__ = AggregateProcessor(cls, handlers, definition.class_line)


def _events_of(cls: type[Aggregate[Any]]) -> tuple[type[Event], ...]:
    for base in cls.__mro__:
        generic: Mapping[str, Any] = getattr(base, "__pydantic_generic_metadata__", {})
        if generic.get("origin") is Aggregate:
            return declared_events(generic["args"][0])
    return ()


def handlers_of(cls: type[BaseModel]) -> Sequence[tuple[str, Callable[..., Any], Mapping[str, Any]]]:
    """The handlers of the class and its bases: an inherited one counts unless its name is bound anew."""
    found: list[tuple[str, Callable[..., Any], Mapping[str, Any]]] = []
    bound: set[str] = set()
    for base in cls.__mro__:
        definition = vars(base).get("__definition__")
        if not isinstance(definition, Definition) or base is Aggregate:
            continue
        for name, handler in definition.handlers:
            if name == "_" or name not in bound:
                found.append((handler.__handler__, handler, definition.locals))
        bound |= vars(base).keys()
    return found


def _check_fields(cls: type[Aggregate[Any]], definition: Definition) -> None:
    for name, described in cls.model_fields.items():
        line = definition.line(name)
        if described.is_required():
            raise DefinitionError(line, f"{cls.__name__}.{name} has no default: a new stream starts from the defaults")


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
        object.__setattr__(state, "_entity", _Entity(key))
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
        _entity(state).version += 1
        return state

    def decide(self, state: Aggregate[Any], message: Message, context: DecideContext[Any]) -> None:
        """Call the command's handler and answer with what it returns.

        Raises:
            DecisionNotMade, AnswerNotDeclared, RefusedAfterRecording: the aggregate is programmed wrongly.
        """
        deciding = self._handlers.for_command(message)
        entity = _entity(state)
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


def _entity(state: Aggregate[Any]) -> _Entity:
    try:
        return state._entity  # pyright: ignore[reportPrivateUsage] - ours, hidden from users
    except AttributeError:  # made by hand, not by the processor
        entity = _Entity()
        object.__setattr__(state, "_entity", entity)
        return entity


def revived(state: A, key: str, version: int) -> A:
    """The aggregate as one of this key and version."""
    object.__setattr__(state, "_entity", _Entity(key, version))
    return state


def _plan(processor: AggregateProcessor) -> Plan:
    return Plan(name=processor.name, messages=processor.messages, processors=(processor,))


def processor_of(aggregate: type[Aggregate[Any]]) -> AggregateProcessor:
    """What a unit runs for an aggregate class."""
    return aggregate.__processor__
