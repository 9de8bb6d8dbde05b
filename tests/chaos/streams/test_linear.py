"""The answer of `linear` is exact: on small histories it is that of a search through all orders."""

from __future__ import annotations

import math
from itertools import product
from random import Random

from tests.chaos.streams.linear import Point, contradictions

HISTORIES = 2_000


def test_it_finds_what_a_search_finds() -> None:
    """Points with one place or several, in intervals that overlap and some that never end."""
    chance, answers = Random("linear"), set[bool]()
    for _ in range(HISTORIES):
        points = [_point(chance) for _ in range(chance.randint(1, 5))]

        is_linearizable = not contradictions(points)

        assert is_linearizable == _search(points), points
        answers.add(is_linearizable)
    assert answers == {True, False}


def _point(chance: Random) -> Point:
    began = chance.uniform(0, 6)
    ended = math.inf if chance.random() < 0.2 else began + chance.uniform(0, 3)
    if chance.random() < 0.5:
        return Point([chance.randrange(1, 8, 2)], began, ended)
    return Point(sorted(chance.sample(range(0, 10, 2), chance.randint(1, 3))), began, ended)


def _search(points: list[Point]) -> bool:
    pairs = [(a, b) for a, one in enumerate(points) for b, other in enumerate(points) if one.ended < other.began]
    choices = product(*(point.places for point in points))
    return any(all(chosen[before] <= chosen[after] for before, after in pairs) for chosen in choices)
