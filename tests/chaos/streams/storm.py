"""One storm over streams: owners and guests work on a Kafka of their own under the nemesis, then all is checked."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

from eventstore.log import open_log
from eventstore.processor.topics import events_of, state_of
from eventstore.testing.proxy import END_TXN, FETCH, HEARTBEAT, PRODUCE, TXN_OFFSET_COMMIT, KafkaProxy
from sagalog.broker import Cluster, broker
from tests.chaos.faults import DISTURBING, OVER_STREAMS, Fault, Kind
from tests.chaos.ledger import dead_letters
from tests.chaos.streams.checker import Verdict, check
from tests.chaos.streams.crew import Crew, Place
from tests.chaos.streams.following import Follower
from tests.chaos.streams.full_disk import Disk
from tests.chaos.streams.history import Disturbed, Recorder, now, read_histories
from tests.chaos.streams.log_scan import LogScan
from tests.chaos.streams.model import STORE
from tests.chaos.streams.unavailability import Hit, unavailability
from tests.chaos.streams.violations import Rule, Violation

OWNERS = 3
OWNER_CALLERS, GUEST_CALLERS = 6, 8
NEMESIS_SECONDS = 60.0
START_SECONDS, RECOVERY_SECONDS = 90.0, 90.0
CALM_SECONDS = 3.0
"""How long operations go on when everything runs again."""
CLEANED = {
    "segment.ms": "2000",
    "min.cleanable.dirty.ratio": "0.01",
    "min.compaction.lag.ms": "20000",
    "max.compaction.lag.ms": "25000",
}
"""Settings with which Kafka's cleaner goes over the topics again and again, after what it takes was read."""
DELAYED = (PRODUCE, FETCH, END_TXN, TXN_OFFSET_COMMIT, HEARTBEAT)


@dataclass
class Report:
    """What happened in one storm."""

    seed: int
    nodes: int = 1
    seconds: float = 0.0
    verdict: Verdict = field(default_factory=Verdict)
    faults: Counter[Kind] = field(default_factory=Counter[Kind])
    away: dict[Kind, list[float]] = field(default_factory=dict[Kind, list[float]])
    """Seconds from a fault to the next acknowledged append of each partition that it hit."""

    @property
    def violations(self) -> list[Violation]:
        return self.verdict.violations


class StreamStorm:
    """Runs one storm to its end."""

    def __init__(
        self, cluster: Cluster, folder: Path, report: Report, faults: list[Fault], say: Callable[[str], None],
        opened: ExitStack, *, environment: Mapping[str, str],
    ) -> None:  # fmt: skip
        self._cluster, self._folder, self._say, self._faults = cluster, folder, say, faults
        self.report = report
        self._log = open_log(f"kafka://{cluster.bootstrap}")
        opened.callback(self._log.close)
        self._proxy = KafkaProxy(cluster.bootstrap)
        opened.callback(self._proxy.close)
        self._disks = [Disk(folder / f"disk-{slot}") for slot in range(OWNERS)]
        for disk in self._disks:
            opened.callback(disk.close)
        self._direct, self._proxied = f"kafka://{cluster.bootstrap}", f"kafka://{self._proxy.bootstrap}"
        self._environment = environment
        self._crew = Crew(folder, self._places(), report.seed)
        opened.callback(self._crew.abandon)
        self._nemesis = Recorder(folder / "history" / "nemesis.jsonl")
        opened.callback(self._nemesis.close)
        self._scan = LogScan(self._log, STORE)
        opened.callback(self._scan.close)
        self._follower = Follower(self._log, self._scan)
        opened.callback(self._follower.close)
        self._down = set[int]()
        self._hits: list[Hit] = []
        self._later: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = count()

    def run(self) -> None:
        began = time.monotonic()
        self._crew.start_all()
        if self._await_appends(START_SECONDS):
            for topic in (events_of(STORE), state_of(STORE)):
                self._log.configure(topic, CLEANED)
            self._rage()
            self._end_faults()
            if self._await_appends(RECOVERY_SECONDS):
                self._await_subscribers(RECOVERY_SECONDS)
            self._calm()
        self._crew.close()
        self._check()
        self.report.seconds = time.monotonic() - began

    def _places(self) -> dict[str, Place]:
        behind_proxy = proxied_owner(self.report.seed)
        owners = {
            str(slot): Place(
                self._proxied if slot == behind_proxy else self._direct, self._disks[slot].folder / "state",
                OWNER_CALLERS, standby=slot == standby_owner(self.report.seed), environment=self._environment,
            )
            for slot in range(OWNERS)
        }  # fmt: skip
        guests = {
            "guest": Place(self._direct, None, GUEST_CALLERS),
            "guest-proxied": Place(self._proxied, None, GUEST_CALLERS),
        }
        return owners | guests

    def _await_appends(self, seconds: float) -> bool:
        """Every partition takes appends from now on."""
        since_ms, deadline = time.time_ns() // 1_000_000, time.monotonic() + seconds
        while not self._follower.are_past(since_ms):
            self._turn()
            if time.monotonic() > deadline:
                self._crew.tell_stacks()
                late = f"partitions {self._follower.not_past(since_ms)} took no append within {seconds:g} s"
                self.report.violations.append(Violation(Rule.RECOVERY, late))
                return False
        return True

    def _await_subscribers(self, seconds: float) -> None:
        """Every subscriber that there is goes on."""
        files = {file: file.stat().st_size for file in self._crew.subscribers()}
        deadline = time.monotonic() + seconds
        while files and time.monotonic() < deadline:
            self._turn()
            files = {file: size for file, size in files.items() if file.stat().st_size == size}
        for file in files:
            late = f"{file.stem} was given nothing within {seconds:g} s"
            self.report.violations.append(Violation(Rule.RECOVERY, late))

    def _calm(self) -> None:
        until = time.monotonic() + CALM_SECONDS
        while time.monotonic() < until:
            self._turn()

    def _rage(self) -> None:
        began = time.monotonic()
        while self._faults or self._later:
            if self._faults and time.monotonic() - began >= self._faults[0].at:
                self._inflict(self._faults.pop(0))
            while self._later and self._later[0][0] <= time.monotonic():
                heappop(self._later)[2]()
            self._turn()

    def _end_faults(self) -> None:
        self._proxy.heal()
        self._crew.heal()

    def _turn(self) -> None:
        self._crew.tick()
        self._follower.follow(0.05)

    def _check(self) -> None:
        final, history = self._scan.final(), read_histories(self._folder / "history")
        found, self.report.verdict = self.report.violations, check(history, final)
        self.report.violations.extend(found)
        self.report.violations.extend(Violation(Rule.PROCESS, problem) for problem in self._crew.problems)
        self.report.violations.extend(Violation(Rule.POISON, letter) for letter in dead_letters(self._log))
        self.report.away = unavailability(self._hits, history, final)

    # The nemesis

    def _inflict(self, fault: Fault) -> None:
        owners = self._follower.owners(STORE) if not self._down else {}
        at_ms, at = time.time_ns() // 1_000_000, now()
        if not self._apply(fault, at):
            return
        self._say(f"  {fault}")
        self.report.faults[fault.kind] += 1
        if fault.kind in (Kind.BROKER, Kind.BROKER_PAUSE, Kind.REBALANCE):
            hit = self._follower.partitions
        else:
            hit = {number for number, slot in owners.items() if slot in map(str, fault.victims)}
        self._hits.append(Hit(fault.kind, at_ms, frozenset(hit)))

    def _apply(self, fault: Fault, at: int) -> bool:
        slots, seconds = [str(victim) for victim in fault.victims], fault.seconds
        ended = (lambda: self._nemesis.write(Disturbed(at, now()))) if fault.kind in DISTURBING else (lambda: None)
        match fault.kind:
            case Kind.KILL | Kind.KILL_TWO:
                killed = [self._crew.kill(slot, away=seconds) for slot in slots]
                return any(killed)
            case Kind.TERMINATE:
                return self._crew.terminate(slots[0])
            case Kind.PAUSE | Kind.HANG:
                self._after(seconds, lambda: self._crew.resume(slots[0]), ended)
                return self._crew.freeze(slots[0])
            case Kind.HANG_AND_KILL:
                self._after(seconds, lambda: self._crew.kill(slots[0], away=1.0), ended)
                return self._crew.freeze(slots[0])
            case Kind.REBALANCE:
                return self._visit(seconds)
            case Kind.DISK:
                disk = self._disks[fault.victims[0]]
                disk.fill()
                self._after(seconds, disk.free)
                return True
            case Kind.BROKER | Kind.BROKER_PAUSE:
                return self._break_broker(fault, ended)
            case _:
                return self._break_network(fault, ended)

    def _visit(self, seconds: float) -> bool:
        """A member of the group comes and goes: in order, or by kill −9."""
        number = next(self._numbers)
        slot = f"visitor-{number}"
        self._crew.add(slot, Place(self._direct, self._folder / slot, 1, environment=self._environment))
        self._after(3.0 + seconds, lambda: self._leave(slot, in_order=bool(number % 2)))
        return True

    def _leave(self, slot: str, *, in_order: bool) -> None:
        if in_order:
            self._crew.dismiss(slot)
        else:
            self._crew.kill(slot, away=None)

    def _break_broker(self, fault: Fault, ended: Callable[[], object]) -> bool:
        node = fault.victims[0]
        if self._down:
            return False
        self._down.add(node)
        if fault.kind is Kind.BROKER:
            self._cluster.kill(node)
            mend = self._cluster.restart
        else:
            self._cluster.stop(node)
            mend = self._cluster.resume
        self._after(fault.seconds, lambda: mend(node), lambda: self._down.discard(node), ended)
        return True

    def _break_network(self, fault: Fault, ended: Callable[[], object]) -> bool:
        if fault.kind is Kind.CUT:
            self._proxy.break_all()
            self._after(fault.seconds, self._proxy.heal, ended)
        elif fault.kind is Kind.DELAY:
            for number, request in enumerate(DELAYED):
                self._proxy.delay(request, fault.seconds / (4 + 4 * number))
            self._after(fault.seconds, self._proxy.heal, ended)
        else:
            self._proxy.cut(END_TXN, "unsent" if fault.kind is Kind.COMMIT_UNSENT else "unanswered")
        return True

    def _after(self, seconds: float, *actions: Callable[[], object]) -> None:
        for action in actions:
            heappush(self._later, (time.monotonic() + seconds, next(self._numbers), action))


def proxied_owner(seed: int) -> int:
    """The owner whose connections go through the proxy."""
    return seed % OWNERS


def standby_owner(seed: int) -> int:
    """The owner that follows what the others own."""
    return (seed + 1) % OWNERS


def run_storm(
    seed: int,
    folder: Path,
    *,
    say: Callable[[str], None] = print,
    nodes: int = 1,
    seconds: float = NEMESIS_SECONDS,
    kinds: Collection[Kind] = tuple(Kind),
    environment: Mapping[str, str] | None = None,
) -> Report:
    """A storm with the faults that follow from the seed, on a broker of its own.

    `environment`: for the owners.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = Report(seed, nodes)
    faults = OVER_STREAMS.schedule(
        seed, processes=OWNERS, proxied=proxied_owner(seed), brokers=nodes, until=seconds, kinds=kinds
    )
    with broker(nodes, provider="local") as cluster, ExitStack() as opened:
        StreamStorm(cluster, folder, report, faults, say, opened, environment=environment or {}).run()
    return report
