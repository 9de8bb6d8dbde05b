"""What the calls that attempted one append or one erasure say of it: whether it happened, and between which moments."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

from tests.chaos.streams.history import ANYTHING, NO_STREAM, Operation
from tests.chaos.streams.violations import Rule, Violation, violated


class Attempts(ABC):
    """The calls of one change of a stream."""

    calls: list[Operation]

    @property
    @abstractmethod
    def name(self) -> str:
        """What was attempted."""

    @property
    def acknowledged(self) -> list[Operation]:
        return [call for call in self.calls if call.outcome == "ok"]

    @property
    def effective(self) -> list[Operation]:
        """Calls that may have made it happen."""
        return [call for call in self.calls if call.outcome in ("ok", "unknown")]

    @property
    def began(self) -> float:
        """When it may have happened at the earliest."""
        return min((call.began for call in self.effective), default=-math.inf)

    @property
    def ended(self) -> float:
        """When it had happened at the latest, if it did."""
        return min((call.ended for call in self.acknowledged), default=math.inf)


def check_lost_races(attempts: Attempts) -> Iterator[Violation]:
    """A call that is told that it lost did not expect what it is told."""
    for call in attempts.calls:
        actual = call.result.version if call.result is not None else None
        if call.outcome == "lost" and actual is not None and fits(call.invoke.expected, actual):
            yield violated(Rule.EXPECTED, f"{attempts.name}: refused where it fits", call)


def fits(expected: int, head: int) -> bool:
    """Whether an append or erasure that expects this may come after version `head` (−1: no events)."""
    return expected == ANYTHING or (head == -1 if expected == NO_STREAM else head == expected)
