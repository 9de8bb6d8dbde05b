"""Messages: their types, names and versions, how they are written, and how old ones become new. No Kafka here."""

from schemas.answers import Failure, Nothing
from schemas.definition import DefinitionError, Line, line_of
from schemas.errors import (
    DecodeError,
    FieldNotSupported,
    Incompatible,
    SchemaConflict,
    SchemaError,
    SchemaInvalid,
    Undecodable,
    Unencodable,
    UnknownSchema,
    UnknownType,
    UpcastMissing,
)
from schemas.messages import Command, Event, Message, Refusal, Reply, Undo, answers, is_command, key_of
from schemas.metadata import Handled, Metadata, ReplyTo
from schemas.personal_data import Personal, Redacted, personal
from schemas.registry import MemoryRegistry, Registered, Registry
from schemas.schema import Schema, TypeName
from schemas.serde import Serde

__all__ = [
    "Command",
    "DecodeError",
    "DefinitionError",
    "Event",
    "Failure",
    "FieldNotSupported",
    "Handled",
    "Incompatible",
    "Line",
    "MemoryRegistry",
    "Message",
    "Metadata",
    "Nothing",
    "Personal",
    "Redacted",
    "Refusal",
    "Registered",
    "Registry",
    "Reply",
    "ReplyTo",
    "Schema",
    "SchemaConflict",
    "SchemaError",
    "SchemaInvalid",
    "Serde",
    "TypeName",
    "Undecodable",
    "Undo",
    "Unencodable",
    "UnknownSchema",
    "UnknownType",
    "UpcastMissing",
    "answers",
    "is_command",
    "key_of",
    "line_of",
    "personal",
]
