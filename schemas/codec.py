"""What a format is to the serde: it derives schemas, and makes the functions that encode and decode one type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from pydantic import BaseModel

from schemas.definition import DefinitionError, definition_of
from schemas.evolution import Fields
from schemas.messages import Message
from schemas.schema import Format, Schema

Encode: TypeAlias = Callable[[Any], bytes]
"""A message to its bytes on the wire, header included."""
Decode: TypeAlias = Callable[[bytes], Message]
"""The bytes on the wire, header included, to a message."""
Read: TypeAlias = Callable[[bytes], Fields]
"""The bytes on the wire, header included, to the fields that they hold."""


class Codec(Protocol):
    """One format. What its functions raise on bad data is any `Exception`; the serde names it."""

    format: Format

    def schema_of(self, message: type[Message]) -> Schema:
        """The schema that messages of the class are written with, now.

        Raises:
            FieldNotSupported: a field has no form in the format.
            DefinitionError: an annotation of the class cannot be resolved.
        """
        ...

    def encoder(self, message: type[Message], header: bytes) -> Encode:
        """The function that writes messages of the class, each with this header."""
        ...

    def decoder(self, message: type[Message], writer: Schema) -> Decode:
        """The function that reads as messages of the class what was written with the schema."""
        ...

    def reader(self, writer: Schema) -> Read:
        """The function that reads the fields of what was written with the schema, whatever class it was.

        They may say by more than their content what they are; `load` of the same codec knows.
        """
        ...

    def load(self, model: type[BaseModel], fields: Fields) -> BaseModel:
        """The model that holds the fields of `reader`, raised or not; those that it does not have are left out."""
        ...


def complete(message: type[Message]) -> None:
    """Make sure that all annotations of the class are resolved.

    Raises:
        DefinitionError: names what is not there.
    """
    if message.__pydantic_complete__:
        return
    definition = definition_of(message)
    try:
        message.model_rebuild(_types_namespace=definition.locals)
    except NameError as unknown:
        raise DefinitionError(
            definition.class_line,
            f"{unknown.name!r}, which {message.__name__} names, is not defined: import it outside "
            "`if TYPE_CHECKING:`, or define it in the same scope",
        ) from unknown
