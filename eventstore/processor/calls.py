"""Local calls on their way to the unit's loop: put by any thread, taken once per batch (K10)."""

from __future__ import annotations

from collections import deque
from threading import Condition

from eventstore.processor.inputs import Call


class Calls:
    """A queue of local calls."""

    def __init__(self) -> None:
        self._waiting: deque[Call] = deque()
        self._changed = Condition()
        self._closed = False
        self._wanted = 1

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, call: Call) -> bool:
        """Add a call and wake the loop. False: the queue was closed, the call was not taken."""
        with self._changed:
            if self._closed:
                return False
            self._waiting.append(call)
            if len(self._waiting) == self._wanted:
                self._changed.notify()
            return True

    def take(self, limit: int) -> list[Call]:
        """Up to `limit` calls, oldest first."""
        waiting = self._waiting
        if not waiting:
            return []
        with self._changed:
            return [waiting.popleft() for _ in range(min(limit, len(waiting)))]

    def put_back(self, calls: list[Call]) -> None:
        """Return calls that were taken and not handled, to the front."""
        with self._changed:
            self._waiting.extendleft(reversed(calls))

    def wait(self, timeout: float, *, count: int = 1) -> None:
        """Wait until there are `count` calls, or `timeout` seconds."""
        with self._changed:
            if len(self._waiting) < count and not self._closed:
                self._wanted = count
                self._changed.wait(timeout)
                self._wanted = 1

    def close(self) -> list[Call]:
        """Take no more; returns what waits."""
        with self._changed:
            self._closed = True
            waiting = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
            return waiting
