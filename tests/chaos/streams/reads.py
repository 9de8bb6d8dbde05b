"""What a read may give: a part of the stream as the log has it, not older than is promised (K15).

Promised of every read: what it gives is a part of the final stream without holes, from where it was asked to begin; one
without an upper bound ends where an append ends. Reads from one index of a process never step back.

Promised of an ordinary read: it shows what was acknowledged before it began, except that an owner that was stopped and
replaced without knowing it may answer as of before. So reads from an owner are held to this where no disturbance
reaches them: the nemesis records when it stopped or cut off anybody, processes record when they did not run. Reads that
were allowed to be old, and were, are counted. One more kind is: the answer to a caller elsewhere is in the transaction
of its append, so that caller may have it before the owner has heard that it committed and wrote it into its index. An
owner's read of its own index may miss it for that long.

Reads of one process that came from owners are held against each other in the same way; a read straight from the topic
may be ahead of an owner, so none of them has to follow it.

Consistent reads are held to more in `linear`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tests.chaos.streams.appends import Append
from tests.chaos.streams.history import History, Operation
from tests.chaos.streams.log_scan import Final
from tests.chaos.streams.model import digests, is_last
from tests.chaos.streams.violations import Rule, Violation, violated


def succeeded(operations: Iterable[Operation]) -> list[Operation]:
    """Reads and loads that gave something."""
    return [each for each in operations if each.invoke.do != "append" and each.outcome == "ok"]


def heads_seen(read: Operation) -> tuple[float, float]:
    """Between which versions the stream's head was, as the read saw it (−1: no events)."""
    did, got = read.invoke, read.result
    assert got is not None, "it succeeded"
    if did.do == "load":
        return got.count - 1, got.count - 1
    after = -1 if did.after is None else did.after
    if not got.events:
        return (-1, math.inf if _is_empty(read) else after)
    top = max(got.events[0][0], got.events[-1][0])
    is_cut = did.until == top or (not did.backwards and did.limit == len(got.events))
    return (top, math.inf if is_cut else top)


def _is_empty(read: Operation) -> bool:
    """Whether nothing fits between the bounds, whatever the stream holds."""
    did = read.invoke
    return did.limit == 0 or (did.until is not None and did.until <= (-1 if did.after is None else did.after))


def check_contents(operations: Iterable[Operation], final: Final) -> Iterator[Violation]:
    """Every read against the log."""
    streams = defaultdict[str, list[Operation]](list)
    for read in succeeded(operations):
        streams[read.invoke.stream].append(read)
    for stream, reads in streams.items():
        names = final.labels(stream)
        chain = digests(names)
        for read in reads:
            yield from _check_load(read, chain) if read.invoke.do == "load" else _check_read(read, names)
            yield from _check_batches(read, names)


def _check_load(read: Operation, chain: Sequence[str]) -> Iterator[Violation]:
    got = read.result
    assert got is not None, "it succeeded"
    if got.count >= len(chain) or chain[got.count] != got.digest:
        yield violated(Rule.PREFIX, f"{got.count} events were folded that are not the stream's first", read)


def _check_read(read: Operation, names: Sequence[str]) -> Iterator[Violation]:
    got, did = read.result, read.invoke
    assert got is not None, "it succeeded"
    versions = [version for version, _ in got.events]
    if not versions:
        return
    step = -1 if did.backwards else 1
    if versions != list(range(versions[0], versions[0] + step * len(versions), step)):
        yield violated(Rule.PREFIX, f"versions {versions} have holes", read)
        return
    wrong = [(version, name) for version, name in got.events if version >= len(names) or names[version] != name]
    if wrong:
        yield violated(Rule.PREFIX, f"events {wrong[:3]} are not in the log at these versions", read)
    lowest, after = min(versions), -1 if did.after is None else did.after
    is_cut = did.backwards and did.limit == len(versions)
    if lowest != after + 1 and not is_cut:
        yield violated(Rule.PREFIX, f"it begins at version {lowest}, after {after} was asked for", read)


def _check_batches(read: Operation, names: Sequence[str]) -> Iterator[Violation]:
    lowest, highest = heads_seen(read)
    head = int(lowest)
    if lowest == highest and 0 <= head < len(names) and not is_last(names[head]):
        yield violated(Rule.BATCHES, f"it ends at version {head}, within the append of {names[head]}", read)


def check_order(
    history: History, appends: Mapping[tuple[str, str], Append], allowed: list[Operation]
) -> Iterator[Violation]:
    """How old reads may be. Old ones that are allowed go to `allowed`."""
    reads = succeeded(history.operations)
    yield from _check_indexes(reads)
    yield from _check_fresh(reads, history, appends.values(), allowed)
    yield from _check_owners(reads, history, allowed)


def _check_indexes(reads: Sequence[Operation]) -> Iterator[Violation]:
    sources = defaultdict[tuple[str, str, str], list[Operation]](list)
    for read in reads:
        if read.result is not None and read.result.way.startswith("index:"):
            sources[read.process, read.result.way, read.invoke.stream].append(read)
    for of_one in sources.values():
        for before, after in _steps_back(of_one):
            yield violated(Rule.MONOTONIC, f"a step back of an index of {after.process}", before, after)


def _check_owners(reads: Sequence[Operation], history: History, allowed: list[Operation]) -> Iterator[Violation]:
    readers = defaultdict[tuple[str, str], list[Operation]](list)
    for read in reads:
        if read.result is not None and read.result.way != "topic":
            readers[read.process, read.invoke.stream].append(read)
    for of_one in readers.values():
        for before, after in _steps_back(of_one):
            assert after.result is not None, "it succeeded"
            if history.undisturbed(before.began, after.result.at):
                yield violated(Rule.MONOTONIC, f"a step back for {after.process}", before, after)
            else:
                allowed.append(after)


def _steps_back(reads: Sequence[Operation]) -> Iterator[tuple[Operation, Operation]]:
    """Pairs of which the first ended before the second began and saw more."""
    by_end = sorted(reads, key=lambda read: read.ended)
    highest: Operation | None = None
    done = 0
    for read in sorted(reads, key=lambda read: read.began):
        while by_end[done].ended < read.began:
            if highest is None or heads_seen(by_end[done])[0] > heads_seen(highest)[0]:
                highest = by_end[done]
            done += 1
        if highest is not None and heads_seen(read)[1] < heads_seen(highest)[0]:
            yield highest, read


def _check_fresh(
    reads: Sequence[Operation], history: History, appends: Iterable[Append], allowed: list[Operation]
) -> Iterator[Violation]:
    acknowledged = defaultdict[str, list[Append]](list)
    for append in appends:
        if append.acknowledged and append.found:
            acknowledged[append.stream].append(append)
    known = {stream: _Acknowledged(several) for stream, several in acknowledged.items()}
    for read in reads:
        newest = known[read.invoke.stream].before(read.began) if read.invoke.stream in known else None
        if newest is None or heads_seen(read)[1] >= newest.last:
            continue
        assert read.result is not None, "it succeeded"
        may_be_old = not read.invoke.consistent and read.result.way != "topic"
        is_undisturbed = history.undisturbed(newest.ended, read.result.at)
        if not may_be_old or is_undisturbed:
            what = f"version {newest.last} of {read.invoke.stream} was acknowledged before and is not shown"
            yield violated(Rule.FRESH, what, *newest.acknowledged[:1], read)
        else:
            allowed.append(read)


class _Acknowledged:
    """The appends of a stream by the time of their acknowledgement."""

    def __init__(self, appends: Iterable[Append]) -> None:
        self._ends: list[float] = []
        self._newest: list[Append] = []
        for append in sorted(appends, key=lambda each: each.ended):
            newest = self._newest[-1] if self._newest else append
            self._ends.append(append.ended)
            self._newest.append(append if append.last >= newest.last else newest)

    def before(self, instant: float) -> Append | None:
        """The highest one that was acknowledged before."""
        place = bisect_left(self._ends, instant)
        return self._newest[place - 1] if place else None
