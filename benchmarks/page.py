"""The tables of docs/performance.md, out of runs' JSON: `python -m benchmarks.page FILE …` writes them there.

Each file is a run; each of its engines gets a table, in the order of the files.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.figures import Figure, Report, cells

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- figures: python -m benchmarks.page FILE -->", "<!-- end of figures -->"
COLUMNS = ("measured", "bare loop", "ratio", "target", "reached")
ENGINES = {
    "kafka": "Kafka",
    "embedded": "the embedded engine",
    "embedded-fsync": "the embedded engine with `?fsync=commit`",
    "memory": "the memory engine",
}


def page(reports: Sequence[Report]) -> str:
    """For each run and engine: when and where, and a line for each figure."""
    return "\n\n".join(
        f"{about(found)}\n\n{_table(ENGINES[engine], [one for one in found.figures if one.engine == engine])}"
        for found in reports
        for engine in ENGINES
        if any(one.engine == engine for one in found.figures)
    )


def about(found: Report, packages: Sequence[str] = ()) -> str:
    """When and on what it was measured, with the versions of these packages."""
    machine, rounds = found.machine, found.options["rounds"]
    versions = [f"{name} {found.versions[name]}" for name in packages if name in found.versions]
    said = ", ".join([f"Python {found.versions['python']}", *versions])
    times = "One round" if rounds == "1" else f"Medians of {rounds} rounds"
    return (
        f"{found.at[:10]}: {machine['cores']} cores, {machine['memory']}, {machine['system']}, {said}. "
        f"{times}, load {machine['load']} at the end; a write that is synced took {machine['sync']}."
    )


def splice(begin: str, end: str, text: str) -> None:
    """Put a text between two marks of the page."""
    before, rest = PAGE.read_text().split(begin)
    PAGE.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end, 1)[1]}")


def read(file: str) -> Report:
    """A run's report."""
    return msgspec.json.decode(Path(file).read_bytes(), type=Report)


def _table(engine: str, figures: Sequence[Figure]) -> str:
    found = [cells(figure) for figure in figures]
    lines = [
        (f"figure, on {engine}", *COLUMNS),
        ["---"] * (len(COLUMNS) + 1),
        *([each["figure"], *(each[column] for column in COLUMNS)] for each in found),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(files: Sequence[str]) -> None:
    """Write them into the page."""
    splice(BEGIN, END, page([read(file) for file in files]))


if __name__ == "__main__":
    main(sys.argv[1:])
