"""Other event stores are measured as ours are, and left out by name where they are not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from threading import Event

import msgspec
import pytest

from benchmarks import __main__ as run
from benchmarks.figures import Figure, Report, Target, report, table
from benchmarks.loads import CENTS
from benchmarks.one import measure
from benchmarks.page import PAGE
from benchmarks.peers import beside, presence
from benchmarks.peers.page import BEGIN, END, page
from benchmarks.peers.writing import by_threads
from benchmarks.setting import PEERS, Setting
from tests.waiting import eventually

_ROOT = Path(__file__).parent.parent.parent


class _Store:
    """A store in a dictionary, which answers as late as a server does."""

    synced = "nothing"

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.reopened = 0
        self._answer = Event()

    def writer(self, stream: str) -> Callable[[], None]:
        def write() -> None:
            self._answer.wait(0.005)
            self.fill(stream, 1)

        return write

    def fill(self, stream: str, events: int, *, since: int = 0) -> None:
        assert since in (0, self.counts.get(stream, 0))
        self.counts[stream] = self.counts.get(stream, 0) + events

    def load(self, stream: str) -> int:
        return self.counts[stream] * CENTS

    def take_snapshot(self, stream: str) -> bool:
        return False

    def reopen(self) -> None:
        self.reopened += 1


def test_another_store_is_measured_as_ours_is(tmp_path: Path) -> None:
    """Its figures have the names of ours and say what it syncs, without an aim; first loads are by a new connection."""
    ours = measure("peers", Setting("embedded", "", tmp_path, quick=True))
    store = _Store()

    theirs = list(beside.figures_of(store, Setting("umadb", "", tmp_path, quick=True)))

    assert [figure.name for figure in theirs] == [figure.name for figure in ours][:-1]  # it has no snapshots
    assert [figure.name for figure in theirs[:4]] == [
        "appends, 1 writer",
        "append p50, 1 writer",
        "append p99, 1 writer",
        "appends, 16 writers",
    ]
    assert all(figure.synced == "nothing" for figure in theirs if figure.name.startswith("append"))
    assert not any(figure.target for figure in theirs)
    assert store.reopened == 1


def test_writers_do_not_wait_for_one_that_failed() -> None:
    """What it raised ends the benchmark at once."""

    def fail() -> None:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        by_threads([_Store().writer("account"), fail], 60.0)


def test_what_is_not_installed_is_left_out_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run without them is no failure: it says how they would be installed, in the file too."""
    monkeypatch.setattr(presence, "find_spec", dict[str, object]().get)
    file = tmp_path / "figures.json"

    code = run.main(
        [
            "--quick",
            "--only",
            "peers",
            "--json",
            str(file),
            "--engine",
            "memory",
            *(f"--engine={name}" for name in PEERS),
        ]
    )

    found = msgspec.json.decode(file.read_bytes(), type=Report)
    assert code == 0
    assert {figure.engine for figure in found.figures} == {"memory"}
    assert [line.split(":")[0] for line in found.left_out] == list(PEERS)
    assert "left out: umadb: umadb not installed: make bench PEERS=1" in capsys.readouterr().out


def test_postgresql_is_looked_for_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its packages are not enough: the server must be there."""
    monkeypatch.setattr(presence, "find_spec", str)
    monkeypatch.setattr(presence, "programs", lambda: None)

    assert presence.missing("eventsourcing-sqlite") is None
    assert "apt-get install postgresql" in str(presence.missing("eventsourcing-postgresql"))


def test_versions_of_others_are_told() -> None:
    """A figure without the version of what was measured says little."""
    assert presence.versions(["eventsourcing-sqlite"]) == {"eventsourcing": version("eventsourcing")}


def test_peers_are_added_to_what_runs_anyway() -> None:
    """`--peers` adds them and nothing else: benchmarks that run only when they are named stay out."""
    usual, peers = (run._names(run._parser().parse_args(given)) for given in ([], ["--peers"]))

    assert {"append", "load", "restore"} <= set(usual)
    assert "failover" not in usual
    assert peers == [*usual, "peers"]


def test_other_stores_are_asked_for() -> None:
    """Nobody who measures sagalog needs them: `make bench` runs without, `make bench PEERS=1` installs them."""
    plain, peers = (
        subprocess.run(
            ["make", "--dry-run", "--always-make", "bench", *more],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for more in ([], ["PEERS=1"])
    )

    assert "peers" not in plain
    assert "--require-hashes -r requirements/peers.txt" in peers
    assert "--peers" in peers


def test_a_benchmark_that_takes_too_long_has_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is ended, with the servers that it started, and named."""
    monkeypatch.setattr(run, "TIMEOUT_S", 0.01)

    code = run.main(["--quick", "--only", "peers", "--engine", "memory"])

    assert code == 1
    assert "peers on memory failed" in capsys.readouterr().out


def test_a_run_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    """SIGTERM ends the benchmark under way too, which stops what it started and removes its folder."""
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "peers", "--engine", "memory"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    with subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=subprocess.DEVNULL) as started:
        eventually(lambda: any(tmp_path.iterdir()), timeout=60)
        started.terminate()
        started.wait(60)

    assert started.returncode == 143
    assert not any(tmp_path.iterdir())


def test_what_was_synced_is_a_column() -> None:
    """A column is there if a figure has something to say in it."""
    plain, synced = Figure("sagas", 5, "/s"), Figure("appends", 5, "/s", 6, Target(at_least=5), synced="nothing")

    without, with_all = ([column.header for column in table(report([each], {})).columns] for each in (plain, synced))

    assert without == ["figure", "measured"]
    assert with_all == ["figure", "measured", "bare loop", "ratio", "target", "reached", "synced when acknowledged"]


def test_the_page_has_a_line_for_each_store() -> None:
    """The table of docs/performance.md is written out of a run's file, which may have other figures too."""
    names = ("appends, 1 writer", "append p50, 1 writer", "load of 100 events, p50")
    figures = [
        Figure(name, value, "/s", None, Target(at_least=1), synced="nothing", bench="peers", engine=engine)
        for engine, value in (("umadb", 0.512), ("embedded", 12_345.6))
        for name in names
    ]
    other = Figure("append p50, 1 caller", 5, "ms", bench="append", engine="kafka")

    written = page(report([other, *figures], {"rounds": "3"}, peers={"umadb": "0.7.8"})).splitlines()

    assert "umadb 0.7.8. Medians of 3 rounds, load " in written[0]
    assert written[4:] == [
        "| sagalog, `embedded:///…` | nothing | 12,346 |  |  | 12,346 |  | 12,346 |  |  |  |",
        "| UmaDB | nothing | 0.51 |  |  | 0.51 |  | 0.51 |  |  |  |",
        "",
        "Targets missed in this run: " + "; ".join(f"{name} on umadb (0.51, aimed at ≥ 1)" for name in names) + ".",
    ]


def test_docs_have_what_the_page_is() -> None:
    """The committed table has the columns that a new one would have."""
    shown = PAGE.read_text().split(BEGIN)[1].split(END)[0]

    assert page(report([], {"rounds": "1"})).splitlines()[2] in shown
