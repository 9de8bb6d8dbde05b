"""Storms, one after the other, until the time is over.

python -m tests.chaos [--minutes N] [--seed S] [--folder DIR]
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.report import Summary
from tests.chaos.storm import run_storm


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns 0 if nothing was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None, help="of the first storm; each further one has the next")
    parser.add_argument("--folder", type=Path, default=None, help="where processes write; kept")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))  # so that what was started is stopped
    seed = random.randrange(1_000_000) if chosen.seed is None else chosen.seed
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="sagalog-chaos-"))
    summary, end = Summary(), time.monotonic() + chosen.minutes * 60
    while not summary.storms or time.monotonic() < end:
        print(f"storm with seed {seed}, logs in {folder / str(seed)}", flush=True)
        report = run_storm(seed, folder / str(seed), say=lambda line: print(line, flush=True))
        summary.add(report)
        seed += 1
    print("\n".join(summary.lines()))
    return 1 if summary.violations else 0


if __name__ == "__main__":
    sys.exit(main())
