"""Notice that a topic was deleted and made again while it is followed.

Under the same name the log then has other events at the same offsets, and a reader of offsets hears nothing of it. The
topic's id tells. To look at it takes a few small requests, so it is done every 5 seconds while somebody reads, and when
reading fails. What was read before a look is shown after it, so a reader that takes longer than that for a page is
shown nothing of the new topic. Whoever is faster may have been shown what it got in the 5 seconds, and as long as the
log takes to answer: positions after that are of the old generation, and refused.

The look is on a thread of its own: a log that does not answer holds back what was read for half a second, once a look.
"""

from __future__ import annotations

import asyncio

from eventstore.component import Host
from eventstore.errors import PositionRefused
from eventstore.log.errors import LogError, TopicMissing
from eventstore.streams import Position

LOOK_SECONDS = 5.0
"""The longest time between two looks while somebody reads, beside what the log takes to answer."""
HOLD_SECONDS = 0.5
"""So long what was read is held back for an answer."""
MISSES = 2
"""In so many looks in a row there must be no topic: a broker that starts may not have heard of it."""


class TopicIdentity:
    """The id of a topic that is followed. One task at a time."""

    def __init__(self, host: Host, topic: str, id: str) -> None:
        """`id`: that of the topic whose records are wanted."""
        self._host, self._topic, self._id = host, topic, id
        self._look_at, self._misses = self._next(), 0
        self._look: asyncio.Task[str | None] | None = None

    async def watch(self, at: Position) -> None:
        """Look if it is time to. `at`: how far the topic was shown.

        Raises:
            PositionRefused: it was made again.
            TopicMissing: it was deleted.
        """
        if self._look is None:
            if self._host.clock.monotonic() < self._look_at:
                return
            self._look = asyncio.create_task(asyncio.to_thread(self._seen))
            await asyncio.wait({self._look}, timeout=HOLD_SECONDS)
        if self._look.done():
            seen, self._look = self._look.result(), None
            self._look_at = self._next()
            self._compare(seen, at)

    async def failed(self, at: Position) -> None:
        """Look at once: reading failed.

        Raises:
            PositionRefused: it failed because the topic was made again.
        """
        seen = await asyncio.to_thread(self._seen)
        if seen is not None:
            self._compare(seen, at)

    def close(self) -> None:
        """Wait for no answer any more."""
        if self._look is not None:
            self._look.cancel()

    def _next(self) -> float:
        return self._host.clock.monotonic() + LOOK_SECONDS

    def _seen(self) -> str | None:
        """The id that the topic has, None if there is none; the one it had where the log does not tell."""
        try:
            found = self._host.log.describe([self._topic]).get(self._topic)
        except LogError:
            return self._id
        return None if found is None else found.id

    def _compare(self, seen: str | None, at: Position) -> None:
        self._misses = self._misses + 1 if seen is None else 0
        if self._misses >= MISSES:
            raise TopicMissing(self._topic)
        if seen is not None and seen != self._id:
            raise of_another_topic(self._topic, at, seen)


def of_another_topic(topic: str, at: Position, now: str) -> PositionRefused:
    """The error for a position of another generation than `now`, the one that the topic is of."""
    why = f"it is of generation {at.generation}, the topic that is there now is {now}"
    return PositionRefused(topic, at, f"{why}: it was deleted and made again, or this is another log")
