"""How long sagas wait when their process is killed: `python -m tests.chaos.failover [--kills N] [--folder DIR]`.

A process is killed (kill −9) while every partition of the sagas is at work. The time is measured until each partition
that the dead process had goes on, by the timestamps of the events. Then the next one is killed, in turn. K14: ≤ 10 s.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from eventstore.log import open_log
from examples.airline.demo import expected_parties
from sagalog.broker import broker
from tests.chaos.fleet import Fleet
from tests.chaos.ledger import Ledger

TARGET_SECONDS = 10.0
PROCESSES = 3
PATIENCE_SECONDS = 120.0
ENOUGH_LEFT = 500
"""Sagas that must be left, so that every partition has work."""


class Failover:
    """One storm in which processes are killed one after the other."""

    def __init__(self, bootstrap: str, folder: Path, say: Callable[[str], None]) -> None:
        self._log, self._say = open_log(f"kafka://{bootstrap}"), say
        self._fleet = Fleet(bootstrap, folder, processes=PROCESSES, proxied=None)
        self._ledger = Ledger(self._log)
        self._total = expected_parties()

    def run(self, kills: int) -> list[float]:
        """Seconds for each kill; fewer than `kills` when the storm is over before."""
        found: list[float] = []
        try:
            self._fleet.start_all()
            self._wait(lambda: self._ledger.ended > 0)
            while len(found) < kills and self._settle() and self._total - self._ledger.ended > ENOUGH_LEFT:
                seconds = self._kill(len(found) % PROCESSES)
                if seconds is not None:
                    found.append(seconds)
            return found
        finally:
            self._fleet.close()
            self._ledger.close()
            self._log.close()

    def _settle(self) -> bool:
        """All processes have sagas, and all run. False: the storm is over."""
        self._wait(
            lambda: (
                self._ledger.ended >= self._total
                or (self._fleet.are_all_up() and set(self._ledger.owners("airline").values()) == set(range(PROCESSES)))
            )
        )
        return self._ledger.ended < self._total

    def _kill(self, victim: int) -> float | None:
        hit = {number for number, slot in self._ledger.owners("airline").items() if slot == victim}
        at_ms = time.time_ns() // 1_000_000
        self._fleet.kill(victim, away=0.5)
        times = self._ledger.times
        self._wait(
            lambda: (
                self._ledger.ended >= self._total or all(times[number] and times[number][-1] > at_ms for number in hit)
            )
        )
        first = [next((at for at in times[number] if at > at_ms), 0) for number in hit]
        if not first or not all(first):
            return None
        seconds = (max(first) - at_ms) / 1000
        self._say(
            f"  process {victim} with partitions {sorted(hit)}: {seconds:.1f} s, {self._ledger.ended} sagas ended"
        )
        return seconds

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            self._fleet.tick()
            self._ledger.follow(0.05)
            if time.monotonic() > deadline:
                raise AssertionError(f"nothing more after {PATIENCE_SECONDS:g} s, {self._ledger.ended} sagas ended")


def measure(kills: int, folder: Path, say: Callable[[str], None]) -> list[float]:
    """Storm after storm, until there were enough kills."""
    found: list[float] = []
    while len(found) < kills:
        home = folder / str(len(found))
        home.mkdir(parents=True, exist_ok=True)
        with broker(provider="local") as cluster:
            found += Failover(cluster.bootstrap, home, say).run(kills - len(found))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; returns 0 if the slowest failover was within the target."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.failover", description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--folder", type=Path, default=None, help="where processes write; kept")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="sagalog-failover-"))
    found = measure(chosen.kills, folder, lambda line: print(line, flush=True))
    print(f"{len(found)} kills: sagas went on after {median(found):.1f} s (p50), {max(found):.1f} s (max)")
    return 0 if max(found) <= TARGET_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
