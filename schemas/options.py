"""Keywords that are misspelt or left out: Python does not say which one was meant.

What type checkers say stays as it is: all of this looks at keywords when a program runs. Each refusal is a
`DefinitionError` with the line of the call or class, and so a `TypeError`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from schemas.definition import DefinitionError, Line
from schemas.suggestions import keyword_hint

P = ParamSpec("P")
R = TypeVar("R")


def knows_its_options(function: Callable[P, R], /) -> Callable[P, R]:
    """Make a function with keyword-only options say which one was meant: by a misspelt keyword, or without one."""
    parameters = inspect.signature(function).parameters.values()
    known = {one.name: one.default is one.empty for one in parameters if one.kind is one.KEYWORD_ONLY}
    named = {one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD}
    most = sum(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) for one in parameters)
    takes_more = any(one.kind is one.VAR_POSITIONAL for one in parameters)
    called = function.__qualname__.removesuffix(".__init__")

    @wraps(function)
    def checked(*given: P.args, **options: P.kwargs) -> R:
        if not options.keys() <= {*known, *named}:
            refuse_options(called, {name: options[name] for name in options if name not in named}, known, depth=2)
        if len(given) > most and not takes_more:
            raise DefinitionError(_line_above(2), f"{called} takes options by name: {_unnamed(known, options)}")
        return function(*given, **options)

    return checked


def refuse_options(called: str, options: Mapping[str, Any], known: Collection[str], *, depth: int) -> None:
    """Refuse keywords that are not known; `depth` calls up stands the line to change.

    Raises:
        DefinitionError: one is not.
    """
    for option in options:
        if option not in known:
            raise DefinitionError(
                _line_above(depth + 1), f"{called} has no option {option}=: {keyword_hint(option, known)}"
            )


def _line_above(depth: int) -> Line:
    frame = sys._getframe(depth)  # pyright: ignore[reportPrivateUsage] - the frame of the call
    return Line(frame.f_code.co_filename, frame.f_lineno)


def _unnamed(known: Mapping[str, bool], options: Collection[str]) -> str:
    """What to write for a value without a name: the options that are needed and not given, or all that there are."""
    needed = [name for name, is_needed in known.items() if is_needed and name not in options]
    return f"write {needed[0]}=…" if needed else f"it has {', '.join(f'{name}=' for name in known)}"
