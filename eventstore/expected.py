"""What an append expects of its stream.

It travels as one number: a version from 0, or

    -1  no stream       -2  an existing stream       -3  anything
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from eventstore.versions import is_version

P = ParamSpec("P")
R = TypeVar("R")


class Expected(Enum):
    """What is expected of a stream in place of a version."""

    NO_STREAM = "no stream"
    """It has no events."""
    STREAM_EXISTS = "an existing stream"
    """It has events, no matter how many."""
    ANY = "anything"
    """Nothing is expected."""


NO_STREAM: Final = Expected.NO_STREAM
STREAM_EXISTS: Final = Expected.STREAM_EXISTS
ANY: Final = Expected.ANY
_NUMBERS = {NO_STREAM: -1, STREAM_EXISTS: -2, ANY: -3}
NEVER: Final = -4
"""The number that no stream fits: nothing is appended, and an earlier append under the same id is told all the same."""
_GIVE = "give one from 0, an int, or NO_STREAM, STREAM_EXISTS or ANY; the greatest is 2**63 - 1"


def expects(function: Callable[P, R], /) -> Callable[P, R]:
    """Make a call without `expected=` say what it may be: Python says only that it is missing."""

    @wraps(function)
    def checked(*given: P.args, **options: P.kwargs) -> R:
        if "expected" not in options:
            raise TypeError(f"{function.__qualname__} has no expected=: {_GIVE}")
        return function(*given, **options)

    return checked


def number_of(expected: int | Expected) -> int:
    """What is expected, as the number that travels.

    Raises:
        TypeError: it is neither.
        ValueError: a number below −1 or above `LAST_VERSION`.
    """
    if isinstance(expected, Expected):
        return _NUMBERS[expected]
    if type(expected) is not int:
        raise TypeError(f"expected={expected!r} is no version: {_GIVE}")
    if not is_version(expected, least=-1):
        raise ValueError(f"expected={expected} is no version: {_GIVE}")
    return expected


def fits(expected: int, actual: int) -> bool:
    """Whether a stream at version `actual` (−1: no stream) is as expected."""
    match expected:
        case -3:
            return True
        case -2:
            return actual >= 0
        case _:
            return actual == expected
