"""Keywords that are misspelt: Python says that it does not know them, and not which one was meant.

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
    """Make a function with keyword-only options say which one a misspelt keyword may have meant."""
    parameters = inspect.signature(function).parameters.values()
    known = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]
    named = {one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD}
    called = function.__qualname__.removesuffix(".__init__")

    @wraps(function)
    def checked(*given: P.args, **options: P.kwargs) -> R:
        if not options.keys() <= {*known, *named}:
            refuse_options(called, {name: options[name] for name in options if name not in named}, known, depth=2)
        return function(*given, **options)

    return checked


def refuse_options(called: str, options: Mapping[str, Any], known: Collection[str], *, depth: int) -> None:
    """Refuse keywords that are not known; `depth` calls up stands the line to change.

    Raises:
        DefinitionError: one is not.
    """
    for option in options:
        if option not in known:
            frame = sys._getframe(depth)  # pyright: ignore[reportPrivateUsage] - the frame of the call
            line = Line(frame.f_code.co_filename, frame.f_lineno)
            raise DefinitionError(line, f"{called} has no option {option}=: {keyword_hint(option, known)}")
