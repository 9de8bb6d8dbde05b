"""The table of docs/performance.md, out of a run's JSON: `python -m benchmarks.peers.page FILE` writes it there."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from benchmarks.figures import Figure, Report
from benchmarks.page import about, read, splice
from benchmarks.setting import Engine, Peer

BEGIN, END = "<!-- peers: python -m benchmarks.peers.page FILE -->", "<!-- end of peers -->"
_STORES: dict[Engine | Peer, str] = {
    "embedded": "sagalog, `embedded:///…`",
    "embedded-fsync": "sagalog, `embedded:///…?fsync=commit`",
    "kafka": "sagalog, `kafka://…`",
    "eventsourcing-sqlite": "eventsourcing on SQLite",
    "eventsourcing-postgresql": "eventsourcing on PostgreSQL",
    "umadb": "UmaDB",
}
_COLUMNS = {
    "appends, 1 writer": "appends a second, 1 writer",
    "appends, 16 writers": "16 writers",
    "appends, 64 writers": "64 writers",
    "append p50, 1 writer": "append p50, 1 writer, ms",
    "append p50, 64 writers": "64 writers, ms",
    "load of 100 events, p50": "load of 100 events, p50, ms",
    "load of 100 events, p99": "p99, ms",
    "load of a long stream, all folded": "of 100,000 events, ms",
    "load of a long stream, snapshot, p50": "from its snapshot, p50, ms",
}
_VERSIONS = ("eventsourcing", "psycopg", "postgresql", "umadb")


def page(found: Report) -> str:
    """When and where it was measured, a line for each store, and which targets were missed."""
    figures = {(figure.engine, figure.name): figure for figure in found.figures if figure.bench == "peers"}
    stores = {engine: label for engine, label in _STORES.items() if any(known[0] == engine for known in figures)}
    head = ["store", "synced when an append returns", *_COLUMNS.values()]
    rows = [
        [label, figures[engine, "appends, 1 writer"].synced, *(_cell(figures.get((engine, name))) for name in _COLUMNS)]
        for engine, label in stores.items()
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        [about(found, _VERSIONS), "", *(f"| {' | '.join(line)} |" for line in lines), "", _missed(figures.values())]
    )


def _missed(figures: Iterable[Figure]) -> str:
    missed = [
        f"{figure.name} on {figure.engine} ({_cell(figure)}, aimed at {figure.target})"
        for figure in figures
        if figure.is_reached is False
    ]
    return f"Targets missed in this run: {'; '.join(missed)}." if missed else "All targets were reached in this run."


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    return f"{figure.value:,.0f}" if figure.value >= 100 else f"{figure.value:.2g}"


def main(arguments: Sequence[str]) -> None:
    """Write it into the page."""
    splice(BEGIN, END, page(read(arguments[0])))


if __name__ == "__main__":
    main(sys.argv[1:])
