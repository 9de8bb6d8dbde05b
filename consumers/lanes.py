"""Keep the order of each key while different keys run at the same time.

A lane is the chain of a key's deliveries within one partition. Only its head is ever ready, running or waiting; it
goes on when the head is finished. A head that waits for its next attempt holds up its own lane and no other.

Used by the handlers' thread only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import count
from math import inf

from consumers.delivery import Delivery


class Lanes:
    """Which deliveries may start, and which have to wait."""

    def __init__(self) -> None:
        self.ready: deque[Delivery] = deque()
        """Heads that may start, oldest first."""
        self._waiting: list[tuple[float, int, Delivery]] = []
        self._numbers = count()

    def add(self, deliveries: Iterable[Delivery]) -> None:
        """Take in deliveries, in order."""
        ready = self.ready.append
        for delivery in deliveries:
            lane = delivery.lane
            if lane is None:
                ready(delivery)
                continue
            lanes = delivery.share.lanes
            tail = lanes.get(lane)
            lanes[lane] = delivery
            if tail is None:
                ready(delivery)
            else:
                tail.next = delivery

    def take(self) -> Delivery | None:
        """The next head to start; None if there is none. What belongs to closed partitions is dropped."""
        ready = self.ready
        while ready:
            delivery = ready.popleft()
            if not delivery.share.is_closed:
                return delivery
        return None

    def finish(self, delivery: Delivery) -> None:
        """A head is done: the next of its lane may start."""
        following = delivery.next
        if following is not None:
            delivery.next = None
            self.ready.append(following)
        elif delivery.lane is not None:
            del delivery.share.lanes[delivery.lane]

    def wait(self, delivery: Delivery, due: float) -> None:
        """A head has to wait until `due`; its lane waits with it."""
        heappush(self._waiting, (due, next(self._numbers), delivery))

    def wake(self, now: float) -> None:
        """Heads whose time has come may start."""
        while self._waiting and self._waiting[0][0] <= now:
            self.ready.append(heappop(self._waiting)[2])

    @property
    def next_due(self) -> float:
        """When the first waiting head may start; infinity if none waits."""
        return self._waiting[0][0] if self._waiting else inf

    def delayed(self, now: float) -> int:
        """How many deliveries wait for a time after `now`, those behind a waiting head included. Any thread."""
        return sum(_chain(head) for due, _, head in list(self._waiting) if due > now and not head.share.is_closed)


def _chain(head: Delivery) -> int:
    length, delivery = 1, head.next
    while delivery is not None:
        length, delivery = length + 1, delivery.next
    return length
