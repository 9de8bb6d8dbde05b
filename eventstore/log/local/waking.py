"""Waiting for records of a local log, or for changes of an assignment. Everything here runs under the broker's lock.

Who waits says for which partitions, so that a commit wakes those whom it concerns: each thread that wakes for nothing
takes the interpreter from the others.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from collections.abc import Set as AbstractSet


class Wake:
    """Those who wait, and what for."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._waiting: dict[threading.Condition, Collection[tuple[str, int]]] = {}

    def wait(self, seconds: float, partitions: Collection[tuple[str, int]]) -> None:
        """Wait for records of these partitions, or for anything else that changes."""
        woken = threading.Condition(self._lock)
        self._waiting[woken] = partitions
        try:
            woken.wait(seconds)
        finally:
            del self._waiting[woken]

    def notify(self, written: AbstractSet[tuple[str, int]]) -> None:
        """These partitions have new records."""
        for woken, partitions in self._waiting.items():
            if not written.isdisjoint(partitions):
                woken.notify()

    def notify_all(self) -> None:
        """Anything may have changed."""
        for woken in self._waiting:
            woken.notify()
