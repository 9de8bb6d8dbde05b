"""The storm, with a kill −9 in the middle.

`python -m examples.airline [--engine embedded|kafka] [--folder DIR] [--json]`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from examples.airline.books import Books
from examples.airline.demo import DemoFailed, Figures, clear, place, run
from examples.airline.rebooking import Rebook
from sagas.reading import saga_history
from sagas.timeline import lines, timeline

PROCESSES = {"embedded": 1, "kafka": 3}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code: 0 if the books are right."""
    parser = argparse.ArgumentParser(prog="python -m examples.airline", description=__doc__)
    parser.add_argument("--engine", choices=sorted(PROCESSES), default="embedded")
    parser.add_argument("--folder", type=Path, help="where the embedded log is kept; default .sagalog/airline")
    parser.add_argument("--json", action="store_true", help="the figures as JSON on standard output")
    chosen = parser.parse_args(arguments)
    console = Console(stderr=chosen.json)
    home: Path = chosen.folder or Path(".sagalog") / ("airline" if chosen.engine == "embedded" else "airline-on-kafka")
    clear(home)
    figures = Figures(chosen.engine, PROCESSES[chosen.engine])
    console.print("The storm of 8 to 10 February 2013 over New York: 2,443 flights, their travellers, one kill -9.")
    with place(chosen.engine, home) as (url, folder):
        try:
            books = run(url, folder, figures, console)
        except DemoFailed as failed:
            console.print(f"[red]{failed}[/red]", highlight=False)
            return 1
        example = most_telling(books)
        history = asyncio.run(saga_history(url, Rebook.__saga__, example)) if example else []
    violations = books.violations()
    if chosen.json:
        json.dump(as_json(figures, books), sys.stdout, indent=2)
        print()
    else:
        _show(console, figures, books, example)
        for line in lines(timeline(history)):
            console.print(f"  {line}", highlight=False, soft_wrap=True)
        _next(console, chosen.engine, home, example)
    for violation in violations[:20]:
        console.print(f"[red]violation: {violation}[/red]", highlight=False)
    return 1 if violations else 0


def most_telling(books: Books) -> str:
    """An undone party that had got the furthest: the later the refusal, the more there was to undo."""
    order = ("settle: ", "rooms: ", "")
    ranked = sorted(books.undone, key=lambda party: (_place(books.undone[party], order), party))
    beds = [
        party for party in ranked if books.undone[party].startswith("settle") and books.expected[party].leaves_next_day
    ]
    return next(iter([*beds, *ranked]), "")


def _place(reason: str, order: Sequence[str]) -> int:
    return next(place for place, start in enumerate(order) if reason.startswith(start))


def as_json(figures: Figures, books: Books) -> dict[str, object]:
    """The figures for machines."""
    return {
        **asdict(figures),
        "flights": books.flights,
        "cancelled": books.cancelled,
        "parties": len(books.expected),
        "rebooked": len(books.completed),
        "undone": len(books.undone),
        "reasons": dict(books.reasons().most_common()),
        "violations": books.violations(),
    }


def _show(console: Console, figures: Figures, books: Books, example: str) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2))
    rows = [
        ("flights", f"{books.flights:,}, of which {books.cancelled:,} were cancelled"),
        ("parties of travellers", f"{len(books.expected):,}"),
        ("rebooked", f"{len(books.completed):,}"),
        ("undone", f"{len(books.undone):,}"),
        *((f"    {reason}", f"{count:,}") for reason, count in books.reasons().most_common()),
        ("seats oversold", str(sum("rooms" not in one for one in books.oversold))),
        ("orphan bookings", str(sum(one.startswith(("seats of", "rooms of")) for one in books.violations()))),
        ("forked or lost versions", str(len(books.forks))),
        ("killed", f"process {figures.processes - 1}; rebookings went on after {figures.down_seconds:.1f} s"),
        ("time", f"{figures.seconds:.1f} s on {figures.engine}, {processes_in_words(figures.processes)}"),
    ]
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if not books.violations():
        console.print("The books are right: every party is rebooked or left no trace (read from the log alone).")
    if example:
        console.print(f"\nOne that was undone, {example}:")


def processes_in_words(count: int) -> str:
    """One process, or several processes."""
    return "1 process" if count == 1 else f"{count} processes"


def _next(console: Console, engine: str, folder: Path, example: str) -> None:
    sagalog = _command()
    if engine != "embedded":
        console.print(
            f"\nThis Kafka is gone with the demo. Next: `{sagalog} broker --folder ./kafka` keeps one; "
            "docs/tutorial.md writes a saga of your own.",
            soft_wrap=True,
        )
        return
    url = f"embedded://{folder / 'log'}" if folder.is_absolute() else f"embedded:{folder / 'log'}"
    console.print("\nNext:")
    for command in (
        f"{sagalog} saga list rebook --log {url}",
        f"{sagalog} saga show rebook '{example}' --log {url}",
        f"{sagalog} topics --log {url}",
        "make demo ENGINE=kafka",
    ):
        console.print(f"  {command}", highlight=False, soft_wrap=True)


def _command() -> str:
    """How this environment's `sagalog` is called from here."""
    beside = Path(sys.executable).with_name("sagalog")
    if not beside.exists():
        return f"{sys.executable} -m sagalog"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)


if __name__ == "__main__":
    sys.exit(main())
