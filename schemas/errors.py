"""The errors of messages and their bytes: one root, one tree.

::

    SchemaError
    ├── DecodeError
    │   ├── Undecodable           the bytes are no message, or not of the type they claim
    │   ├── UnknownSchema         the registry has no schema of that id
    │   └── UnknownType           the registry knows the type or version, this code does not
    ├── Unencodable               the message holds what its format cannot
    ├── FieldNotSupported         a field's type has no form in the format
    ├── PersonalOpen, PersonalOfAnother, PersonalOfOtherType, PersonalDamaged, SubjectMissing, KeysNotAtHand,
    │   CryptoMissing             personal data, see `schemas.personal_data`, `…_fields`, `…_content`, `schemas.sealing`
    ├── SchemaConflict            two classes claim one type name and version
    ├── Incompatible              the subject's mode forbids a schema after earlier ones
    ├── UpcastMissing             nothing leads from an older version in the registry to the class's
    └── SchemaInvalid             a schema's text is not one of ours

`DefinitionError`, which is none of these, is raised when a module is imported whose classes are declared wrongly
(`schemas.definition`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from schemas.compatibility import Problem


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

    def __init__(self, id: int, *, asked: str = "") -> None:
        """`asked`: what to call the registry, where the caller chooses it."""
        which = f" ({asked})" if asked else ""
        then = "; name the producer's registry by --registry (registry=) or SAGALOG_REGISTRY" if asked else ""
        super().__init__(
            f"no schema {id} in the registry{which}: the producer uses another registry, or these bytes are no "
            f"message{then}"
        )
        self.id, self.asked = id, asked


class UnknownType(DecodeError):
    """The registry knows this type and version, this code does not: deploy code that has it.

    A newer version than the code has is never cast down: what it means is known to newer code only.
    """

    def __init__(self, name: str, version: int, known: Sequence[int] = ()) -> None:
        has = f"it has version {' and '.join(map(str, known))}" if known else "it has no version of it"
        super().__init__(
            f"this code has no {name!r} of version {version} ({has}): deploy code that has it, or an upcast "
            f"from it; if its class is in this code, it is missing in events=[…] of the store that reads it"
        )
        self.name, self.version, self.known = name, version, tuple(known)
        """`known`: the versions that this code has classes of."""


class Unencodable(SchemaError):
    """The message holds what its format cannot: correct the value."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} cannot be encoded: {why}")
        self.what, self.why = what, why


class FieldNotSupported(SchemaError):
    """A field's type has no form in the format: give it one that has, or put a model in its place."""

    def __init__(self, field: str, why: str, line: str = "", *, format: str = "Avro") -> None:
        super().__init__(f"{line}{': ' if line else ''}{field} has no {format} form: {why}")
        self.field, self.why = field, why


class SchemaConflict(SchemaError):
    """Two classes claim one type name and version: rename one, or raise its version."""

    def __init__(self, name: str, version: int, one: str, other: str) -> None:
        super().__init__(
            f"{one} and {other} both claim {name!r} version {version}: give one another name=, or raise its version="
        )
        self.name, self.version = name, version


class Incompatible(SchemaError):
    """The subject's compatibility mode forbids this schema after the earlier ones: the message names each field.

    Change it back or give the field a default; or raise the class's version= and add an upcast.
    """

    def __init__(self, subject: str, version: int, mode: str, problems: Sequence[Problem | str]) -> None:
        changes = "; ".join(map(str, problems))
        super().__init__(
            f"{subject} version {version} is not {mode}-compatible with what is registered: {changes}: undo that, or "
            f"give the class version={version + 1} and an upcast from {version}"
        )
        self.subject, self.version, self.mode, self.problems = subject, version, mode, tuple(problems)


class UpcastMissing(SchemaError):
    """Nothing leads from an older version in the registry to the class's: add the upcast, or keep the old class."""

    def __init__(self, owner: str, name: str, version: int, older: int, changes: Sequence[Problem | str] = ()) -> None:
        what = f" ({'; '.join(map(str, changes))})" if changes else ""
        super().__init__(
            f"{name!r} of version {older} may be in the log, and no steps lead from it to version {version}{what}: add "
            f"@{owner}.upcast(from_version={older}), or make the class of version {older} known too"
        )
        self.name, self.version, self.older, self.changes = name, version, older, tuple(changes)


class SchemaInvalid(SchemaError):
    """A schema's text is not one of ours: it was registered under our subject by something else."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the schema is not a sagalog message's: {why}")
        self.why = why
