"""The states that a stream went through, in the order in which the log has what changed it.

A state is the version of the last event, an erased one included, and the first version that is kept. Both only grow.
An append ends at a version of its own; an erasure is recorded with the head that it found, and the first version that
it keeps. So the log says in which order they happened, although it has events and erasures in two topics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.chaos.streams.log_scan import LoggedErasure


@dataclass(frozen=True, slots=True)
class State:
    """What a stream is at a moment."""

    head: int = -1
    first: int = 0

    @property
    def visible(self) -> int:
        """The version of the last event that is not erased; −1: there is none."""
        return self.head if self.head >= self.first else -1


class Timeline:
    """The states of one stream. State `n` is there after the `n`th change."""

    def __init__(self, ends: Iterable[int], erasures: Iterable[LoggedErasure]) -> None:
        """`ends`: the last versions of its appends. `erasures`: in the log's order."""
        self.erasures = _effective(erasures)
        changes = [(end, 0, 0) for end in set(ends)]
        changes += [(erased.head, 1, erased.first) for erased in self.erasures]
        self.states = [State()]
        self._places: dict[tuple[str, int], int] = {}
        for head, is_erasure, first in sorted(changes):
            before = self.states[-1]
            if is_erasure:
                self._places["erasure", first] = len(self.states)
                self.states.append(State(max(before.head, head), first))
            else:
                self._places["append", head] = len(self.states)
                self.states.append(State(head, before.first))
        self.firsts = {state.first for state in self.states}
        self.heads = {state.head for state in self.states}

    def after_append(self, end: int) -> int:
        """Which state the append that ends at this version led to."""
        return self._places["append", end]

    def after_erasure(self, first: int) -> int:
        """Which state the erasure that keeps events from this version on led to."""
        return self._places["erasure", first]

    def where(self, fits: Callable[[State], bool]) -> list[int]:
        """The states that are so."""
        return [number for number, state in enumerate(self.states) if fits(state)]

    def folds_from(self, number: int) -> Sequence[int]:
        """Where a fold of the stream in this state may have begun: a snapshot may hold what was truncated since (E3),
        but nothing that was there before a deletion."""
        life = 0
        for place in range(1, number + 1):
            if self.states[place].visible == -1:
                life = place
        return [state.first for state in self.states[life : number + 1]]


def _effective(erasures: Iterable[LoggedErasure]) -> list[LoggedErasure]:
    found = list[LoggedErasure]()
    for erased in erasures:
        if not found or erased.first > found[-1].first:
            found.append(erased)
    return found
