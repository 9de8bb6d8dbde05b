"""Durable states: they decide on commands and change in place; the log keeps the newest state of each key, no events.

::

    class Totals(DurableState, name="totals"):
        count: int = 0
        amount: int = 0

        @decide
        def measured(self, command: Measure) -> Total:
            self.count += 1
            self.amount += command.amount
            return Total(count=self.count, amount=self.amount)

For counters, windows and whatever nobody asks the history of: one record is written for each key that a batch changed,
however many commands changed it. What is promised of commands that come twice is in `eventstore.processor.changelog`.

The annotations are the registration, as those of an `Aggregate`. A new key starts from the fields' defaults;
`self.delete()` brings it back to them. A refusal says that nothing happened: changing a field first and refusing then
is an error. So is what JSON would not give back as what it is: a NaN of an inner model, an instance of a subclass, what
its field does not take.

Bytes of a state, integers big-endian: `1 version:u16 JSON`, the object's members being the fields. `version` is the
class's: raise it when fields change. A state of an older version is read without the fields that are gone, those that
are new have their defaults; what meets a state of a newer version waits for code that has it (K7). A field whose type
changed needs another name.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, PrivateAttr, ValidationError

from eventstore.aggregate import handlers_of
from eventstore.component import Plan
from eventstore.entity_class import CONFIG, EntityType, check_defaults, check_name, name_of
from eventstore.errors import RefusedAfterChanging
from eventstore.handlers import Deciding, Handlers, is_refusal, reply
from eventstore.processor.port import DecideContext, NotKnownHere
from eventstore.state.errors import StateUndecodable
from schemas import Message, Refusal, Unencodable
from schemas.definition import DefinitionError, definition_of, line_of
from schemas.extras import json_reader
from schemas.kept_json import why_changed
from schemas.option_values import WHOLE, check_value

_HEADER = struct.Struct(">BH")


@dataclass(slots=True)
class _Entity:
    """What an instance knows besides its fields."""

    key: str = ""
    is_deleted: bool = False


class DurableType(EntityType):
    """The class of durable states."""

    __what__ = "durable state"
    __reserved__ = ("delete", "key")


class DurableState(BaseModel, metaclass=DurableType):
    """The state of one key, and the decisions on it."""

    model_config = CONFIG

    __durable__: ClassVar[str]
    __version__: ClassVar[int] = 1
    __partitions__: ClassVar[int | None] = None
    __processor__: ClassVar[DurableProcessor]

    if TYPE_CHECKING:
        _entity: _Entity = PrivateAttr()
    else:  # a slot costs a twentieth of a private attribute, and does not count for equality
        __slots__ = ("_entity",)

    def __init_subclass__(
        cls, *, name: str | None = None, version: int = 1, partitions: int | None = None, **unknown: Any
    ) -> None:
        """`name` names its topics and is where its commands go; `version`: of the fields, see the module;
        `partitions`: when the topics are created."""
        line = definition_of(cls).class_line
        if unknown:
            raise DefinitionError(
                line, f"{cls.__name__} has no option {next(iter(unknown))}=: it takes name=, version= and partitions="
            )
        check_value(cls.__name__, "version", version, WHOLE, line=line)
        check_value(cls.__name__, "partitions", partitions, WHOLE, or_none=True, line=line)
        if not 0 < version < 1 << 16:
            raise DefinitionError(line, f"{cls.__name__}: version={version} is no whole number from 1 to 65535")
        super().__init_subclass__()
        cls.__durable__ = name_of(cls) if name is None else name
        check_name(cls, cls.__durable__)
        cls.__version__, cls.__partitions__ = version, partitions

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        processor = cls.__processor__ = DurableProcessor(cls, _handlers(cls))
        try:
            processor.encode_state(processor.initial(""))
        except Unencodable as error:
            raise DefinitionError(definition_of(cls).class_line, f"the defaults of {error}") from error

    @classmethod
    def __component__(cls) -> Plan:
        processor = cls.__processor__
        return Plan(name=processor.name, messages=processor.messages, processors=(processor,))

    @property
    def key(self) -> str:
        """Whose state it is."""
        return _entity(self).key

    def delete(self) -> None:
        """Forget the state when the decision returns: the key is then as if it had never been."""
        _entity(self).is_deleted = True


def _handlers(cls: type[DurableState]) -> Handlers[Any]:
    handlers = Handlers[Any](cls.__name__, cls.__durable__, ())
    for kind, handler, local in handlers_of(cls):
        if kind == "evolve":
            raise DefinitionError(
                line_of(handler), f"{cls.__name__}.{handler.__name__} evolves, but a DurableState has no events"
            )
        handlers.add_decide(handler, local)
    check_defaults(cls, "key")
    return handlers


class DurableProcessor:
    """Runs a durable state's class in the kernel. The states are instances of the class, changed in place."""

    journal: Literal["state"] = "state"

    def __init__(self, durable: type[DurableState], handlers: Handlers[Any]) -> None:
        self.name, self.partitions = durable.__durable__, durable.__partitions__
        self.messages: Sequence[type[Message]] = handlers.messages()
        self._durable, self._handlers, self._version = durable, handlers, durable.__version__
        self._deciding = handlers.deciding
        self._refusing = frozenset(command for command, one in handlers.deciding.items() if _may_refuse(one))
        self._header = _HEADER.pack(1, self._version)
        self._write: Callable[..., bytes] = durable.__pydantic_serializer__.to_json
        validator, schema = durable.__pydantic_validator__, durable.__pydantic_core_schema__
        self._read = partial(json_reader(validator, schema, "forbid"), by_alias=False, by_name=True)
        self._read_older = partial(json_reader(validator, schema, "ignore"), by_alias=False, by_name=True)

    def initial(self, key: str) -> DurableState:
        """An instance of the defaults."""
        return _named(self._durable(), key)

    def decide(self, state: DurableState, message: Message, context: DecideContext[Any]) -> DurableState | None:
        """Call the command's handler and answer with what it returns.

        Raises:
            DecisionNotMade, AnswerNotDeclared, RefusedAfterChanging: the class is programmed wrongly.
        """
        deciding = self._deciding.get(type(message)) or self._handlers.for_command(message)
        before = self._text(state) if type(message) in self._refusing else b""
        answer = deciding.call(state, message, context)
        if before and is_refusal(answer) and (_entity(state).is_deleted or self._text(state) != before):
            raise RefusedAfterChanging(deciding.name, type(message).__name__, type(answer).__name__)
        reply(context, deciding, message, answer)
        return None if _entity(state).is_deleted else state

    def encode_state(self, state: DurableState) -> bytes:
        """The class's version and the fields.

        Raises:
            Unencodable: a field holds what would not be read back as what it is: nothing checks what is assigned, and a
                partition whose states cannot be read cannot be served.
        """
        text = self._text(state)
        try:
            back: DurableState = self._read(text)
            is_kept = vars(back) == vars(state)
        except ValidationError:
            is_kept = False
        if not is_kept and (why := why_changed(state, text, self._read)):
            raise Unencodable(type(state).__name__, why)
        return self._header + text

    def _text(self, state: DurableState) -> bytes:
        return self._write(state, by_alias=False, exclude_computed_fields=True)

    def decode_state(self, key: str, data: bytes) -> DurableState:
        """The instance that was encoded.

        Raises:
            NotKnownHere: newer code wrote it.
            StateUndecodable: the fields of this class cannot hold it.
        """
        layout, version = _HEADER.unpack_from(data)
        if layout != 1 or version > self._version:
            raise NotKnownHere(f"the state of {key!r} of {self.name} has version {version}, this code {self._version}")
        try:
            state = (self._read if version == self._version else self._read_older)(data[_HEADER.size :])
        except ValidationError as error:
            raise StateUndecodable(self.name, key, str(error)) from error
        return _named(state, key)


def _may_refuse(deciding: Deciding) -> bool:
    return any(issubclass(answer, Refusal) for answer in deciding.answers)


def _named(state: DurableState, key: str) -> DurableState:
    object.__setattr__(state, "_entity", _Entity(key))
    return state


def _entity(state: DurableState) -> _Entity:
    try:
        return state._entity  # pyright: ignore[reportPrivateUsage] - ours, hidden from users
    except AttributeError:  # made by hand, not by the processor
        return _named(state, "")._entity  # pyright: ignore[reportPrivateUsage]
