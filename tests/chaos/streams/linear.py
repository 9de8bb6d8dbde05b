"""Whether the operations on one stream are linearizable. The answer is exact.

Linearizable means: each operation takes effect at one moment between its begin and its end, and what all of them
answered is what a stream that does them one after the other, in the order of those moments, would have answered.

In general one has to search for such an order. Here the log tells the order of all that changed the stream
(`timeline`). So each operation has its *places* on one line:

- what led to state n, an append or an erasure, has the place 2n − 1 and no other;
- who saw the stream in state n (a consistent read, a lost race, an erasure that had nothing to erase) has the place
  2n, or one of several: what it saw is what it would have seen in any of those states.

An order of the operations gives the right answers if and only if places do not fall in it: changes have places of their
own, and observers at one place change nothing, so they may stand in any order. An order fits the clock if no operation
that ended before another one began comes after it: then each gets a moment in its interval, the latest begin so far.
So the operations are linearizable if and only if one place can be chosen for each such that none that ended before
another one began has the higher one.

*The lowest choice is right if any is.* Go through the operations in order of their begin, and give each the lowest of
its places that is not below that of any that had ended before. All those began earlier, so they have places already.
By induction no right choice has a lower place for any of them; so where there is none left, there is no right choice.

An append of unknown outcome that is in the log happened, at some time after it began: it ends never. One that is not in
the log has no place and says nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.chaos.streams.history import Operation


@dataclass(frozen=True, slots=True)
class Point:
    """Where an operation may stand on the stream's line, ascending, and an interval of time."""

    places: Sequence[int]
    began: float
    ended: float
    operations: tuple[Operation, ...] = ()


def changed(to: int, began: float, ended: float, *operations: Operation) -> Point:
    """What led to this state."""
    return Point((2 * to - 1,), began, ended, operations)


def saw(states: Iterable[int], began: float, ended: float, *operations: Operation) -> Point:
    """Who saw the stream in one of these states."""
    return Point(sorted(2 * state for state in states), began, ended, operations)


def contradictions(points: Iterable[Point]) -> list[tuple[Point, Point]]:
    """Pairs of which the first ended before the second began, and yet stands at a higher place. Empty: linearizable.

    For each operation that comes too late one pair is named. Every point has a place.
    """
    by_begin = sorted(points, key=lambda point: point.began)
    by_end = sorted((point for point in by_begin if point.ended < math.inf), key=lambda point: point.ended)
    chosen: dict[int, int] = {}
    found: list[tuple[Point, Point]] = []
    highest: Point | None = None
    ended, least = 0, 0
    for point in by_begin:
        while ended < len(by_end) and by_end[ended].ended < point.began:
            if highest is None or chosen[id(by_end[ended])] > least:
                highest, least = by_end[ended], chosen[id(by_end[ended])]
            ended += 1
        at = bisect_left(point.places, least)
        if at < len(point.places):
            chosen[id(point)] = point.places[at]
        else:
            chosen[id(point)] = point.places[-1]
            assert highest is not None, "places begin at 0"
            found.append((highest, point))
    return found
