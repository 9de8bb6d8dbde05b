"""Local calls on their way to the unit's loop: put by any thread, taken once per batch (K10).

To put one takes no lock, unless the loop waits for it: the queue's own operations are atomic. Whoever puts looks at
what the loop waits for after the call is in the queue; the loop looks at the queue after it has said what it waits for.
So one of the two sees the other.
"""

from __future__ import annotations

import sys
from collections import deque
from threading import Condition

from eventstore.processor.append_call import AppendCall
from eventstore.processor.inputs import AnyCall

_NOBODY_WAITS = sys.maxsize


class Calls:
    """A queue of local calls."""

    def __init__(self) -> None:
        self._waiting: deque[AnyCall] = deque()
        self._changed = Condition()
        self._closed = False
        self._wanted = _NOBODY_WAITS

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, call: AnyCall) -> bool:
        """Add a call and wake the loop. False: the queue was closed, the call was not taken."""
        waiting = self._waiting
        waiting.append(call)
        if self._closed:
            return not self._is_left(call)
        if len(waiting) >= self._wanted:
            with self._changed:
                if len(waiting) >= self._wanted:
                    self._wanted = _NOBODY_WAITS
                    self._changed.notify()
        return True

    def take(self, limit: int) -> list[AnyCall]:
        """Up to `limit` calls, oldest first."""
        waiting = self._waiting
        return [waiting.popleft() for _ in range(min(limit, len(waiting)))]

    def put_back(self, calls: list[AnyCall]) -> None:
        """Return calls that were taken and not answered, to the front. They may have happened."""
        for call in calls:
            if type(call) is AppendCall:
                call.is_new = False
        self._waiting.extendleft(reversed(calls))

    def wait(self, timeout: float, *, count: int = 1) -> None:
        """Wait until there are `count` calls, or `timeout` seconds."""
        with self._changed:
            self._wanted = count
            if len(self._waiting) < count and not self._closed:
                self._changed.wait(timeout)
            self._wanted = _NOBODY_WAITS

    def close(self) -> list[AnyCall]:
        """Take no more; returns what waits."""
        with self._changed:
            self._closed = True
            waiting = self.take(len(self._waiting))
            self._changed.notify_all()
            return waiting

    def _is_left(self, call: AnyCall) -> bool:
        """Take a call out that came while the queue was closed. False: `close` has it."""
        with self._changed:
            is_left = any(each is call for each in tuple(self._waiting))
            if is_left:
                self._waiting.remove(call)
            return is_left
