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
called `context` gets the `DecideContext`. Fields are changed only in `@evolve`: what a decision changes itself is gone
when the entity is read from its events again. A refusal says that nothing happened: recording first and refusing then
is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import isgeneratorfunction
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar, cast

from pydantic import BaseModel, PrivateAttr
from typing_extensions import TypeVar as DefaultTypeVar

from eventstore.aggregate_processor import AggregateProcessor, Entity, Options, entity_of
from eventstore.component import Plan
from eventstore.entity_class import CONFIG, EntityType, check_defaults, check_name, check_options, name_of
from eventstore.handlers import Handlers, declared_events
from eventstore.processor.entities import ENTITIES_KEPT
from eventstore.processor.snapshots import Snapshots
from schemas import Event
from schemas.definition import Definition, DefinitionError, definition_of, line_of

E = DefaultTypeVar("E", bound=Event, default=Event)
F = TypeVar("F", bound=Callable[..., object])
G = TypeVar("G", bound=Callable[..., None])
A = TypeVar("A", bound="Aggregate[Any]")


def decide(handler: F) -> F:
    """Answer a command: the annotation says which.

    It changes no field, that is what `@evolve` is for: what no event tells of is lost when the events are read again.
    `given(…).when(…)` finds it; a running service does not look.
    """
    return cast("F", _marked(handler, "decide"))


def evolve(handler: G) -> G:
    """Apply an event: the annotation says which. Only here fields are changed."""
    return cast("G", _marked(handler, "evolve"))


def _marked(handler: Any, kind: Literal["decide", "evolve"]) -> Any:
    handler.__handler__ = kind
    return handler


class AggregateType(EntityType):
    """The class of aggregates."""

    __what__ = "aggregate"
    __reserved__ = ("key", "record", "version")


class Aggregate(BaseModel, Generic[E], metaclass=AggregateType):
    """State that is the fold of its events `E`, and the decisions on it."""

    model_config = CONFIG

    __aggregate__: ClassVar[str]
    __options__: ClassVar[Options]
    __handlers__: ClassVar[Handlers[Any]]
    __processor__: ClassVar[AggregateProcessor]

    if TYPE_CHECKING:
        _entity: Entity = PrivateAttr()
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
        line = definition_of(cls).class_line
        check_options(cls.__name__, line, partitions=partitions, snapshot=snapshot, cached=cached)
        super().__init_subclass__()
        cls.__aggregate__ = name_of(cls) if name is None else name
        cls.__options__ = Options(partitions, snapshot, cached)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        generic = cls.__pydantic_generic_metadata__
        if Aggregate in cls.__bases__ and generic["origin"] is None:
            line, name = definition_of(cls).class_line, cls.__name__
            raise DefinitionError(line, f"{name} does not say its events: class {name}(Aggregate[A | B], …)")
        if generic["origin"] is None and not generic["parameters"]:
            _define(cls)

    @classmethod
    def __component__(cls) -> Plan:
        return _plan(cls.__processor__)

    @property
    def key(self) -> str:
        """The entity's key: its stream's id."""
        return entity_of(self).key

    @property
    def version(self) -> int:
        """The version of its last event, −1 if it has none."""
        return entity_of(self).version

    def record(self, event: E) -> None:
        """Evolve by the event now, and append it when the decision returns.

        Raises:
            EventNotDeclared: it is none of the aggregate's events.
            MessageTooLarge: it does not fit into a record.
        """
        entity = entity_of(self)
        entity.recorded.append(event)
        if entity.context is None:
            self.__processor__.evolve(self, event)
        else:
            entity.context.append(event)


def _define(cls: type[Aggregate[Any]]) -> None:
    definition = definition_of(cls)
    check_name(cls, cls.__aggregate__)
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
    check_defaults(cls, "stream")
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


def _plan(processor: AggregateProcessor) -> Plan:
    return Plan(name=processor.name, messages=processor.messages, processors=(processor,))


def processor_of(aggregate: type[Aggregate[Any]]) -> AggregateProcessor:
    """What a unit runs for an aggregate class.

    Raises:
        TypeError: it is none.
    """
    try:
        return aggregate.__processor__
    except AttributeError:
        raise TypeError(f"{aggregate!r} is no aggregate: give its class, such as Account") from None
