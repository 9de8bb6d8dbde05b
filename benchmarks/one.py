"""Run one benchmark in this process and print its figures as JSON: `python -m benchmarks.one append --engine kafka …`.

This is what to run under a profiler.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from benchmarks.figures import Figure
from benchmarks.setting import PEERS, Engine, Peer, Setting
from sagalog.logs import configure_unless_done

USUAL: tuple[Engine, ...] = ("kafka", "embedded")
ALL: tuple[Engine, ...] = (*USUAL, "memory")
SYNCED: tuple[Engine, ...] = ("kafka", "embedded", "embedded-fsync")


@dataclass(frozen=True, slots=True)
class Bench:
    """A module with `measure(setting) -> list of figures`."""

    module: str
    engines: Sequence[Engine | Peer] = ALL
    usual: Sequence[Engine | Peer] = USUAL
    """Those that it runs on if nobody says which."""
    is_usual: bool = True
    """Whether it runs if nobody says which."""


BENCHES = {
    "commands": Bench("benchmarks.commands"),
    "restore": Bench("benchmarks.restores"),
    "failover": Bench("benchmarks.failovers", ("kafka",), ("kafka",), is_usual=False),
    "append": Bench("benchmarks.appends", (*SYNCED, "memory"), SYNCED),
    "load": Bench("benchmarks.loads"),
    "view": Bench("benchmarks.stateful"),
    "state": Bench("benchmarks.states"),
    "state-restore": Bench("benchmarks.state_restores"),
    "worker": Bench("benchmarks.jobs"),
    "saga": Bench("benchmarks.trips"),
    "footprint": Bench("benchmarks.footprint", ("kafka",), ("kafka",)),
    "peers": Bench("benchmarks.peers.beside", (*SYNCED, "memory", *PEERS), (*SYNCED, *PEERS), is_usual=False),
}
ENGINES: tuple[Engine | Peer, ...] = (*SYNCED, "memory", *PEERS)


def measure(name: str, setting: Setting) -> list[Figure]:
    """Run it. Its module is imported only now, so that the others cost nothing."""
    found: list[Figure] = importlib.import_module(BENCHES[name].module).measure(setting)
    return [msgspec.structs.replace(figure, bench=name, engine=setting.engine) for figure in found]


def main() -> None:
    """Run the benchmark that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=list(BENCHES))
    parser.add_argument("--engine", choices=list(ENGINES), default="kafka")
    parser.add_argument("--bootstrap", default="", help="a Kafka's host:port")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--events", type=int)
    options = parser.parse_args()
    configure_unless_done()
    with TemporaryDirectory(prefix="sagalog-bench-") as folder:
        setting = Setting(options.engine, options.bootstrap, Path(folder), options.quick, options.events)
        figures = measure(options.name, setting)
    sys.stdout.buffer.write(msgspec.json.encode(figures))


if __name__ == "__main__":
    main()
