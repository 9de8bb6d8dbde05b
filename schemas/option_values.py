"""Values of options that are of another type than the option takes: refused where they are given, by name.

Type checkers see them before a program runs; without one they would show much later, and as something else: seconds in
place of a `timedelta`, a number of attempts in place of a `Retry`, a text in place of a list. What a value may be
within its type is said by whoever takes it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from schemas.definition import DefinitionError, Line


class Kind(NamedTuple):
    """What an option takes."""

    types: tuple[type, ...]
    noun: str
    example: str


DURATION = Kind((timedelta,), "timedelta", "timedelta(seconds=30)")
WHOLE = Kind((int,), "whole number", "4")
NUMBER = Kind((int, float), "number", "0.5")
TEXT = Kind((str,), "text", "'…'")
FLAG = Kind((bool,), "bool", "True")


def instance_of(kind: type, arguments: str) -> Kind:
    """An option that takes objects of a class; `arguments` of an example."""
    return Kind((kind,), kind.__name__, f"{kind.__name__}({arguments})")


def check_value(
    what: str, option: str, value: object, kind: Kind, *, or_none: bool = False, line: Line | None = None
) -> None:
    """Refuse a value of another type. `what` takes the option, such as `worker mailer`.

    Raises:
        TypeError: it is of another type; a `DefinitionError`, which is one, where `line` is given.
    """
    if (value is None and or_none) or (isinstance(value, kind.types) and (type(value) is not bool or kind is FLAG)):
        return
    none = ", or None" if or_none else ""
    _refuse(f"{what}: {option}={value!r} is no {kind.noun}: give {option}={kind.example}{none}", line)


def check_several(what: str, option: str, value: object, *, line: Line | None = None) -> None:
    """Refuse one thing where a list is taken; a text is one thing too.

    Raises:
        TypeError: it is no list; a `DefinitionError`, which is one, where `line` is given.
    """
    if isinstance(value, str | bytes | type) or not hasattr(value, "__iter__"):
        shown = value.__name__ if isinstance(value, type) else repr(value)
        _refuse(f"{what}: {option}={shown} is no list: give {option}=[{shown}]", line)


def _refuse(why: str, line: Line | None) -> None:
    raise TypeError(why) if line is None else DefinitionError(line, why)
