"""Whether the operations on one stream are linearizable. The answer is exact.

Linearizable means: each operation takes effect at one moment between its begin and its end, and what all of them
answered is what a stream that does them one after the other, in the order of those moments, would have answered.

In general one has to search for such an order. Here the log tells it: a stream only grows, and the events of an append
stand in it at versions of their own. So each operation has a *point* on one line:

- an append whose last event has version v is at 2v;
- whoever saw that the head was version v (a consistent read, an append that lost its race) is at 2v + 1: after the
  append that made v, before the next one;
- whoever saw only that the head was between two versions (a read with a limit) has a range of points.

An order of the operations gives the right answers if and only if points do not fall in it: appends have points of
their own, and observers at one point change nothing, so they may stand in any order. An order fits the clock if no
operation that ended before another one began comes after it: then each gets a moment in its interval, the latest begin
so far. So the operations are linearizable if and only if points can be chosen from the ranges such that none that ended
before another one began has the higher one.

*If no pair contradicts, there is such a choice.* X and Y contradict if X ended before Y began and the lowest point of X
is above the highest of Y. If no pair does, give each Y the highest among its own lowest point and those of all X
that ended before Y began (an observer that gets an append's point in this way stands just behind it). That is in Y's
range, else Y and one X contradict. And if X ended before Y began, then so did all that ended before X began: Y's point
is not below X's. Appends keep their points, as their ranges are single ones. Hence to look at pairs is enough, and one
pass over the operations by time finds a pair if there is one.

An append of unknown outcome that is in the log happened, at some time after it began: it ends never. One that is not in
the log has no point and says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tests.chaos.streams.history import Operation


@dataclass(frozen=True, slots=True)
class Point:
    """Where an operation stands: a range on the stream's line, and an interval of time."""

    lowest: float
    highest: float
    began: float
    ended: float
    operations: tuple[Operation, ...] = ()


def appended(version: int, began: float, ended: float, *operations: Operation) -> Point:
    """An append whose last event has this version."""
    return Point(2 * version, 2 * version, began, ended, operations)


def saw_head(lowest: float, highest: float, began: float, ended: float, *operations: Operation) -> Point:
    """Who saw that the head was one of these versions; −1: no events."""
    return Point(2 * lowest + 1, 2 * highest + 1, began, ended, operations)


def contradictions(points: Iterable[Point]) -> list[tuple[Point, Point]]:
    """Pairs of which the first ended before the second began, and yet is at a higher point. Empty: linearizable.

    For each operation that comes too late at most one pair is named.
    """
    known = list(points)
    by_begin = sorted(known, key=lambda point: point.began)
    by_end = sorted((point for point in known if point.ended < math.inf), key=lambda point: point.ended)
    found: list[tuple[Point, Point]] = []
    highest: Point | None = None
    ended = 0
    for point in by_begin:
        while ended < len(by_end) and by_end[ended].ended < point.began:
            if highest is None or by_end[ended].lowest > highest.lowest:
                highest = by_end[ended]
            ended += 1
        if highest is not None and highest.lowest > point.highest:
            found.append((highest, point))
    return found
