"""Sum up storms for people."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import median

from tests.chaos.faults import Kind
from tests.chaos.storm import Report


class Summary:
    """Adds reports up, and prints each as it comes."""

    def __init__(self) -> None:
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
        print(
            f"  {report.seconds:.0f} s, {report.parties:,} sagas, {report.faults.total()} faults, "
            f"{len(report.violations)} violations",
            flush=True,
        )
        for violation in report.violations[:20]:
            print(f"  VIOLATION {violation}", flush=True)

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
