"""A place in which a handler can run, and what its attempt is cancelled for.

A handler is cancelled by cancelling its runner's task. Why is noted before, because a cancellation says it to nobody;
the runner itself goes on with the next delivery.
"""

from __future__ import annotations

import asyncio

from consumers.delivery import Delivery


class Runner:
    """One of the `concurrency` places in which a handler can run."""

    __slots__ = ("delivery", "idle", "is_dropped", "is_late", "task", "turns")

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.delivery: Delivery | None = None
        self.idle: asyncio.Future[None] | None = None
        self.is_late = False
        """Whether its attempt was cancelled because of its time-out."""
        self.is_dropped = False
        """Whether its attempt was cancelled because the partition goes."""
        self.turns = 0

    def time_out(self) -> None:
        """Cancel the attempt: it takes too long."""
        if self.task is not None:
            self.is_late = True
            self.task.cancel()

    def drop(self) -> None:
        """Cancel the attempt: its partition goes."""
        if self.task is not None:
            self.is_dropped = True
            self.task.cancel()

    def clear(self) -> None:
        """Forget that the attempt was cancelled, also if the handler did not let itself be."""
        self.is_late = self.is_dropped = False
        while self.task is not None and self.task.cancelling():
            self.task.uncancel()
