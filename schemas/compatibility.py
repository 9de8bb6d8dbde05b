"""Whether a schema may follow earlier ones of its subject.

A mode says who must be able to read what, as in Confluent's registry:

=====================  ======================================================================================
``backward``           the new schema reads what the last one wrote: readers are deployed first
``forward``            the last schema reads what the new one writes: writers are deployed first
``full``               both
``…_transitive``       the same for all earlier schemas, not only the last one
``none``               nothing is checked
=====================  ======================================================================================

The default is `backward_transitive`: an event store reads all that was ever written.

Schemas of one *type version* are compared (what Confluent calls a compatibility group). From one version to the
next, data is raised by upcasts, whatever changed; that these are there is checked where the classes are
(`schemas.serde`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias, get_args

from schemas.avro_shapes import avro_shape
from schemas.errors import Incompatible, SchemaInvalid
from schemas.json_shapes import json_shape
from schemas.resolution import Mismatch, mismatches
from schemas.schema import Schema
from schemas.shapes import Shape

Mode: TypeAlias = Literal[
    "none", "backward", "backward_transitive", "forward", "forward_transitive", "full", "full_transitive"
]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
DEFAULT_MODE: Final[Mode] = "backward_transitive"


@dataclass(frozen=True, slots=True)
class Problem:
    """One change that a mode forbids."""

    field: str
    """The path of the field: `lines[].sku`; empty for the record itself."""
    rule: str
    """Avro's name of the rule that is broken (`schemas.resolution`)."""
    old: str
    """The type before."""
    new: str
    """The type after."""
    direction: Literal["backward", "forward"]
    said: str

    def __str__(self) -> str:
        return f"{self.said} ({self.rule})"


def problems(new: Schema, old: Schema, mode: Mode) -> list[Problem]:
    """What the mode forbids of the change from one schema to another, whether it is transitive or not.

    Schemas of two formats are not compared, as a registry has no class to derive both from: whoever changes the format
    of a type that was written (`Serde`) leaves its fields as they are, or raises the version.
    """
    if mode == "none":
        return []
    if new.format != old.format:
        return []
    found: list[Problem] = []
    one, other = _shape(new.format, new.text), _shape(old.format, old.text)
    if mode.startswith(("backward", "full")):
        found += [_backward(each) for each in mismatches(one, other)]
    if mode.startswith(("forward", "full")):
        found += [_forward(each) for each in mismatches(other, one)]
    return found


def check(subject: str, new: Schema, earlier: Sequence[Schema], mode: Mode) -> None:
    """Check a schema against the earlier ones of its subject, the oldest first.

    Raises:
        Incompatible: names each field, its types before and after, and the rule.
    """
    group = [old for old in earlier if old.version == new.version and old.format == new.format]
    compared: Iterable[Schema] = reversed(group) if mode.endswith("_transitive") else group[-1:]
    found = dict.fromkeys(each for old in compared for each in problems(new, old, mode))
    if found:
        raise Incompatible(subject, new.version, mode, list(found))


@lru_cache(maxsize=1_024)
def _shape(format: Literal["avro", "json"], text: str) -> Shape:
    try:
        content = json.loads(text)
        return avro_shape(content) if format == "avro" else json_shape(content)
    except Exception as error:  # whatever is not where a schema has it
        raise SchemaInvalid(f"{type(error).__name__}: {str(error)[:200]}") from error


def _backward(each: Mismatch) -> Problem:
    name = each.field or "the record"
    if each.rule == "READER_FIELD_MISSING_DEFAULT_VALUE":
        said = f"field {name} ({each.reader}) was added without a default"
    elif each.rule == "MISSING_ENUM_SYMBOLS":
        said = f"field {name} ({each.reader}) lost {', '.join(each.lacking)}"
    else:
        said = f"field {name} was {each.writer}, is {each.reader}"
    return Problem(each.field, each.rule, each.writer, each.reader, "backward", said)


def _forward(each: Mismatch) -> Problem:
    name = each.field or "the record"
    if each.rule == "READER_FIELD_MISSING_DEFAULT_VALUE":
        said = f"field {name} ({each.reader}) was removed, and had no default"
    elif each.rule == "MISSING_ENUM_SYMBOLS":
        said = f"field {name}: earlier readers ({each.reader}) do not know {', '.join(each.lacking)}"
    else:
        said = f"field {name} was {each.reader}, is {each.writer}, which earlier readers do not read"
    return Problem(each.field, each.rule, each.reader, each.writer, "forward", said)
