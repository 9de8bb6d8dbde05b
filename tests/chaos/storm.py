"""One storm: three processes rebook on a Kafka of their own while the nemesis is at work, then the books are read."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

from eventstore.log import open_log
from eventstore.testing.proxy import END_TXN
from examples.airline.books import read_books
from examples.airline.demo import expected_parties
from sagalog.broker import Cluster, broker
from tests.chaos.faults import OF_AIRLINE, Fault, Kind
from tests.chaos.fleet import Fleet
from tests.chaos.ledger import Ledger, dead_letters, gaps

PROCESSES = 3
NEMESIS_SECONDS = 45.0
"""How long faults go on at most; they also end with the storm."""
RECOVERY_SECONDS = 150.0
"""How long the storm may go on when everything runs again."""
VIEW_SECONDS = 30.0


@dataclass
class Report:
    """What happened in one storm."""

    seed: int
    seconds: float = 0.0
    events: int = 0
    parties: int = 0
    faults: Counter[Kind] = field(default_factory=Counter[Kind])
    away: dict[Kind, list[float]] = field(default_factory=dict[Kind, list[float]])
    """Seconds from a fault until every partition of the sagas that it hit went on."""
    violations: list[str] = field(default_factory=list[str])


@dataclass
class Hit:
    """A fault that was inflicted, and the partitions of the sagas that it concerned."""

    kind: Kind
    at_ms: int
    partitions: frozenset[int]


class Storm:
    """Runs one storm to its end."""

    def __init__(
        self, cluster: Cluster, folder: Path, seed: int, say: Callable[[str], None], nemesis_seconds: float
    ) -> None:
        self._cluster, self._say, self._nemesis_seconds = cluster, say, nemesis_seconds
        self._log = open_log(f"kafka://{cluster.bootstrap}")
        self._proxied = seed % PROCESSES
        self._fleet = Fleet(cluster.bootstrap, folder, processes=PROCESSES, proxied=self._proxied)
        self._ledger = Ledger(self._log)
        self._hits: list[Hit] = []
        self._broker_is_up = True
        self._later: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = count()
        self._total = expected_parties()
        self.report = Report(seed, parties=self._total)

    def run(self) -> Report:
        began = time.monotonic()
        try:
            self._rage(began)
            self._recover()
            self._check_view()
        finally:
            self._fleet.close()
        self._check_books()
        self.report.seconds = time.monotonic() - began
        self._measure()
        self._ledger.close()
        self._log.close()
        return self.report

    def _rage(self, began: float) -> None:
        faults = OF_AIRLINE.schedule(
            self.report.seed, processes=PROCESSES, proxied=self._proxied, until=self._nemesis_seconds
        )
        self._fleet.start_all()
        if self.report.seed % 2:
            began = self._await_first_saga()
        while (faults or self._later) and not self._is_over():
            now = time.monotonic()
            if faults and now - began >= faults[0].at:
                self._inflict(faults.pop(0))
            while self._later and self._later[0][0] <= now:
                heappop(self._later)[2]()
            self._turn()

    def _await_first_saga(self) -> float:
        """Every other storm is left alone until flights are cancelled: then all faults meet sagas."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        while not self._ledger.events and time.monotonic() < deadline:
            self._turn()
        return time.monotonic() - OF_AIRLINE.first[0]

    def _recover(self) -> None:
        while self._later:
            heappop(self._later)[2]()
        self._fleet.heal()
        deadline = time.monotonic() + RECOVERY_SECONDS
        while not self._is_over():
            self._turn()
            if time.monotonic() > deadline:
                self._fleet.tell_stacks()
                missing = self._total - self._ledger.ended
                self.report.violations.append(f"hang: {missing} of {self._total} sagas after {RECOVERY_SECONDS:g} s")
                return

    def _turn(self) -> None:
        self._fleet.tick()
        self._ledger.follow(0.05)

    def _is_over(self) -> bool:
        return self._ledger.ended >= self._total

    def _check_view(self) -> None:
        """Every process's view comes to what the log says."""
        deadline = time.monotonic() + VIEW_SECONDS
        while time.monotonic() < deadline:
            self._turn()
            told = self._fleet.latest.values()
            if len(told) == PROCESSES and all(
                line["started"] == line["completed"] + line["undone"] == self._total for line in told
            ):
                return
        self.report.violations.append(f"view: {dict(self._fleet.latest)} where {self._total} sagas ended")

    def _check_books(self) -> None:
        books = read_books(f"kafka://{self._cluster.bootstrap}")
        self.report.events = self._ledger.events
        if len(books.expected) != self._total:
            self.report.violations.append(f"lost: {len(books.expected)} of {self._total} parties are in the log")
        self.report.violations += [*books.violations(), *gaps(self._log), *dead_letters(self._log)]
        self.report.violations += [f"process: {problem}" for problem in self._fleet.problems]

    def _measure(self) -> None:
        times = self._ledger.times
        for hit in self._hits:
            first = [next((at for at in times[number] if at > hit.at_ms), None) for number in hit.partitions]
            came = [at for at in first if at is not None]
            if came and len(came) == len(first):
                self.report.away.setdefault(hit.kind, []).append((max(came) - hit.at_ms) / 1000)

    # The nemesis

    def _inflict(self, fault: Fault) -> None:
        owners = self._ledger.owners("airline") if self._broker_is_up else {}
        at_ms = time.time_ns() // 1_000_000
        if not self._apply(fault):
            return
        self._say(f"  {fault}, {self._ledger.ended} of {self._total} sagas ended")
        self.report.faults[fault.kind] += 1
        everywhere = fault.kind is Kind.BROKER
        hit = self._ledger.times.keys() if everywhere else {n for n, slot in owners.items() if slot in fault.victims}
        self._hits.append(Hit(fault.kind, at_ms, frozenset(hit)))

    def _apply(self, fault: Fault) -> bool:
        fleet, victims, seconds = self._fleet, fault.victims, fault.seconds
        match fault.kind:
            case Kind.KILL | Kind.KILL_TWO:
                killed = [fleet.kill(slot, away=seconds) for slot in victims]
                return any(killed)
            case Kind.TERMINATE:
                return fleet.terminate(victims[0])
            case Kind.PAUSE | Kind.HANG:
                self._after(seconds, lambda: fleet.resume(victims[0]))
                return fleet.freeze(victims[0])
            case Kind.HANG_AND_KILL:
                self._after(seconds, lambda: fleet.kill(victims[0], away=1.0))
                return fleet.freeze(victims[0])
            case Kind.BROKER if not self._broker_is_up:
                return False
            case Kind.BROKER:
                self._cluster.kill()
                self._broker_is_up = False
                self._after(seconds, self._restart_broker)
                return True
            case Kind.CUT:
                fleet.proxy.break_all()
                self._after(seconds, fleet.proxy.heal)
                return True
            case Kind.COMMIT_UNSENT:
                fleet.proxy.cut(END_TXN, "unsent")
                return True
            case Kind.COMMIT_UNANSWERED:
                fleet.proxy.cut(END_TXN, "unanswered")
                return True
            case _:
                raise AssertionError(f"this nemesis knows no {fault.kind}")

    def _restart_broker(self) -> None:
        self._cluster.restart()
        self._broker_is_up = True

    def _after(self, seconds: float, action: Callable[[], object]) -> None:
        heappush(self._later, (time.monotonic() + seconds, next(self._numbers), action))


def run_storm(
    seed: int, folder: Path, *, say: Callable[[str], None] = print, nemesis_seconds: float = NEMESIS_SECONDS
) -> Report:
    """A storm with the faults that follow from the seed, on a broker of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    with broker(provider="local") as cluster:
        return Storm(cluster, folder, seed, say, nemesis_seconds).run()
