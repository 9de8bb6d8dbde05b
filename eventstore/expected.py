"""What an append expects of its stream."""

from __future__ import annotations

from enum import Enum
from typing import Final


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
