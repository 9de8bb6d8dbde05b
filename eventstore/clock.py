"""Time as a port: the wall clock in production, a hand-set one in tests and simulation."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where loops read the time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some instant; never goes back."""
        ...


def seconds_of(timeout: object) -> float:
    """How long somebody will wait.

    Raises:
        TypeError: it is no timedelta.
    """
    if not isinstance(timeout, timedelta):
        raise TypeError(f"timeout={timeout!r} is no timedelta: give timeout=timedelta(seconds=…)")
    return timeout.total_seconds()


def due_ms(timer: str, at: object) -> int:
    """When a timer is due, in milliseconds since 1970-01-01 UTC.

    Raises:
        TypeError: it is no datetime.
        ValueError: it has no zone, or its name contains U+0000.
    """
    if "\0" in timer:
        raise ValueError(f"timer {timer!r}: its name contains U+0000, which separates it from the key: remove it")
    if not isinstance(at, datetime):
        raise TypeError(f"timer {timer!r}: {at!r} is no instant: give one, such as context.now + timedelta(hours=1)")
    if at.tzinfo is None:
        raise ValueError(f"timer {timer!r}: {at!r} has no zone: give tzinfo=UTC, or count from context.now")
    return int(at.timestamp() * 1000)


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that stands until it is moved."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start_ms = int(start.timestamp() * 1000)
        self._passed = timedelta()

    def now_ms(self) -> int:
        return self._start_ms + int(self._passed.total_seconds() * 1000)

    def monotonic(self) -> float:
        return self._passed.total_seconds()

    def advance(self, by: timedelta) -> None:
        """Move on by `by`, which is not negative."""
        if by < timedelta():
            raise ValueError(f"time does not go back: {by}")
        self._passed += by
