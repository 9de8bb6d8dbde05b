"""How long a unit waits between batches, and for what: a loop can wait for one thing only.

Local calls are waited for while most of what came lately was local calls, and one came within the last second: then
the inbox is looked into at short intervals. Else it is the other way round. Pauses grow while nothing comes.
"""

from __future__ import annotations

from eventstore.clock import Clock
from eventstore.processor.calls import Calls

GATHER_SECONDS = 0.0015
"""How long a batch waits for callers that were just answered to call again: one commit then serves them all."""
BUSY_SECONDS = 0.0005
IDLE_SECONDS = 0.02
LOCAL_SECONDS = 1.0
"""How long after a local call the next one is expected."""
LOCAL_IDLE_SECONDS = 0.004
"""The longest pause in this time, whichever is waited for."""
MEMORY = 0.75
"""Weight of earlier batches beside the newest: a saga is started by one local call and goes on with several records."""


class Pace:
    """The pauses of one unit's loop."""

    def __init__(self, clock: Clock, calls: Calls) -> None:
        self._clock, self._calls = clock, calls
        self._pause = BUSY_SECONDS
        self._called_at = -LOCAL_SECONDS
        self._share_of_calls = 1.0
        """Of what batches began with lately; between 0, records of the inbox, and 1, local calls."""
        self._returning = 0

    def gather(self) -> None:
        """Give callers that the last batch answered the time to call again."""
        if self._returning > 1:
            self._calls.wait(GATHER_SECONDS, count=self._returning)
        self._returning = 0

    def answered(self, callers: int) -> None:
        """So many callers were just answered."""
        self._returning = callers

    def took(self, *, calls: int, records: int) -> None:
        """A batch took so many local calls and records of the inbox."""
        if calls:
            self._called_at = self._clock.monotonic()
        if calls or records:
            share = calls / (calls + records)
            self._share_of_calls = MEMORY * self._share_of_calls + (1 - MEMORY) * share

    def patience(self, timeout: float) -> float:
        """How long to wait for inbox records: not at all while there is other work, or local calls are waited for."""
        if self._calls or self._is_local() or self._pause == BUSY_SECONDS:
            return 0.0
        return min(timeout, self._next_pause())

    def worked(self) -> None:
        """There was something to do: there may be more."""
        self._pause = BUSY_SECONDS

    def idle(self, timeout: float) -> None:
        """There was nothing to do: wait for local calls, if it is their turn, and wait longer next time."""
        if self._is_local():
            self._calls.wait(min(timeout, self._next_pause()))
        self._pause = min(self._pause * 1.5, IDLE_SECONDS)

    def _is_local(self) -> bool:
        return self._share_of_calls >= 0.5 and self._was_called()

    def _next_pause(self) -> float:
        """While both may come, neither waits long for the other."""
        return min(self._pause, LOCAL_IDLE_SECONDS) if self._was_called() else self._pause

    def _was_called(self) -> bool:
        return self._clock.monotonic() - self._called_at < LOCAL_SECONDS
