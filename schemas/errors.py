"""The errors of messages and their bytes: one root, one tree.

::

    SchemaError
    ├── DecodeError
    │   ├── Undecodable           the bytes are no message, or not of the type they claim
    │   ├── UnknownSchema         the registry has no schema of that id
    │   └── UnknownType           the registry knows the type or version, this code does not
    ├── Unencodable               the message holds what its format cannot
    ├── FieldNotSupported         a field's type has no form in the format
    ├── SchemaConflict            two classes claim one type name and version
    └── SchemaInvalid             a schema's text is not one of ours

`DefinitionError`, which is none of these, is raised when a module is imported whose classes are declared wrongly
(`schemas.definition`).
"""

from __future__ import annotations

from typing import ClassVar


class SchemaError(Exception):
    """The root of all errors of `schemas` about data."""

    is_retryable: ClassVar[bool] = False
    """Whether the same call may succeed when it is made again."""


class DecodeError(SchemaError):
    """Bytes do not become a message."""


class Undecodable(DecodeError):
    """The bytes are no message, or not of the type they claim: dead-letter them."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} cannot be decoded: {why}")
        self.what, self.why = what, why


class UnknownSchema(DecodeError):
    """The registry has no schema of this id, also after it was read to its end."""

    is_retryable = True

    def __init__(self, id: int) -> None:
        super().__init__(
            f"no schema {id} in the registry: the producer uses another registry, or these bytes are no message"
        )
        self.id = id


class UnknownType(DecodeError):
    """The registry knows this type and version, this code does not: deploy code that has it."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(
            f"this code has no {name!r} of version {version}: deploy code that has it, or an upcast from it"
        )
        self.name, self.version = name, version


class Unencodable(SchemaError):
    """The message holds what its format cannot: correct the value."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} cannot be encoded: {why}")
        self.what, self.why = what, why


class FieldNotSupported(SchemaError):
    """A field's type has no form in the format: change the type, or choose format="json"."""

    def __init__(self, field: str, why: str, line: str = "") -> None:
        super().__init__(f"{line}{': ' if line else ''}{field} has no Avro form: {why}")
        self.field, self.why = field, why


class SchemaConflict(SchemaError):
    """Two classes claim one type name and version: rename one, or raise its version."""

    def __init__(self, name: str, version: int, one: str, other: str) -> None:
        super().__init__(
            f"{one} and {other} both claim {name!r} version {version}: give one another name=, or raise its version="
        )
        self.name, self.version = name, version


class SchemaInvalid(SchemaError):
    """A schema's text is not one of ours: it was registered under our subject by something else."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the schema is not a sagalog message's: {why}")
        self.why = why
