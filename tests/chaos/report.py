"""Sum up storms for people."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from tests.chaos.faults import Kind
from tests.chaos.storm import Report
from tests.chaos.streams.report import figures


class Summary:
    """Adds reports up, and tells each as it comes."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.storms = 0
        self.violations: list[str] = []
        self._seconds = 0.0
        self._sagas = self._events = 0
        self._faults = Counter[Kind]()
        self._away = defaultdict[Kind, list[float]](list)

    def add(self, report: Report) -> None:
        self.storms += 1
        self._seconds += report.seconds
        self._sagas += report.parties
        self._events += report.events
        self._faults += report.faults
        for kind, seconds in report.away.items():
            self._away[kind] += seconds
        self.violations += [f"seed {report.seed}: {violation}" for violation in report.violations]
        self._say(
            f"  {report.seconds:.0f} s, {report.parties:,} sagas, {report.faults.total()} faults, "
            f"{len(report.violations)} violations"
        )
        for violation in report.violations[:20]:
            self._say(f"  VIOLATION {violation}")

    def lines(self) -> list[str]:
        """The table."""
        what = f"{self._sagas:,} sagas with {self._events:,} events, {self._faults.total()} faults"
        lines = [
            "",
            f"{self.storms} storms in {self._seconds / 60:.1f} min: {what}",
            "",
            f"{'fault':<42} {'times':>5}   {'sagas went on after (p50, max)':>30}",
        ]
        for kind, times in self._faults.most_common():
            away = self._away[kind]
            told = f"{median(away):.1f} s, {max(away):.1f} s ({len(away)})" if away else "-"
            lines.append(f"{kind.value:<42} {times:>5}   {told:>30}")
        return [*lines, "", f"violations: {len(self.violations)}", *self.violations[:50]]

    def as_json(self) -> Mapping[str, Any]:
        """The same, for programs."""
        return {
            "storms": self.storms,
            "seconds": round(self._seconds, 1),
            "sagas": self._sagas,
            "events": self._events,
            "faults": {kind.value: times for kind, times in self._faults.items()},
            "unavailability_seconds": {kind.value: figures(away) for kind, away in self._away.items() if away},
            "violations": self.violations,
        }
