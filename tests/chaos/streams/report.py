"""Sum up storms over streams, for people and as JSON."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from tests.chaos.faults import Kind
from tests.chaos.streams.storm import Report

SHOWN_VIOLATIONS = 20


class Summary:
    """Adds reports up."""

    def __init__(self) -> None:
        self.storms = 0
        self.violations: list[str] = []
        self._seconds = 0.0
        self._streams = self._events = self._erased = self._cleaned = 0
        self._delivered = self._from_snapshots = self._old_reads = 0
        self._operations = Counter[tuple[str, str]]()
        self._faults = Counter[Kind]()
        self._away = defaultdict[Kind, list[float]](list)

    def add(self, report: Report) -> list[str]:
        """Take a report in; returns what to tell of it."""
        self.storms += 1
        self._seconds += report.seconds
        self._streams += report.verdict.streams
        self._events += report.verdict.events
        self._erased += report.verdict.erased
        self._cleaned += report.verdict.cleaned
        self._delivered += report.verdict.delivered
        self._from_snapshots += report.verdict.from_snapshots
        self._old_reads += report.verdict.old_reads
        self._operations += report.verdict.operations
        self._faults += report.faults
        for kind, seconds in report.away.items():
            self._away[kind] += seconds
        found = [f"seed {report.seed}, {report.nodes} nodes: {violation}" for violation in report.violations]
        self.violations += found
        told = (
            f"  {report.seconds:.0f} s, {report.verdict.operations.total():,} operations, {report.verdict.events:,} "
            f"events, {report.faults.total()} faults, {len(found)} violations"
        )
        return [told, *(f"  VIOLATION {violation}" for violation in found[:SHOWN_VIOLATIONS])]

    def lines(self) -> list[str]:
        """The tables."""
        lines = ["", f"{self.storms} storms over streams in {self._seconds / 60:.1f} min: {self._events:,} events in "]
        lines[-1] += (
            f"{self._streams:,} streams, {self._operations.total():,} operations, {self._faults.total()} faults"
        )
        outcomes = sorted({outcome for _, outcome in self._operations})
        lines += ["", f"{'operation':<18}" + "".join(f"{outcome:>10}" for outcome in outcomes)]
        for kind in sorted({kind for kind, _ in self._operations}):
            lines.append(f"{kind:<18}" + "".join(f"{self._operations[kind, outcome]:>10,}" for outcome in outcomes))
        lines += ["", f"{'fault':<42} {'times':>5}   {'next append after (p50, max, partitions)':>40}"]
        for fault, times in self._faults.most_common():
            away = self._away[fault]
            told = f"{median(away):.1f} s, {max(away):.1f} s ({len(away)})" if away else "-"
            lines.append(f"{fault.value:<42} {times:>5}   {told:>40}")
        lines += ["", f"events erased: {self._erased:,}, records that the cleaner took: {self._cleaned:,}"]
        lines += [f"events given to subscribers: {self._delivered:,}, loads from snapshots: {self._from_snapshots:,}"]
        lines += [f"ordinary reads as of before, while an owner may have been replaced: {self._old_reads:,}"]
        return [*lines, f"violations: {len(self.violations)}", *self.violations[:SHOWN_VIOLATIONS]]

    def as_json(self) -> Mapping[str, Any]:
        """The same, for programs."""
        return {
            "storms": self.storms,
            "seconds": round(self._seconds, 1),
            "streams": self._streams,
            "events": self._events,
            "operations": _nested(self._operations),
            "faults": {kind.value: times for kind, times in self._faults.items()},
            "unavailability_seconds": {kind.value: figures(away) for kind, away in self._away.items() if away},
            "erased": self._erased,
            "cleaned": self._cleaned,
            "delivered": self._delivered,
            "loads_from_snapshots": self._from_snapshots,
            "old_reads": self._old_reads,
            "violations": self.violations,
        }


def _nested(operations: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    found = defaultdict[str, dict[str, int]](dict)
    for (kind, outcome), times in operations.items():
        found[kind][outcome] = times
    return dict(found)


def figures(seconds: Sequence[float]) -> dict[str, float]:
    """The median and the maximum of some times."""
    return {"p50": round(median(seconds), 3), "max": round(max(seconds), 3), "partitions": len(seconds)}
