"""Run the benchmarks: `python -m benchmarks [--engine kafka] [--only append] [--quick] [--rounds 3] [--json FILE]`.

Each benchmark runs in a process of its own, so that none inherits another's threads, caches or garbage. Kafka is the
one at KAFKA_BOOTSTRAP, or one that is started for the run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
from rich.console import Console

from benchmarks.figures import Figure, Report, medians, report, table
from benchmarks.one import BENCHES
from benchmarks.setting import Engine
from sagalog.broker import broker

ENGINES: tuple[Engine, ...] = ("kafka", "embedded")
TIMEOUT_S = 300.0
_FIGURES = msgspec.json.Decoder(list[Figure])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write what there is after each benchmark; 1 if one failed."""
    options = _parser().parse_args(arguments)
    console = Console(width=max(110, Console().width))
    engines: list[Engine] = options.engine or list(ENGINES)
    figures: list[Figure] = []
    failed: list[str] = []
    with ExitStack() as stack:
        bootstrap = stack.enter_context(broker(say=console.print)).bootstrap if "kafka" in engines else ""
        for name, engine in _runs(options.only, engines, options.rounds):
            console.print(f"[dim]{name} on {engine} …[/dim]")
            found = _run(name, engine, bootstrap, options)
            figures.extend(found)
            if not found:
                failed.append(f"{name} on {engine}")
            if options.json:
                _write(report(medians(figures), _said(options), failed), options.json)
    console.print(table(report(medians(figures), _said(options), failed)))
    for name in failed:
        console.print(f"[bold]{name} failed[/bold]")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How fast it is, beside bare loops.")
    add, names = parser.add_argument, ", ".join(BENCHES)
    add("--engine", action="append", choices=["kafka", "embedded", "memory"], help="default: kafka and embedded")
    add("--only", action="append", choices=list(BENCHES), metavar="NAME", help=f"one of {names}")
    add("--quick", action="store_true", help="seconds each: shows that it works, not how fast it is")
    add("--rounds", type=int, default=1, help="measure so often, and give the medians")
    add("--events", type=int, help="records per benchmark, where that is a choice")
    add("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


def _runs(only: Sequence[str] | None, engines: Sequence[Engine], rounds: int) -> Iterator[tuple[str, Engine]]:
    """Names and engines, those of one name together. Rounds are far apart, so that a busy minute spoils but one."""
    for _ in range(rounds):
        for name in only or BENCHES:
            for engine in engines:
                if engine in BENCHES[name].engines:
                    yield name, engine


def _run(name: str, engine: Engine, bootstrap: str, options: argparse.Namespace) -> list[Figure]:
    """The figures of one benchmark; none if it failed, having said why."""
    command = [sys.executable, "-m", "benchmarks.one", name, "--engine", engine]
    command += ["--bootstrap", bootstrap] if engine == "kafka" else []
    command += ["--quick"] if options.quick else []
    command += ["--events", str(options.events)] if options.events else []
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=TIMEOUT_S, check=True)
    except subprocess.SubprocessError as error:
        print(error, file=sys.stderr)
        return []
    return _FIGURES.decode(done.stdout)


def _said(options: argparse.Namespace) -> dict[str, str]:
    return {"quick": str(options.quick), "rounds": str(options.rounds), "events": str(options.events or "usual")}


def _write(made: Report, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")


if __name__ == "__main__":
    sys.exit(main())
