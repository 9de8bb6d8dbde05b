"""A saga's definition: a class whose methods are its steps and whose `flow` orders them.

::

    class BookTrip(Saga[Trip, Ticket], name="book_trip", version=2, key="trip_id", deadline=timedelta(hours=2)):
        @step(undo=Undo)
        def hotel(self) -> BookHotel: ...

        @step(pivot=True)
        def pay(self) -> Charge: ...

        @result
        def ticket(self) -> Ticket: ...

        flow = hotel >> pay

The class is checked when it is made; what is wrong raises a `DefinitionError` that names the line to change. No
instance of it is made by users: builders run on instances that the orchestrator fills from a saga's history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from sagas.children import I, O
from sagas.errors import SagaKeyEmpty
from sagas.messages import start_command
from schemas import Command, line_of
from schemas.definition import BodyType
from schemas.kept_json import kept_json

if TYPE_CHECKING:
    from eventstore.component import Plan
    from sagas.graph import Graph


class Result(Generic[O]):
    """What a completed saga answers."""

    __handler__ = "result"

    def __init__(self, build: Callable[[Any], O]) -> None:
        self.build, self.name, self.line = build, build.__name__, line_of(build)


def result(build: Callable[[Any], O], /) -> Result[O]:
    """Make a method the builder of the saga's result."""
    return Result(build)


def check_is_saga(saga: object) -> None:
    """Refuse what is no class of a saga.

    Raises:
        TypeError: it is none.
    """
    if not (isinstance(saga, type) and issubclass(saga, Saga)):
        raise TypeError(f"{saga!r} is no saga: give its class, such as PlaceOrder")


class Saga(Generic[I, O], metaclass=BodyType):
    """A workflow over several services that undoes itself when it cannot be completed.

    Class options: `name` names its topics; `key` is the field of the input that tells its instances apart; `version`
    counts its definitions, of which old ones stay registered while instances of them run; before `deadline` its pivot
    is sent, or it is undone.
    """

    input: I
    """What it was started with."""
    _replies: Mapping[str, Any]
    deadline: ClassVar[timedelta | None]
    __saga__: ClassVar[str]
    __saga_version__: ClassVar[int]
    __key__: ClassVar[str]
    __graph__: ClassVar[Graph]

    def __init_subclass__(cls, *, name: str, key: str, version: int = 1, deadline: timedelta | None = None) -> None:
        super().__init_subclass__()
        cls.__saga__, cls.__key__, cls.__saga_version__, cls.deadline = name, key, version, deadline
        from sagas.check import check
        from sagas.graph import Graph

        check(cls)
        cls.__graph__ = Graph.of(cls)

    @classmethod
    def start(cls, input: I, /) -> Command[Any, Any]:
        """The command that starts this saga: for reactors and other senders. A repeat changes nothing."""
        return start_command(cls.__saga__, key=cls.key_of(input), version=cls.__saga_version__, input=kept_json(input))

    @classmethod
    def key_of(cls, input: I, /) -> str:
        """The key of the saga that this input starts.

        Raises:
            TypeError: it is no input of this saga.
            SagaKeyEmpty: its key is empty.
        """
        try:
            key = str(getattr(input, cls.__key__))
        except AttributeError:
            wanted, found = cls.__graph__.input.__name__, type(input).__name__
            raise TypeError(f"{cls.__name__} starts with one {wanted}, and got a {found}: give {wanted}(…)") from None
        if not key:
            raise SagaKeyEmpty(cls.__saga__, cls.__key__)
        return key

    @classmethod
    def __component__(cls) -> Plan:
        """What a service needs to host it. Versions of one name are components of their own, run by one processor."""
        from eventstore.component import Plan
        from sagas.orchestrator import SagaProcessor

        processor = SagaProcessor([cls])
        name = f"{cls.__saga__} version {cls.__saga_version__}"
        return Plan(name=name, messages=processor.messages, processors=(processor,))
