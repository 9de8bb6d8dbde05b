"""Which states of a stream a read can have seen, by what it gave.

A *page* is read at one moment. A read of one page shows a state of the stream. One of several is only asked for a last
and a first version that the stream had: what is erased while it is under way may be missing from its later pages.
Ordinary reads are never asked for more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from eventstore.bounds import PAGE_EVENTS
from eventstore.reading import FIRST_EVENTS
from tests.chaos.streams.history import Invoke, Operation, Return
from tests.chaos.streams.model import chained
from tests.chaos.streams.timeline import State, Timeline

Fits: TypeAlias = Callable[[State], bool]


class Seen(NamedTuple):
    """What a read shows of how far the stream was."""

    lowest: int
    """A state that was there before."""
    highest: int
    """No later state was there at its begin."""


def result_of(read: Operation) -> Return:
    """What a read gave that succeeded."""
    assert read.result is not None, "it succeeded"
    return read.result


def is_of_one_page(read: Operation) -> bool:
    """Whether it was surely read at one moment. What is local has a smaller first page."""
    most = PAGE_EVENTS if read.invoke.consistent else min(FIRST_EVENTS, PAGE_EVENTS)
    return max(len(result_of(read).events), result_of(read).count) < most


def may_lack_events(read: Operation, timeline: Timeline) -> bool:
    """Whether events may have been erased between its pages."""
    return not is_of_one_page(read) and any(first > lowest_of(read) for first in timeline.firsts)


def states_seen(read: Operation, timeline: Timeline) -> list[int]:
    """The states in any of which the stream would have given what a consistent read gave."""
    shows = _shown(read, timeline)
    if shows is None:
        return timeline.where(_gives_nothing(read.invoke))
    begins, ends = shows
    if read.invoke.backwards and not is_of_one_page(read):
        return ends
    return sorted({*begins} & {*ends})


def seen(read: Operation, timeline: Timeline) -> Seen | None:
    """What an ordinary read shows; None if no states of the stream are like that."""
    shows = _shown(read, timeline)
    if shows is None:
        found = timeline.where(_gives_nothing(read.invoke))
        return Seen(found[0], found[-1]) if found else None
    begins, ends = shows
    if not begins or not ends:
        return None
    return Seen(max(begins[0], ends[0]), min(begins[-1], ends[-1]))


def _shown(read: Operation, timeline: Timeline) -> tuple[list[int], list[int]] | None:
    """In which states the stream began, and ended, as the read shows it; None if it shows no event."""
    got = result_of(read)
    if read.invoke.do == "load":
        ends = timeline.where(lambda state: state.visible == got.version)
        return (_folded_from(read, timeline), ends) if got.count else None
    if not got.events:
        return None
    ends = timeline.where(_ends(read))
    if not ends and may_lack_events(read, timeline):
        ends = list(range(len(timeline.states)))
    return timeline.where(_begins(read)), ends


def bounds_of(did: Invoke) -> tuple[int, float]:
    """after < version ≤ until."""
    return -1 if did.after is None else max(-1, did.after), math.inf if did.until is None else did.until


def _gives_nothing(did: Invoke) -> Fits:
    after, until = bounds_of(did)
    is_empty = did.limit == 0 or until <= after
    return lambda state: is_empty or state.visible <= after or state.first > until


def _begins(read: Operation) -> Fits:
    """Whether the lowest version that was given is the lowest that there is to give."""
    did, events = read.invoke, result_of(read).events
    after, lowest = bounds_of(did)[0], min(version for version, _ in events)
    is_cut = did.backwards and did.limit == len(events)
    return lambda state: max(state.first, after + 1) <= lowest if is_cut else max(state.first, after + 1) == lowest


def _ends(read: Operation) -> Fits:
    """Whether the highest version that was given is the highest that there is to give."""
    did, events = read.invoke, result_of(read).events
    until, highest = bounds_of(did)[1], max(version for version, _ in events)
    is_cut = not did.backwards and did.limit == len(events)
    return lambda state: min(state.head, until) >= highest if is_cut else min(state.head, until) == highest


def _folded_from(load: Operation, timeline: Timeline) -> list[int]:
    """The states whose events, or a snapshot that they go on from, begin where the fold began."""
    got, has_snapshots = result_of(load), load.invoke.aggregate == "kept"
    start = (got.version or 0) - got.count + 1
    if has_snapshots:
        return [number for number in range(len(timeline.states)) if start in timeline.folds_from(number)]
    return timeline.where(lambda state: state.first == start)


class Folds:
    """Digests of a stream's events, from any version to any other."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self._known: dict[int, list[str]] = {}

    def digest(self, first: int, count: int) -> str | None:
        """Of so many events from this one on; None if there are not so many."""
        chain = self._known.setdefault(first, [""])
        while len(chain) <= count:
            name = self._names.get(first + len(chain) - 1)
            if name is None:
                return None
            chain.append(chained(chain[-1], name))
        return chain[count]


def lowest_of(read: Operation) -> float:
    """The lowest version that a read showed."""
    got = result_of(read)
    if read.invoke.do == "load":
        return (got.version or 0) - got.count + 1 if got.count else math.inf
    return min((version for version, _ in got.events), default=math.inf)


def versions_of(read: Operation) -> Sequence[int]:
    """What a read gave, in its order."""
    return [version for version, _ in result_of(read).events]
