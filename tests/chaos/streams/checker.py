"""Hold the history of all callers against the log: the checker of the event store.

`check` takes what callers recorded (`history`) and what the log says in the end (`log_scan`), and returns every
violation with the operations that show it. It asks no process, so that a wrong answer of the store cannot hide a wrong
state. Operations of unknown outcome may have happened or not; the log says which.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.chaos.streams.appends import Append, appends_of, check_appends, check_versions
from tests.chaos.streams.history import History, Operation
from tests.chaos.streams.linear import Point, appended, contradictions, saw_head
from tests.chaos.streams.log_scan import Final
from tests.chaos.streams.reads import check_contents, check_order, heads_seen, succeeded
from tests.chaos.streams.violations import Rule, Violation, violated


@dataclass
class Verdict:
    """What was found."""

    violations: list[Violation] = field(default_factory=list[Violation])
    operations: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """How many operations of each kind had each outcome."""
    streams: int = 0
    events: int = 0
    old_reads: int = 0
    """Ordinary reads that showed an earlier moment while an owner may have been replaced without knowing it (K15)."""

    @property
    def rules(self) -> set[Rule]:
        """The promises that were broken."""
        return {violation.rule for violation in self.violations}


def check(history: History, final: Final) -> Verdict:
    """All rules."""
    appends, old = appends_of(history.operations, final), list[Operation]()
    verdict = Verdict(operations=_counted(history), streams=len(final.streams))
    verdict.events = sum(map(len, final.streams.values()))
    verdict.violations += check_versions(final)
    verdict.violations += check_appends(appends)
    verdict.violations += check_contents(history.operations, final)
    verdict.violations += check_order(history, appends, old)
    verdict.violations += check_linearizable(history, appends)
    verdict.old_reads = len({operation.name for operation in old})
    return verdict


def check_linearizable(history: History, appends: Mapping[tuple[str, str], Append]) -> Iterator[Violation]:
    """Appends and consistent reads, per stream."""
    for stream, points in _points(history, appends).items():
        for earlier, later in contradictions(points):
            what = f"{stream}: the first ended before the second began, and is after it in the stream"
            yield violated(Rule.LINEARIZABLE, what, *earlier.operations, *later.operations)


def _points(history: History, appends: Mapping[tuple[str, str], Append]) -> dict[str, list[Point]]:
    points = defaultdict[str, list[Point]](list)
    for append in appends.values():
        if append.found and append.calls:
            points[append.stream].append(appended(append.last, append.began, append.ended, *append.effective))
        for call in append.calls:
            if call.outcome == "lost" and call.result is not None and call.result.version is not None:
                head = call.result.version
                points[append.stream].append(saw_head(head, head, call.began, call.ended, call))
    for read in succeeded(history.operations):
        if read.invoke.consistent and read.result is not None:
            ended = read.result.first_at or read.ended
            points[read.invoke.stream].append(saw_head(*heads_seen(read), read.began, ended, read))
    return points


def _counted(history: History) -> Counter[tuple[str, str]]:
    found = Counter[tuple[str, str]]()
    for operation in history.operations:
        kind = f"consistent {operation.invoke.do}" if operation.invoke.consistent else operation.invoke.do
        found[kind, operation.outcome] += 1
    return found
