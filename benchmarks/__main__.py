"""Run the benchmarks: `python -m benchmarks [--engine kafka] [--only append] [--quick] [--rounds 3] [--json FILE]`.

Each benchmark runs in a process of its own, so that none inherits another's threads, caches or garbage. Kafka is the
one at KAFKA_BOOTSTRAP, or one that is started for the run, with the JVM's optimising compiler, and made warm.
`--peers` adds other event stores, those that are installed.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import msgspec
from rich.console import Console

from benchmarks.figures import Figure, Report, medians, report, table
from benchmarks.one import BENCHES, ENGINES
from benchmarks.peers.presence import missing, versions
from benchmarks.setting import PEERS, Engine, Peer
from sagalog.broker import broker

TIMEOUT_S = 1_200.0
END_S = 60.0
WARMING = ("commands", "append", "saga")
WARMING_RECORDS = 60_000
_FIGURES = msgspec.json.Decoder(list[Figure])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write what there is after each benchmark; 1 if one failed."""
    options = _parser().parse_args(arguments)
    names = _names(options)
    console = Console(width=max(150 if "peers" in names else 110, Console().width))
    left_out = _left_out(names, options.engine)
    runs = [run for run in _runs(names, options.engine, options.rounds) if run[1] not in left_out]
    peers = versions([peer for peer in PEERS if any(engine == peer for _, engine in runs)])
    figures: list[Figure] = []
    failed: list[str] = []

    def made() -> Report:
        return report(medians(figures), _said(options), failed, list(left_out.values()), peers)

    with ExitStack() as stack:
        has_kafka = any(engine == "kafka" for _, engine in runs)
        bootstrap = _kafka(stack, options, console) if has_kafka else ""
        for name, engine in runs:
            console.print(f"[dim]{name} on {engine} …[/dim]")
            found = _run(name, engine, bootstrap, options)
            figures.extend(found)
            if not found:
                failed.append(f"{name} on {engine}")
            if options.json:
                _write(made(), options.json)
    console.print(table(made()))
    for line in left_out.values():
        console.print(f"left out: {line}", markup=False)
    for name in failed:
        console.print(f"[bold]{name} failed[/bold]")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How fast it is, beside bare loops.")
    add, names = parser.add_argument, ", ".join(BENCHES)
    add("--engine", action="append", choices=list(ENGINES), help="default: all of ours that a benchmark is about")
    add("--only", action="append", choices=list(BENCHES), metavar="NAME", help=f"one of {names}")
    add("--peers", action="store_true", help="other event stores too, beside ours, as --only peers does alone")
    add("--quick", action="store_true", help="seconds each: shows that it works, not how fast it is")
    add("--rounds", type=int, default=1, help="measure so often, and give the medians")
    add("--events", type=int, help="records per benchmark, where that is a choice")
    add("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


def _names(options: argparse.Namespace) -> list[str]:
    usual = [name for name, bench in BENCHES.items() if bench.is_usual]
    return options.only or [*usual, *(["peers"] if options.peers else [])]


def _runs(
    names: Sequence[str], engines: Sequence[Engine | Peer] | None, rounds: int
) -> Iterator[tuple[str, Engine | Peer]]:
    """Names and engines, those of one name together. Rounds are far apart, so that a busy minute spoils but one."""
    for _ in range(rounds):
        for name in names:
            for engine in engines or BENCHES[name].usual:
                if engine in BENCHES[name].engines:
                    yield name, engine


def _kafka(stack: ExitStack, options: argparse.Namespace, console: Console) -> str:
    """Where Kafka is. One that was started now has run each of its busy paths, so that they are compiled."""
    bootstrap = stack.enter_context(broker(is_optimised=True, say=console.print)).bootstrap
    if not options.quick and "KAFKA_BOOTSTRAP" not in os.environ:
        for name in WARMING:
            console.print(f"[dim]{name} on kafka, to make it warm …[/dim]")
            _run(name, "kafka", bootstrap, argparse.Namespace(quick=False, events=WARMING_RECORDS))
    return bootstrap


def _left_out(names: Sequence[str], engines: Sequence[Engine | Peer] | None) -> dict[Engine | Peer, str]:
    """The other event stores that cannot be measured here, and how they could."""
    wanted = {engine for _, engine in _runs(names, engines, 1)}
    return {peer: why for peer in PEERS if peer in wanted and (why := missing(peer)) is not None}


def _run(name: str, engine: Engine | Peer, bootstrap: str, options: argparse.Namespace) -> list[Figure]:
    """The figures of one benchmark; none if it failed, having said why."""
    command = [sys.executable, "-m", "benchmarks.one", name, "--engine", engine]
    command += ["--bootstrap", bootstrap] if engine == "kafka" else []
    command += ["--quick"] if options.quick else []
    command += ["--events", str(options.events)] if options.events else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            printed, _ = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            print(error, file=sys.stderr)
            return []
        finally:
            if process.poll() is None:
                _end(process)
    if process.returncode:
        print(f"{' '.join(command)} ended with {process.returncode}", file=sys.stderr)
        return []
    return _FIGURES.decode(printed)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let it stop its servers and remove its folder, but not for ever."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def _terminated(number: int, _: object) -> NoReturn:
    """End as after Ctrl-C, with what was started."""
    sys.exit(128 + number)


def _said(options: argparse.Namespace) -> dict[str, str]:
    return {"quick": str(options.quick), "rounds": str(options.rounds), "events": str(options.events or "usual")}


def _write(made: Report, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(main())
