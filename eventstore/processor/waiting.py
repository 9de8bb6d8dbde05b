"""Who waits for an answer: futures of asyncio loops, by the correlation of their question, each until its deadline.

Callers of one loop with the same patience stand in a line: whoever came first runs out of time first. So one timer per
line is enough, which looks at the first ones only, and a question costs no timer of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Generic, TypeAlias, TypeVar

from eventstore.processor.mailbox import Mailbox

T = TypeVar("T")


Waiter: TypeAlias = tuple[asyncio.Future[T], float]
"""Somebody who waits, and until when by the clock of the loop."""


class Line(Generic[T]):
    """Callers of one loop that wait equally long. Its loop's thread, save `waiters` and `mailbox`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, patience_s: float) -> None:
        self.loop, self.patience_s = loop, patience_s
        self.mailbox: Mailbox[T] = Mailbox(loop)
        self._waiters: dict[str, Waiter[T]] = {}
        self._is_watched = False

    @property
    def waiters(self) -> Mapping[str, Waiter[T]]:
        """Those who wait now, by correlation, in the order in which they came."""
        return self._waiters

    def join(self, correlation: str) -> asyncio.Future[T]:
        """A future of the answer; TimeoutError if none comes in time. Call `leave` in the end, whatever it gave."""
        loop = self.loop
        future: asyncio.Future[T] = loop.create_future()
        deadline = loop.time() + self.patience_s
        self._waiters[correlation] = future, deadline
        if not self._is_watched:
            self._watch(deadline)
        return future

    def leave(self, correlation: str) -> None:
        """Wait no more. An error that comes all the same, or came when nobody looked any more, is of no interest."""
        waiter = self._waiters.pop(correlation, None)
        if waiter is not None and not waiter[0].cancel() and not waiter[0].cancelled():
            waiter[0].exception()

    def _watch(self, deadline: float) -> None:
        self._is_watched = True
        self.loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        """Tell those whose time is over, and come back for the next."""
        now = self.loop.time()
        for future, deadline in self._waiters.values():
            if deadline > now:
                self._watch(deadline)
                return
            if not future.done():
                future.set_exception(TimeoutError())
        self._is_watched = False


class Waiting(Generic[T]):
    """All who wait for answers in this process. Any thread."""

    def __init__(self) -> None:
        self._lines: list[Line[T]] = []

    def __len__(self) -> int:
        return sum(len(line.waiters) for line in self._lines)

    def line(self, patience_s: float) -> Line[T]:
        """The line of the running loop for this patience."""
        loop = asyncio.get_running_loop()
        for line in self._lines:
            if line.loop is loop and line.patience_s == patience_s:
                return line
        line = Line[T](loop, patience_s)
        self._lines = [*(each for each in self._lines if not each.loop.is_closed()), line]
        return line

    def tell(self, correlation: str, result: T | BaseException) -> None:
        """Give somebody an answer or an error. Whoever does not wait any more is left alone."""
        found = self.find(correlation)
        if found is not None:
            found[1].put(found[0], result)

    def find(self, correlation: str) -> tuple[asyncio.Future[T], Mailbox[T]] | None:
        """The future of a question, and the way to it; None if nobody waits."""
        for line in self._lines:
            waiter = line.waiters.get(correlation)
            if waiter is not None:
                return waiter[0], line.mailbox
        return None

    def correlations(self) -> list[str]:
        """Of everybody who waits."""
        return [correlation for line in self._lines for correlation in list(line.waiters)]
