"""The time by which something is forgotten: a clock that jumps ahead must not make a process forget what it needs.

Until this machine's clock has been wrong for long enough to be noticed, outcomes of inputs would be dropped as if days
had passed, and a repeat would happen again. So what is forgotten follows the time that has really passed since a
partition was opened, which no setting of a clock changes. To forget late does no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

TOLERATED_MS: Final = 60 * 60 * 1000
"""By how much a clock may get ahead of the time that has passed; it may be set right while the process runs."""


class SteadyTime:
    """Milliseconds since 1970-01-01 UTC that advance as `monotonic` does, whatever the clock does."""

    def __init__(self, now_ms: int, monotonic: Callable[[], float]) -> None:
        self._began_ms, self._began, self._monotonic = now_ms, monotonic(), monotonic

    def not_ahead(self, now_ms: int) -> int:
        """What the clock says, or what has passed if that is clearly less."""
        passed_ms = self._began_ms + int((self._monotonic() - self._began) * 1000)
        return now_ms if now_ms <= passed_ms + TOLERATED_MS else passed_ms
