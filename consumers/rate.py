"""Limit how often a worker starts a handler, per process.

A token bucket (generic cell rate algorithm): starts are spread evenly; after a pause up to a tenth of a second's
worth of them may come at once, so that late wake-ups do not lower the rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from schemas.option_values import DURATION, WHOLE, check_value

BURST_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` starts per `per`, in each process."""

    count: int
    per: timedelta

    def __post_init__(self) -> None:
        check_value("Rate", "count", self.count, WHOLE)
        check_value("Rate", "per", self.per, DURATION)
        if self.count < 1 or self.per <= timedelta():
            raise ValueError(f"Rate({self.count}, per={self.per}): give at least 1 per a time longer than nothing")


class Bucket:
    """Says when the next start is allowed."""

    def __init__(self, rate: Rate) -> None:
        self._interval = rate.per.total_seconds() / rate.count
        self._next = float("-inf")

    def delay(self, now: float) -> float:
        """Seconds until a start is allowed; 0 if it is now."""
        return max(0.0, self._next - now)

    def take(self, now: float) -> None:
        """Something was started."""
        self._next = max(self._next, now - max(0.0, BURST_SECONDS - self._interval)) + self._interval
