"""Personal data: fields that become unreadable everywhere when their subject's key is destroyed (rule E4).

::

    class CustomerRegistered(Event, name="customer.registered"):
        customer_id: str
        name: Personal[str] = personal(subject="customer_id")

    CustomerRegistered(customer_id="customer-17", name=Personal("Ada"))
    event.name.reveal()         # "Ada"; after store.forget("customer-17"): Redacted(subject="customer-17")

A `Personal` is *open* when a program makes it and *sealed* once it was encrypted, which happens where a message enters
(append, ask, `protect`). What is written is always the sealed form, in messages, snapshots, rows of views and dead
letters alike; an open one is refused by name. Sealed values are copied from message to message without a key. `reveal`
decrypts each time it is asked, so a value that was read before its subject was forgotten is redacted too.

Neither `repr` nor `str` show what it holds, nor do errors. It holds what JSON keeps: a value that would come back as
another one, or not at all, is refused when its field gets it. Its type is part of the schema.

Not promised: that what a program did with a revealed value is forgotten.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar, cast, get_args

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from schemas.errors import SchemaError
from schemas.json_shapes import PERSONAL_LOGICAL, apart
from schemas.personal_content import holds, read, taken, text_of
from schemas.sealing import parse, seal, unseal

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

SUBJECT_PROPERTY: Final = "sagalog.subject"
"""The property of a field's JSON schema that says which field names the subject."""
KIND: Final = "sagalog_kind"
"""Where pydantic's schema of personal data has the type that is sealed there."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """What stands for personal data whose key was destroyed, or is in another log."""

    subject: str
    is_forgotten: bool = True
    """False: this log never had the key, as for events that were imported from another one."""

    def __str__(self) -> str:
        return "[redacted]" if self.is_forgotten else "[key not here]"


class PersonalOpen(SchemaError):
    """Personal data that is not sealed would be written: have it sealed first."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where} holds personal data that is not sealed: append and ask seal what they are given; elsewhere call "
            "`await store.protect(message)` or `await service.protect(message)` first, or copy a field that is sealed"
        )
        self.where = where


class KeysNotAtHand(SchemaError):
    """Nothing in this process holds keys: reveal personal data while a service, client or store runs here."""

    def __init__(self, subject: str) -> None:
        super().__init__(
            f"nothing here holds the keys of personal data, which is wanted of {subject}: reveal it inside `async with "
            "service:` or `async with store:`, with SAGALOG_MASTER_KEY set"
        )
        self.subject = subject


class Keyring(Protocol):
    """Where the keys of subjects are found. Any thread."""

    def find(self, subject: str, key_id: bytes) -> bytes | None:
        """The key; None if it was destroyed or is not this keyring's."""
        ...

    def knows(self, subject: str, key_id: bytes) -> bool:
        """Whether the key is this keyring's, also if it was destroyed."""
        ...


_keyrings: list[Keyring] = []


def use_keyring(keyring: Keyring) -> None:
    """Let `reveal` look for keys here too. Key ids are unique, so the order does not count."""
    _keyrings.append(keyring)


def drop_keyring(keyring: Keyring) -> None:
    """Look there no more."""
    _keyrings.remove(keyring)


class Personal(Generic[T_co]):
    """A value that is personal data. Immutable; equal to another one if both are the same sealed, or the same open,
    value.
    """

    __slots__ = ("_kind", "_open", "_sealed")
    _kind: Any
    _open: Any
    _sealed: bytes | None

    def __init__(self, value: T_co) -> None:
        """Make an open one of a value."""
        _set(self, value, None, type(value))

    @classmethod
    def from_sealed(cls, sealed: bytes, kind: Any = Any) -> Personal[Any]:
        """The value of this sealed form. `kind`: the type that it is read as.

        Raises:
            PersonalDamaged: it is no sealed form.
        """
        parse(sealed)
        made: Personal[Any] = cls.__new__(cls)
        _set(made, None, sealed, kind)
        return made

    @property
    def is_sealed(self) -> bool:
        """Whether it is encrypted. What is read always is."""
        return self._sealed is not None

    @property
    def sealed(self) -> bytes:
        """The encrypted form, which is what is written.

        Raises:
            PersonalOpen: it has none yet.
        """
        if self._sealed is None:
            raise PersonalOpen("a value")
        return self._sealed

    @property
    def subject(self) -> str | None:
        """Whom it is about; None while it is open."""
        return None if self._sealed is None else parse(self._sealed).subject

    def reveal(self) -> T_co | Redacted:
        """The value, or that it can be read no more. May wait for the log, if its key is not at hand.

        Raises:
            KeysNotAtHand: nothing that runs in this process holds keys.
            PersonalOfOtherType: it was sealed as a value that the type does not take.
            PersonalDamaged: the ciphertext was changed.
            SchemaError, EventStoreError: the key cannot be unwrapped: a master key is missing here, or a wrong one; or
                nobody can tell whether it was destroyed, because the log is away (`KeysNotFollowed`, try again).
        """
        if self._sealed is None:
            return cast("T_co", self._open)
        sealed = parse(self._sealed)
        if not _keyrings:
            raise KeysNotAtHand(sealed.subject)
        for keyring in tuple(_keyrings):
            key = keyring.find(sealed.subject, sealed.key_id)
            if key is not None:
                return cast("T_co", read(unseal(sealed, key), self._kind, sealed.subject))
        is_forgotten = any(keyring.knows(sealed.subject, sealed.key_id) for keyring in tuple(_keyrings))
        return Redacted(sealed.subject, is_forgotten)

    def seal(self, *, subject: str, key_id: bytes, key: bytes) -> Personal[T_co]:
        """The same value, sealed. One that is sealed already stays as it is.

        Raises:
            Unencodable: it was given to no field, and JSON cannot hold it.
        """
        if self._sealed is not None:
            return self
        made: Personal[T_co] = cast("Any", Personal).__new__(Personal)
        _set(made, None, seal(text_of(self._open), subject=subject, key_id=key_id, key=key), self._kind)
        return made

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Personal is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"Personal is immutable: {name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Personal):
            return NotImplemented
        if self._sealed is not None or cast("Any", other)._sealed is not None:
            return bool(self._sealed == cast("Any", other)._sealed)
        return bool(self._open == cast("Any", other)._open)

    def __hash__(self) -> int:
        return hash(self._open if self._sealed is None else self._sealed)

    def __repr__(self) -> str:
        return "Personal(…)" if self._sealed is None else f"Personal(subject={self.subject!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._open, self._sealed, self._kind)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        kind = (get_args(source) or (Any,))[0]
        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_after_validator_function(
                lambda text: cls.from_sealed(_bytes_of(text), kind), core_schema.str_schema()
            ),
            python_schema=core_schema.no_info_plain_validator_function(lambda value: _taken(value, kind)),
            serialization=core_schema.plain_serializer_function_ser_schema(
                sealed_text, return_schema=core_schema.str_schema(), when_used="json"
            ),
            metadata={KIND: kind},
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        kind = schema.get("metadata", {}).get(KIND, Any)
        return {"type": "string", "format": PERSONAL_LOGICAL, **apart(holds(kind))}


def personal(*, subject: str, default: Any = ...) -> Any:
    """Declare a field of personal data. `subject`: the field of the same class that says whose it is."""
    return Field(default, json_schema_extra={SUBJECT_PROPERTY: subject})


def _set(made: Personal[Any], value: Any, sealed: bytes | None, kind: Any) -> None:
    for name, content in (("_open", value), ("_sealed", sealed), ("_kind", kind)):
        object.__setattr__(made, name, content)


def _restored(value: Any, sealed: bytes | None, kind: Any) -> Personal[Any]:
    made: Personal[Any] = cast("Any", Personal).__new__(Personal)
    _set(made, value, sealed, kind)
    return made


def _taken(value: Any, kind: Any) -> Personal[Any]:
    """What a program or Avro gives for a field."""
    if isinstance(value, bytes):
        return Personal[Any].from_sealed(value, kind)
    if not isinstance(value, Personal):
        raise ValueError(f"personal data is given as Personal(value), not as {type(value).__name__}")
    given: Personal[Any] = cast("Any", value)
    if given.is_sealed:
        return _restored(None, given.sealed, kind)
    return _restored(taken(given.reveal(), kind), None, kind)


def sealed_text(value: Personal[Any]) -> str:
    """The sealed form as text, for JSON."""
    return base64.urlsafe_b64encode(value.sealed).decode()


def _bytes_of(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text.encode())
    except (binascii.Error, ValueError):
        raise ValueError("it is no sealed personal data") from None
