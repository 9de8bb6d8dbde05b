"""What the annotation of a field is made of."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from typing_extensions import TypeAliasType

_ALIASES: Final[tuple[type[Any], ...]] = (TypeAliasType, getattr(typing, "TypeAliasType", TypeAliasType))
"""Of the `type` statement, and of packages for earlier Pythons."""


def parts(annotation: Any, closed: type[Any]) -> Iterator[Any]:
    """An annotation and what it is made of, generics without arguments; what a `closed` holds is not looked into."""
    return (_origin(each) for each in _walk(annotation, closed, frozenset()))


def unions(annotation: Any, closed: type[Any]) -> Iterator[tuple[Any, ...]]:
    """The members of each union among its parts."""
    for each in _walk(annotation, closed, frozenset()):
        if _origin(each) in (typing.Union, types.UnionType):
            yield typing.get_args(each)


def _walk(annotation: Any, closed: type[Any], behind: frozenset[Any]) -> Iterator[Any]:
    """`behind`: names that were already looked behind, for an alias may name itself."""
    part = _origin(annotation)
    yield annotation
    if (meaning := _meaning(part)) is not None and part not in behind:
        yield from _walk(meaning, closed, behind | {part})
    if part is not closed:
        for argument in typing.get_args(annotation):
            yield from _walk(argument, closed, behind)


def _origin(annotation: Any) -> Any:
    origin = typing.get_origin(annotation)
    return annotation if origin is None else origin


def _meaning(name: Any) -> Any:
    """What an alias or a `NewType` stands for; None if it is none, or names what is not defined yet."""
    with suppress(NameError):
        if isinstance(name, typing.NewType):
            return name.__supertype__
        if isinstance(name, _ALIASES):
            return name.__value__
    return None
