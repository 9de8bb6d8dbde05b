"""Storms, one after the other, until the time is over: of the airline and over streams, in turn.

python -m tests.chaos [--minutes N] [--seed S] [--only airline|streams] [--nodes 1|3] [--folder DIR] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.chaos.report import Summary
from tests.chaos.storm import run_storm
from tests.chaos.streams import report as of_streams
from tests.chaos.streams import storm as over_streams

KINDS = ("streams", "airline")
NODES = (1, 3)


class Run:
    """Storms and what came out."""

    def __init__(self, folder: Path, nodes: int | None, seconds: float, say: Callable[[str], None]) -> None:
        """`nodes`: of the Kafka of storms over streams; None: one and three in turn. `seconds`: of faults in them."""
        self._folder, self._nodes, self._seconds, self._say = folder, nodes, seconds, say
        self.airline, self.streams = Summary(say), of_streams.Summary()

    def storm(self, kind: str, seed: int) -> None:
        """One storm of a kind."""
        folder, nodes = self._folder / f"{kind}-{seed}", self._nodes or NODES[self.streams.storms % len(NODES)]
        where = f" on {nodes} nodes" if kind == "streams" else ""
        self._say(f"{kind}: storm with seed {seed}{where}, logs in {folder}")
        if kind == "airline":
            self.airline.add(run_storm(seed, folder, say=self._say))
        else:
            found = over_streams.run_storm(seed, folder, nodes=nodes, seconds=self._seconds, say=self._say)
            for line in self.streams.add(found):
                self._say(line)

    @property
    def violations(self) -> list[str]:
        return [*self.airline.violations, *self.streams.violations]

    def lines(self) -> list[str]:
        """The tables of what was run."""
        lines = self.airline.lines() if self.airline.storms else []
        return [*lines, *(self.streams.lines() if self.streams.storms else [])]

    def as_json(self) -> str:
        """The same, for programs."""
        return json.dumps({"airline": self.airline.as_json(), "streams": self.streams.as_json()}, indent=2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns 0 if nothing was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None, help="of the first storm; each further one has the next")
    parser.add_argument("--only", choices=KINDS, default=None, help="storms of this kind alone")
    parser.add_argument("--nodes", type=int, choices=NODES, default=None, help="of storms over streams; else in turn")
    parser.add_argument("--seconds", type=float, default=over_streams.NEMESIS_SECONDS, help="of faults over streams")
    parser.add_argument("--folder", type=Path, default=None, help="where processes write; kept")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON, and all else to stderr")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))  # so that what was started is stopped
    seed = random.randrange(1_000_000) if chosen.seed is None else chosen.seed
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="sagalog-chaos-"))
    to = sys.stderr if chosen.json else sys.stdout
    kinds = (chosen.only,) if chosen.only else KINDS
    run = Run(folder, chosen.nodes, chosen.seconds, lambda line: print(line, file=to, flush=True))
    storms, end = 0, time.monotonic() + chosen.minutes * 60
    while not storms or time.monotonic() < end:
        run.storm(kinds[storms % len(kinds)], seed + storms)
        storms += 1
    print(run.as_json() if chosen.json else "\n".join(run.lines()))
    return 1 if run.violations else 0


if __name__ == "__main__":
    sys.exit(main())
