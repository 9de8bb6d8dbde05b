"""Messages: frozen models whose class says everything a foreign service needs.

::

    class OrderPlaced(Event, name="order.placed", version=2):
        order_id: str

    class ReserveStock(Command[StockReserved, OutOfStock], to="stock", key="sku"):
        sku: str
        quantity: int

Class keywords: `name` (default: the class's name in snake case) and `version` (default 1) identify the type in the
log, where it outlives every renaming in Python; `to` and `key` of a command say which service it goes to and which
field names the entity. Two classes may share a name at different versions. What is wrong is a `DefinitionError` that
names the line, raised when the module is imported.

Fields are written by their names and as they are: aliases, pydantic serializers and computed fields do not take part.
JSON refuses a class that has serializers, or fields with `exclude`.
"""

from __future__ import annotations

import enum
import sys
import threading
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Never, Self, TypeGuard, cast
from typing import TypeVar as typing_TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, PrivateAttr, PydanticSchemaGenerationError
from pydantic._internal._model_construction import ModelMetaclass
from pydantic_core import CoreSchema
from typing_extensions import TypeVar, dataclass_transform

from schemas._checks import (
    UNDO,
    check_answers,
    check_command,
    check_type,
    is_generic,
    refuse_unknown,
    refused_field,
    snake_case,
)
from schemas.definition import Body, DefinitionError, Line, definition_of, members
from schemas.evolution import F, Upcasts
from schemas.options import knows_its_options
from schemas.personal_data import personal
from schemas.personal_fields import check_personal, hide_inputs, holds_personal


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Field, PrivateAttr, personal))
class MessageType(ModelMetaclass):
    """The type of message classes: makes them frozen for type checkers too, and notes where each is defined."""

    @classmethod
    def __prepare__(mcs, name: str, bases: tuple[type, ...], /, **kwargs: Any) -> Any:  # noqa: N804 - the convention of metaclasses
        return Body(sys._getframe(1))  # pyright: ignore[reportPrivateUsage] - the frame of the class body


class Message(BaseModel, metaclass=MessageType):
    """What travels between services and is kept in logs. Derive from `Event`, `Command`, `Reply` or `Refusal`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings"
    )
    __type_name__: ClassVar[str]
    __type_version__: ClassVar[int]
    __upcasts__: ClassVar[Upcasts]

    if TYPE_CHECKING:

        def __hash__(self) -> int: ...  # frozen models have one

    def __init_subclass__(cls, *, name: str | None = None, version: int = 1, **unknown: Any) -> None:
        refuse_unknown(cls, unknown, ("name", "version"))
        super().__init_subclass__()
        cls.__type_name__ = snake_case(cls.__name__) if name is None else name
        cls.__type_version__ = version
        cls.__upcasts__ = Upcasts(cls.__name__, version)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if not is_generic(cls):
            check_type(cls)
            check_personal(cls)

    @classmethod
    def __pydantic_on_complete__(cls) -> None:
        super().__pydantic_on_complete__()
        if holds_personal(cls):
            hide_inputs(cls)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler, /) -> CoreSchema:
        try:
            return handler(source)
        except PydanticSchemaGenerationError as error:
            raise refused_field(cls, error) from error

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, and what is updated is validated like any message: it is going to be kept.

        Raises:
            ValidationError: the fields do not take it, or there is no such field.
        """
        copied = super().model_copy(update=update, deep=deep)
        if update:
            vars(copied).update(vars(type(self).model_validate(vars(copied), by_alias=False, by_name=True)))
        return copied

    @classmethod
    @knows_its_options
    def upcast(cls, *, from_version: int) -> Callable[[F], F]:
        """Register how the fields of an older version become those of the next one (see `schemas.evolution`).

        Raises:
            DefinitionError: `from_version` is not below this class's, or has a step already.
        """
        return cls.__upcasts__.step(from_version)


class Event(Message):
    """What happened."""


class Reply(Message):
    """What a command answers when it was done."""


class Refusal(Message):
    """What a command answers when it was declined: nothing happened."""


R = TypeVar("R", bound=Reply | None)
X = TypeVar("X", bound=Refusal, default=Never)
R_co = TypeVar("R_co", bound=Reply | None, covariant=True)
X_co = TypeVar("X_co", bound=Refusal, default=Never, covariant=True)


class Command(Message, Generic[R_co, X_co]):
    """What shall be done: `to` a service, about the entity in its field `key`. Answers an R, a None or a refusal X."""

    __to__: ClassVar[str]
    __key__: ClassVar[str]
    __read_key__: ClassVar[Callable[[Any], object]]

    def __init_subclass__(
        cls,
        *,
        to: str | None = None,
        key: str | None = None,
        name: str | None = None,
        version: int = 1,
        **unknown: Any,
    ) -> None:
        refuse_unknown(cls, unknown, ("to", "key", "name", "version"))
        super().__init_subclass__(name=name, version=version)
        if to is not None:
            cls.__to__ = to
        if key is not None:
            cls.__key__ = key

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if Command in cls.__bases__ and cls.__pydantic_generic_metadata__["origin"] is None:
            raise _no_reply(cls)
        if not is_generic(cls):
            check_command(cls)
            check_answers(cls, *answers(cls), Reply, Refusal)
            cls.__read_key__ = attrgetter(cls.__key__)


C = TypeVar("C", bound=Command[Any, Any])
C_co = TypeVar("C_co", bound=Command[Any, Any], covariant=True)
_undo_lock = threading.RLock()


class Undo(Command[None], Generic[C_co]):
    """Undo what the command did; goes where it went, under its key. `Undo[C]` is one class, in every thread."""

    __undoes__: ClassVar[type[Command[Any, Any]]]

    did: C_co

    def __class_getitem__(cls, undone: Any) -> Any:
        command: Any = undone
        if isinstance(undone, TypeVar | typing_TypeVar) or undone is Any:
            return super().__class_getitem__(command)
        line = _line_of_caller()
        if not is_command(command):
            raise DefinitionError(line, f"Undo takes one command, not {command}: write Undo[A] | Undo[B] for several")
        if issubclass(command, Undo):
            raise DefinitionError(line, f"{command.__name__} cannot be undone: undo the undo by doing it again")
        with _undo_lock:
            if "__undo__" not in vars(command):
                made: Any = super().__class_getitem__(command)
                _name_undo(made, command)
                setattr(command, "__undo__", made)  # noqa: B010 (no attribute of pydantic's model)
            return vars(command)["__undo__"]

    def __reduce__(self) -> tuple[Any, ...]:
        return _undo, (type(self).__undoes__, self.did)


def _name_undo(undo: type[Undo[Any]], command: type[Command[Any, Any]]) -> None:
    undo.__type_name__, undo.__type_version__ = UNDO + command.__type_name__, command.__type_version__
    undo.__to__, undo.__key__, undo.__undoes__ = command.__to__, command.__key__, command
    undo.__read_key__ = attrgetter(f"did.{command.__key__}")
    undo.__upcasts__ = command.__upcasts__.inside("did")


def _undo(command: type[Command[Any, Any]], did: Command[Any, Any]) -> Undo[Any]:
    undo: type[Undo[Any]] = cast("Any", Undo)[command]
    return undo(did=did)


def is_command(annotation: object) -> TypeGuard[type[Command[Any, Any]]]:
    """Whether it is the class of a command."""
    return isinstance(annotation, type) and issubclass(annotation, Command)


def answers(command: type[Command[Any, Any]]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The replies and the refusals that a command declares; a reply None stands as its type."""
    for base in command.__mro__:
        generic: Any = getattr(base, "__pydantic_generic_metadata__", {})
        if generic.get("origin") is Command:
            reply, refusal = generic["args"]
            return members(reply), () if refusal is Never else members(refusal)
    raise _no_reply(command)


def _no_reply(command: type[Command[Any, Any]]) -> DefinitionError:
    name = command.__name__
    return DefinitionError(
        definition_of(command).class_line, f"{name} declares no reply: class {name}(Command[Reply, Refusal], …)"
    )


def key_of(command: Command[Any, Any]) -> str:
    """The key of the entity that the command is about: its key field, as text.

    Raises:
        ValueError: it cannot be a key, see `check_key`.
    """
    key = type(command).__read_key__(command)
    text = key if type(key) is str else str(key.value if isinstance(key, enum.Enum) else key)
    if "\0" in text:  # a call for each command costs more than this look
        check_key(text)
    return text


def check_key(key: str) -> None:
    """Refuse what cannot be an entity's key.

    Raises:
        ValueError: it holds U+0000.
    """
    if "\0" in key:
        raise ValueError(f"key {key!r} contains U+0000: it separates keys from what stands behind them, remove it")


def _line_of_caller() -> Line:
    frame = sys._getframe(2)  # pyright: ignore[reportPrivateUsage] - the frame of the definition
    return Line(frame.f_code.co_filename, frame.f_lineno)
