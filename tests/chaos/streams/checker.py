"""Hold the history of all callers against the log: the checker of the event store.

`check` takes what callers recorded (`history`) and what the log says in the end (`log_scan`), and returns every
violation with the operations that show it. It asks no process, so that a wrong answer of the store cannot hide a wrong
state. Operations of unknown outcome may have happened or not; the log says which.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.streams.alarm_log import check_alarms
from tests.chaos.streams.appends import Append, appends_of, check_appends, check_versions, timelines_of
from tests.chaos.streams.erasures import Erasure, check_commit_ids, check_erasures, check_left, erasures_of
from tests.chaos.streams.history import READS, History, Operation
from tests.chaos.streams.linear import Point, changed, contradictions, saw
from tests.chaos.streams.log_scan import Final
from tests.chaos.streams.reads import check_contents, check_order, succeeded
from tests.chaos.streams.seeing import result_of, states_seen
from tests.chaos.streams.subscriptions import check_subscriptions
from tests.chaos.streams.timeline import Timeline
from tests.chaos.streams.violations import Rule, Violation, violated


@dataclass
class Verdict:
    """What was found."""

    violations: list[Violation] = field(default_factory=list[Violation])
    operations: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """How many operations of each kind had each outcome."""
    streams: int = 0
    events: int = 0
    erased: int = 0
    """How many of the events were erased."""
    cleaned: int = 0
    """How many records Kafka's cleaner took."""
    delivered: int = 0
    """How many events subscribers were given."""
    from_snapshots: int = 0
    """Loads that went on from a snapshot."""
    old_reads: int = 0
    """Ordinary reads that showed an earlier moment while an owner may have been replaced without knowing it (K15)."""

    @property
    def rules(self) -> set[Rule]:
        """The promises that were broken."""
        return {violation.rule for violation in self.violations}


def check(history: History, final: Final) -> Verdict:
    """All rules."""
    appends, old = list(appends_of(history.operations, final).values()), list[Operation]()
    timelines = timelines_of(appends, final)
    erasures = erasures_of(history.operations, timelines)
    verdict = _counted(history, final)
    for violations in (
        check_versions(final),
        check_appends(appends, timelines),
        check_erasures(erasures, timelines),
        check_commit_ids(appends, erasures),
        check_left(final, timelines),
        check_contents(history.operations, final, timelines),
        check_order(history, appends, erasures, timelines, old),
        check_linearizable(history.operations, appends, erasures, timelines),
        check_subscriptions(history.subscribers, final),
        check_alarms(history.operations, final),
    ):
        verdict.violations += violations
    verdict.old_reads = len({operation.name for operation in old})
    return verdict


def check_linearizable(
    operations: Sequence[Operation],
    appends: Iterable[Append],
    erasures: Iterable[Erasure],
    timelines: Mapping[str, Timeline],
) -> Iterator[Violation]:
    """Appends, erasures and consistent reads, per stream."""
    streams = defaultdict[str, list[Point]](list)
    for stream, point in (*_of_appends(appends, timelines), *_of_erasures(erasures, timelines)):
        streams[stream].append(point)
    for operation in operations:
        for point in _of_observer(operation, timelines.get(operation.invoke.stream) or Timeline((), ())):
            streams[operation.invoke.stream].append(point)
    for stream, points in streams.items():
        for point in points:
            if not point.places:
                what = f"{stream}: at no moment it was as this shows it"
                yield violated(Rule.LINEARIZABLE, what, *point.operations)
        for earlier, later in contradictions(point for point in points if point.places):
            what = f"{stream}: the first ended before the second began, and is after it in the stream"
            yield violated(Rule.LINEARIZABLE, what, *earlier.operations, *later.operations)


def _of_appends(appends: Iterable[Append], timelines: Mapping[str, Timeline]) -> Iterator[tuple[str, Point]]:
    for append in appends:
        if append.found and append.calls:
            to = timelines[append.stream].after_append(append.last)
            yield append.stream, changed(to, append.began, append.ended, *append.effective)


def _of_erasures(erasures: Iterable[Erasure], timelines: Mapping[str, Timeline]) -> Iterator[tuple[str, Point]]:
    for erasure in erasures:
        timeline = timelines.get(erasure.stream) or Timeline((), ())
        if erasure.logged is not None:
            to = timeline.after_erasure(erasure.logged.first)
            yield erasure.stream, changed(to, erasure.began, erasure.ended, *erasure.effective)
        elif erasure.acknowledged:
            states = timeline.where(erasure.changes_nothing)
            yield erasure.stream, saw(states, erasure.began, erasure.ended, *erasure.effective)


def _of_observer(operation: Operation, timeline: Timeline) -> Iterator[Point]:
    """Who changed nothing, and saw the stream."""
    if operation.outcome == "lost" and operation.result is not None and operation.result.version is not None:
        head = operation.result.version
        states = timeline.where(lambda state: state.visible == head)
        yield saw(states, operation.began, operation.ended, operation)
    elif operation.invoke.do in READS and operation.invoke.consistent and operation.outcome == "ok":
        ended = result_of(operation).first_at or operation.ended
        yield saw(states_seen(operation, timeline), operation.began, ended, operation)


def _counted(history: History, final: Final) -> Verdict:
    verdict = Verdict(streams=len(final.streams), events=sum(map(len, final.streams.values())))
    verdict.erased = sum(max(one.first for one in erased) for erased in final.erasures.values())
    verdict.cleaned = final.cleaned
    verdict.delivered = sum(len(line.events) for lines in history.delivered() for line in lines)
    reads = succeeded(history.operations)
    verdict.from_snapshots = sum(result_of(read).is_from_snapshot for read in reads)
    for operation in history.operations:
        kind = f"consistent {operation.invoke.do}" if operation.invoke.consistent else operation.invoke.do
        verdict.operations[kind, operation.outcome] += 1
    return verdict
