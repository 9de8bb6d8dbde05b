"""Make inputs of inbox records, timers and stashed records; tell the undecodable from those of unknown type (K7)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from eventstore.log.records import Record
from eventstore.processor.inputs import Input
from eventstore.processor.timers import Due
from schemas import Message, Metadata, Nothing, SchemaError, Serde, UnknownType


class NoMetadata(ValueError):
    """An inbox record has no `meta` header: whoever wrote it is no sagalog producer."""


class NoKey(ValueError):
    """An inbox record has no key, so nobody knows which entity it is for."""


class KeyHoldsNul(ValueError):
    """An inbox record's key holds U+0000, which separates keys from what stands behind them in rows."""


class Fault(Enum):
    """Why a record gave no input."""

    POISON = "cannot be decoded"
    STASH = "of a type that this code does not know"


@dataclass(frozen=True, slots=True)
class Unread:
    """A record that gave no input."""

    fault: Fault
    error: Exception
    stub: Input
    """As much of an input as could be made of it."""


_NOTHING = Nothing()


class Intake:
    """Decodes what comes in."""

    def __init__(self, serde: Serde) -> None:
        self._serde = serde

    def record(self, record: Record) -> Input | Unread:
        """An inbox record as an input."""
        metadata: Metadata | None = None
        try:
            for name, value in record.headers:
                if name == "meta":
                    metadata = Metadata.decode(value)
                    break
            else:
                raise NoMetadata(f"{record.topic}[{record.partition}] offset {record.offset} has no `meta` header")
            if record.key is None:
                raise NoKey(f"{record.topic}[{record.partition}] offset {record.offset} has no key")
            if b"\0" in record.key:
                raise KeyHoldsNul(f"{record.topic}[{record.partition}] offset {record.offset}: its key holds U+0000")
            if record.value is None:
                raise NoMetadata("the record has no value")
            message = self._serde.decode(record.value)
            return Input(record.key.decode(), message, metadata, record)
        except UnknownType as unknown:
            return Unread(Fault.STASH, unknown, _stub(record, metadata))
        except (SchemaError, ValueError) as error:
            return Unread(Fault.POISON, error, _stub(record, metadata))

    def whole(self, part: Input, data: bytes) -> Input | Unread:
        """The input whose last part came, given the bytes of all of them."""
        try:
            return Input(part.key, self._serde.decode(data), part.metadata)
        except SchemaError as error:
            return Unread(Fault.POISON, error, Input(part.key, _NOTHING, part.metadata))

    def timer(self, due: Due) -> Input | Unread:
        """A due timer as an input."""
        try:
            message: Message = self._serde.decode(due.payload)
        except SchemaError as error:
            return Unread(Fault.STASH, error, Input(due.key, _NOTHING, Metadata(id=due.id), timer=due.name))
        return Input(due.key, message, Metadata(id=due.id, type=message.__type_name__), timer=due.name)


def _stub(record: Record, metadata: Metadata | None) -> Input:
    given = metadata or Metadata(id=f"{record.topic}/{record.partition}/{record.offset}")
    return Input((record.key or b"").decode(errors="replace"), _NOTHING, given, record)
