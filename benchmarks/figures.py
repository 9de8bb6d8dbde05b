"""Measured figures: a value, the bare loop's beside it, what was aimed at, and what was on disk by then."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from tempfile import NamedTemporaryFile

import msgspec
from rich.table import Table

_PACKAGES = ("confluent-kafka", "rocksdict", "fastavro", "pydantic", "msgspec")
_GIB = 1024**3
_COLUMNS = ("figure", "engine", "measured", "bare loop", "ratio", "target", "reached", "synced when acknowledged")
_WORDS = ("figure", "synced when acknowledged")


class Target(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was aimed at: a bound of the value, or of its ratio to the bare loop's."""

    at_least: float | None = None
    at_most: float | None = None
    ratio: float | None = None
    """The value is at least so many times the bare loop's."""

    def __str__(self) -> str:
        if self.ratio is not None:
            return f"≥ {self.ratio:g} of bare"
        return f"≥ {self.at_least:,.0f}" if self.at_least is not None else f"≤ {self.at_most or 0:g}"


class Figure(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the table."""

    name: str
    value: float
    unit: str
    """`/s`, `µs`, `ms`, `s` or `MiB`."""
    bare: float | None = None
    target: Target | None = None
    synced: str = ""
    """What has been synced to disk when an append is acknowledged; empty where the figure is about something else."""
    bench: str = ""
    engine: str = ""
    """Both are filled in by who runs the benchmark."""

    @property
    def ratio(self) -> float | None:
        """How many times the bare loop's value it is."""
        return None if not self.bare else self.value / self.bare

    @property
    def is_reached(self) -> bool | None:
        """Whether it is as aimed at; None without an aim, or without the bare loop that the aim is about."""
        aim = self.target
        if aim is None:
            return None
        if aim.ratio is not None:
            return None if self.ratio is None else self.ratio >= aim.ratio
        return self.value >= aim.at_least if aim.at_least is not None else self.value <= (aim.at_most or 0)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of a run: where, when, with what, and the figures."""

    at: str
    machine: dict[str, str]
    versions: dict[str, str]
    options: dict[str, str]
    figures: Sequence[Figure]
    failed: Sequence[str] = ()
    """Benchmarks that ended with an error."""
    left_out: Sequence[str] = ()
    """Other event stores that are not installed here, and how to install them."""


def report(
    figures: Sequence[Figure],
    options: dict[str, str],
    failed: Sequence[str] = (),
    left_out: Sequence[str] = (),
    peers: Mapping[str, str] | None = None,
) -> Report:
    """The report of a run that ends now, on this machine. Its load tells whether others used it too.

    `peers`: the versions of other event stores.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    return Report(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine={
            "cores": str(os.cpu_count()),
            "memory": f"{memory:.0f} GiB",
            "system": f"{platform.system()} {platform.machine()}",
            "load": f"{os.getloadavg()[0]:.1f}",
            "sync": f"{_sync_ms():.2g} ms",
        },
        versions={"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}, **(peers or {})},
        options=options,
        figures=figures,
        failed=failed,
        left_out=left_out,
    )


def _sync_ms(times: int = 25) -> float:
    """How long a record of 100 bytes takes to be on the disk where the benchmarks work."""
    took: list[float] = []
    with NamedTemporaryFile(prefix="sagalog-bench-") as file:
        for _ in range(times):
            began = time.perf_counter()
            file.write(bytes(100))
            file.flush()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1_000)
    return statistics.median(took)


def p99(took: Sequence[float]) -> float:
    """The 99th percentile; of a single value, that one."""
    return statistics.quantiles(took, n=100)[98] if len(took) > 1 else took[0]


def medians(figures: Iterable[Figure]) -> list[Figure]:
    """One figure of several rounds': the medians of the values, and of the bare loops'. Those of one name together."""
    rounds: dict[tuple[str, str], dict[str, list[Figure]]] = {}
    for figure in figures:
        rounds.setdefault((figure.bench, figure.name), {}).setdefault(figure.engine, []).append(figure)
    return [_median(same) for engines in rounds.values() for same in engines.values()]


def _median(same: Sequence[Figure]) -> Figure:
    bare = [figure.bare for figure in same if figure.bare is not None]
    return msgspec.structs.replace(
        same[0],
        value=statistics.median(figure.value for figure in same),
        bare=statistics.median(bare) if bare else None,
    )


def table(found: Report) -> Table:
    """What people read. A column is there if a figure has something to say in it."""
    machine = found.machine
    title = (
        f"{found.at}, {machine['cores']} cores, load {machine['load']}, a synced write {machine['sync']}, "
        f"Python {found.versions['python']}"
    )
    made = Table(title=title, title_justify="left")
    rows = [cells(figure) for figure in found.figures]
    columns = [name for name in _COLUMNS if any(row[name] for row in rows)]
    for name in columns:
        made.add_column(name, justify="left" if name in _WORDS else "right")
    for before, figure, row in zip([None, *found.figures], found.figures, rows, strict=False):
        if before is not None and before.bench != figure.bench:
            made.add_section()
        made.add_row(*("[bold]no[/bold]" if row[name] == "no" else row[name] for name in columns))
    return made


def cells(figure: Figure) -> dict[str, str]:
    """What stands in the table's columns."""
    return {
        "figure": figure.name,
        "engine": figure.engine,
        "measured": _number(figure.value, figure.unit),
        "bare loop": "" if figure.bare is None else _number(figure.bare, figure.unit),
        "ratio": "" if figure.ratio is None else f"{figure.ratio:.2f}",
        "target": "" if figure.target is None else str(figure.target),
        "reached": {None: "", True: "yes", False: "no"}[figure.is_reached],
        "synced when acknowledged": figure.synced,
    }


def _number(value: float, unit: str) -> str:
    text = f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"
    return f"{text}{unit}" if unit == "/s" else f"{text} {unit}"
