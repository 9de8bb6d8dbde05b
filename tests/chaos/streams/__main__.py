"""Storms over streams alone, one after the other, until the time is over.

python -m tests.chaos.streams [--minutes N] [--seed S] [--nodes 1|3] [--folder DIR] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.streams.report import Summary
from tests.chaos.streams.storm import NEMESIS_SECONDS, run_storm


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns 0 if nothing was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.streams", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None, help="of the first storm; each further one has the next")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="of the Kafka")
    parser.add_argument("--seconds", type=float, default=NEMESIS_SECONDS, help="how long faults go on in each storm")
    parser.add_argument("--folder", type=Path, default=None, help="where processes write; kept")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON, and nothing else")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))  # so that what was started is stopped
    seed = random.randrange(1_000_000) if chosen.seed is None else chosen.seed
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="sagalog-streams-"))
    summary, end = Summary(), time.monotonic() + chosen.minutes * 60
    to = sys.stderr if chosen.json else sys.stdout
    while not summary.storms or time.monotonic() < end:
        print(f"storm over streams with seed {seed}, logs in {folder / str(seed)}", file=to, flush=True)
        report = run_storm(
            seed, folder / str(seed), nodes=chosen.nodes, seconds=chosen.seconds,
            say=lambda line: print(line, file=to, flush=True),
        )  # fmt: skip
        print("\n".join(summary.add(report)), file=to, flush=True)
        seed += 1
    print(json.dumps(summary.as_json(), indent=2) if chosen.json else "\n".join(summary.lines()))
    return 1 if summary.violations else 0


if __name__ == "__main__":
    sys.exit(main())
