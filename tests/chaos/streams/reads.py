"""What a read may give: a part of the stream as the log has it, not older than is promised (K15, E2).

Promised of every read: what it gives is a part of the final stream without holes, from where it was asked to begin, or
from the first version that was kept; one without an upper bound ends where an append ends. Reads from one index of a
process never step back.

Promised of an ordinary read: it shows what was acknowledged before it began, appends and erasures, except that an owner
that was stopped and replaced without knowing it may answer as of before. So reads from an owner are held to this where
no disturbance reaches them: the nemesis records when it stopped or cut off anybody, processes record when they did not
run. Reads that were allowed to be old, and were, are counted.

Reads of one process that came from owners are held against each other in the same way; a read straight from the topic
may be ahead of an owner, so none of them has to follow it.

Consistent reads are held to more in `linear`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tests.chaos.streams.appends import Append
from tests.chaos.streams.erasures import Erasure
from tests.chaos.streams.history import READS, History, Operation
from tests.chaos.streams.log_scan import Final
from tests.chaos.streams.seeing import Folds, Seen, bounds_of, lowest_of, may_lack_events, result_of, seen, versions_of
from tests.chaos.streams.timeline import Timeline
from tests.chaos.streams.violations import Rule, Violation, violated


def succeeded(operations: Iterable[Operation]) -> list[Operation]:
    """Reads and loads that gave something."""
    return [each for each in operations if each.invoke.do in READS and each.outcome == "ok"]


def check_contents(
    operations: Iterable[Operation], final: Final, timelines: Mapping[str, Timeline]
) -> Iterator[Violation]:
    """Every read against the log."""
    streams = defaultdict[str, list[Operation]](list)
    for read in succeeded(operations):
        streams[read.invoke.stream].append(read)
    for stream, reads in streams.items():
        names, timeline = final.labels(stream), timelines.get(stream) or Timeline((), ())
        folds = Folds(names)
        for read in reads:
            if read.invoke.do == "load":
                yield from _check_load(read, folds)
            elif result_of(read).events:
                can_lack = may_lack_events(read, timeline)
                wrong = list(_check_events(read, names, can_lack=can_lack))
                yield from wrong or _check_ends(read, timeline, can_lack=can_lack)


def _check_load(read: Operation, folds: Folds) -> Iterator[Violation]:
    got = result_of(read)
    version = -1 if got.version is None else got.version
    if folds.digest(version - got.count + 1, got.count) != got.digest:
        what = f"{got.count} events to version {version} were folded, and the log has others"
        yield violated(Rule.PREFIX, what, read)


def _check_events(read: Operation, names: Mapping[int, str], *, can_lack: bool) -> Iterator[Violation]:
    versions, step = versions_of(read), -1 if read.invoke.backwards else 1
    is_whole = versions == list(range(versions[0], versions[0] + step * len(versions), step))
    if not is_whole and not (can_lack and versions == sorted(set(versions), reverse=step < 0)):
        yield violated(Rule.PREFIX, f"versions {versions} have holes", read)
    wrong = [(version, name) for version, name in result_of(read).events if names.get(version) != name]
    if wrong:
        yield violated(Rule.PREFIX, f"events {wrong[:3]} are not in the log at these versions", read)


def _check_ends(read: Operation, timeline: Timeline, *, can_lack: bool) -> Iterator[Violation]:
    did, versions = read.invoke, versions_of(read)
    (after, until), is_full = bounds_of(did), did.limit == len(versions)
    lowest, highest = min(versions), max(versions)
    is_cut = did.backwards and (is_full or can_lack)
    if not (lowest == after + 1 or (lowest > after and lowest in timeline.firsts) or is_cut):
        yield violated(Rule.PREFIX, f"it begins at version {lowest}, after {after} was asked for", read)
    is_cut = can_lack or (not did.backwards and is_full)
    if not (highest == until or (highest < until and highest in timeline.heads) or is_cut):
        yield violated(Rule.BATCHES, f"it ends at version {highest}, where no append ends", read)


def check_order(
    history: History,
    appends: Iterable[Append],
    erasures: Iterable[Erasure],
    timelines: Mapping[str, Timeline],
    allowed: list[Operation],
) -> Iterator[Violation]:
    """How old reads may be. Old ones that are allowed go to `allowed`."""
    shown = list[_Shown]()
    for read in succeeded(history.operations):
        found = seen(read, timelines.get(read.invoke.stream) or Timeline((), ()))
        shown += [(read, found)] if found is not None else []
    yield from _check_indexes(shown)
    changes = list(_acknowledged(appends, erasures, timelines))
    yield from _check_fresh(shown, history, _by_stream(changes), allowed)
    yield from _check_owners(shown, history, allowed)


_Shown = tuple[Operation, Seen]


def _check_indexes(reads: Sequence[_Shown]) -> Iterator[Violation]:
    sources = defaultdict[tuple[str, str, str], list[_Shown]](list)
    for read, shows in reads:
        way = result_of(read).way
        if way.startswith("index:"):
            sources[read.process, way, read.invoke.stream].append((read, shows))
    for of_one in sources.values():
        for before, after in _steps_back(of_one):
            yield violated(Rule.MONOTONIC, f"a step back of an index of {after.process}", before, after)


def _check_owners(reads: Sequence[_Shown], history: History, allowed: list[Operation]) -> Iterator[Violation]:
    readers = defaultdict[tuple[str, str], list[_Shown]](list)
    for read, shows in reads:
        if result_of(read).way != "topic":
            readers[read.process, read.invoke.stream].append((read, shows))
    for of_one in readers.values():
        for before, after in _steps_back(of_one):
            if history.undisturbed(before.began, result_of(after).at):
                yield violated(Rule.MONOTONIC, f"a step back for {after.process}", before, after)
            else:
                allowed.append(after)


def _steps_back(reads: Sequence[_Shown]) -> Iterator[tuple[Operation, Operation]]:
    """Pairs of which the first ended before the second began and saw more."""
    by_end = sorted(reads, key=lambda read: read[0].ended)
    highest: _Shown | None = None
    done = 0
    for read, shows in sorted(reads, key=lambda read: read[0].began):
        while by_end[done][0].ended < read.began:
            if highest is None or by_end[done][1].lowest > highest[1].lowest:
                highest = by_end[done]
            done += 1
        if highest is not None and shows.highest < highest[1].lowest:
            yield highest[0], read


def _check_fresh(
    reads: Sequence[_Shown], history: History, known: Mapping[str, _Acknowledged], allowed: list[Operation]
) -> Iterator[Violation]:
    for read, shows in reads:
        newest = known[read.invoke.stream].before(read.began) if read.invoke.stream in known else None
        if newest is None or shows.highest >= newest.state:
            continue
        may_be_old = not read.invoke.consistent and result_of(read).way != "topic"
        if may_be_old and not history.undisturbed(newest.change.ended, result_of(read).at):
            allowed.append(read)
        elif newest.erased > lowest_of(read):
            what = f"versions below {newest.erased} of {read.invoke.stream} had been erased, and it shows them"
            yield violated(Rule.ERASED, what, *newest.change.acknowledged[:1], read)
        else:
            what = f"{newest.change.name} was acknowledged before, and is not shown"
            yield violated(Rule.FRESH, what, *newest.change.acknowledged[:1], read)


class _Change(NamedTuple):
    """What changed a stream and was acknowledged."""

    change: Append | Erasure
    state: int
    """That it led to."""
    erased: int = 0
    """Versions below had been erased, by this or before."""


def _acknowledged(
    appends: Iterable[Append], erasures: Iterable[Erasure], timelines: Mapping[str, Timeline]
) -> Iterator[_Change]:
    for append in appends:
        if append.acknowledged and append.found:
            yield _Change(append, timelines[append.stream].after_append(append.last))
    for erasure in erasures:
        if erasure.acknowledged and erasure.logged is not None:
            first = erasure.logged.first
            yield _Change(erasure, timelines[erasure.stream].after_erasure(first), first)


def _by_stream(changes: Iterable[_Change]) -> dict[str, _Acknowledged]:
    streams = defaultdict[str, list[_Change]](list)
    for change in changes:
        streams[change.change.stream].append(change)
    return {stream: _Acknowledged(several) for stream, several in streams.items()}


class _Acknowledged:
    """What changed a stream, by the time of its acknowledgement."""

    def __init__(self, changes: Iterable[_Change]) -> None:
        self._ends: list[float] = []
        self._newest: list[_Change] = []
        for change in sorted(changes, key=lambda each: each.change.ended):
            before = self._newest[-1] if self._newest else change
            newest = change if change.state >= before.state else before
            self._ends.append(change.change.ended)
            self._newest.append(newest._replace(erased=max(change.erased, before.erased)))

    def before(self, instant: float) -> _Change | None:
        """The highest one that was acknowledged before."""
        place = bisect_left(self._ends, instant)
        return self._newest[place - 1] if place else None
