"""Decide whether, and after how long, what failed is tried again.

The delay before attempt n + 1 is `first × factor^(n−1)`, at most `cap`; `jitter` takes up to that share of it away at
random, so that what failed together does not come back together.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from random import Random

from schemas.option_values import DURATION, NUMBER, WHOLE, check_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often, and after which delays, a failed record or step is tried again."""

    attempts: int = 5
    """Attempts in total, the first included. At least 1."""
    first: timedelta = timedelta(seconds=1)
    """The delay after the first attempt."""
    factor: float = 2.0
    """How much longer each delay is than the one before. At least 1."""
    cap: timedelta = timedelta(hours=1)
    """The longest delay."""
    jitter: float = 0.2
    """The share of each delay, 0 to 1, that chance may take away."""

    def __post_init__(self) -> None:
        check_value("Retry", "attempts", self.attempts, WHOLE)
        check_value("Retry", "first", self.first, DURATION)
        check_value("Retry", "factor", self.factor, NUMBER)
        check_value("Retry", "cap", self.cap, DURATION)
        check_value("Retry", "jitter", self.jitter, NUMBER)
        if self.attempts < 1:
            raise ValueError(f"attempts={self.attempts}: the first attempt counts, so it is at least 1")
        if self.first < timedelta() or self.cap < self.first:
            raise ValueError(f"first={self.first}, cap={self.cap}: first is not negative and cap not below it")
        if self.factor < 1:
            raise ValueError(f"factor={self.factor}: a delay is not shorter than the one before, give at least 1")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter={self.jitter}: it is a share of the delay, from 0 to 1")

    def is_left(self, attempt: int) -> bool:
        """Whether there is another attempt after attempt number `attempt` (the first is 1)."""
        return attempt < self.attempts

    def delay(self, attempt: int, random: Random) -> timedelta:
        """How long to wait after attempt number `attempt` (the first is 1)."""
        full = self._seconds(attempt)
        return timedelta(seconds=full * (1 - self.jitter * random.random()))

    def _seconds(self, attempt: int) -> float:
        first, cap = self.first.total_seconds(), self.cap.total_seconds()
        try:
            return min(cap, first * self.factor ** (attempt - 1))
        except OverflowError:
            return cap if first else 0.0
