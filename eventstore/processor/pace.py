"""How long a unit waits between batches, and for what: a loop can wait for one thing only.

For a while after a local call the next one is waited for, and the inbox is looked into at short intervals. After that
it is the other way round. Pauses grow while nothing comes.
"""

from __future__ import annotations

from eventstore.clock import Clock
from eventstore.processor.calls import Calls

GATHER_SECONDS = 0.0015
"""How long a batch waits for callers that were just answered to call again: one commit then serves them all."""
BUSY_SECONDS = 0.0005
IDLE_SECONDS = 0.02
LOCAL_SECONDS = 1.0
"""How long after a local call the next one is waited for."""
LOCAL_IDLE_SECONDS = 0.004


class Pace:
    """The pauses of one unit's loop."""

    def __init__(self, clock: Clock, calls: Calls) -> None:
        self._clock, self._calls = clock, calls
        self._pause = BUSY_SECONDS
        self._called_at = -LOCAL_SECONDS
        self._returning = 0

    def gather(self) -> None:
        """Give callers that the last batch answered the time to call again."""
        if self._returning > 1:
            self._calls.wait(GATHER_SECONDS, count=self._returning)
        self._returning = 0

    def answered(self, callers: int) -> None:
        """So many callers were just answered."""
        self._returning = callers

    def called(self) -> None:
        """Local calls came."""
        self._called_at = self._clock.monotonic()

    def patience(self, timeout: float) -> float:
        """How long to wait for inbox records: not at all while there is other work, or local calls are waited for."""
        if self._calls or self._is_local() or self._pause == BUSY_SECONDS:
            return 0.0
        return min(timeout, self._pause)

    def worked(self) -> None:
        """There was something to do: there may be more."""
        self._pause = BUSY_SECONDS

    def idle(self, timeout: float) -> None:
        """There was nothing to do: wait for local calls, if it is their turn, and wait longer next time."""
        if self._is_local():
            self._calls.wait(min(self._pause, timeout, LOCAL_IDLE_SECONDS))
        self._pause = min(self._pause * 1.5, IDLE_SECONDS)

    def _is_local(self) -> bool:
        return self._clock.monotonic() - self._called_at < LOCAL_SECONDS
