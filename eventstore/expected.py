"""What an append expects of its stream.

It travels as one number: a version from 0, or

    -1  no stream       -2  an existing stream       -3  anything
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from eventstore.versions import is_version


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
