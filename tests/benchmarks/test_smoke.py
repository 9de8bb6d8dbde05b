"""The benchmarks run and say what they found. How fast anything is, no test demands."""

from __future__ import annotations

from pathlib import Path

import msgspec

from benchmarks.__main__ import main
from benchmarks.figures import Figure, Report, Target, medians


def test_a_quick_run_writes_its_figures(tmp_path: Path) -> None:
    """Machine, versions and each figure with its unit are in the file."""
    file = tmp_path / "results" / "figures.json"

    code = main(["--quick", "--only", "append", "--engine", "memory", "--json", str(file)])

    found = msgspec.json.decode(file.read_bytes(), type=Report)
    assert code == 0
    assert {figure.name: figure.unit for figure in found.figures} == {
        "append p50, 1 caller": "ms",
        "append p99, 1 caller": "ms",
        "appends, 1 caller": "/s",
        "append p50, 64 callers": "ms",
        "append p99, 64 callers": "ms",
        "appends, 64 callers": "/s",
    }
    assert all(figure.value > 0 and figure.engine == "memory" for figure in found.figures)
    assert found.machine["cores"]
    assert found.versions["confluent-kafka"]
    assert found.options["quick"] == "True"


def test_rounds_become_medians() -> None:
    """A figure that was measured three times is shown once, and one slow round does not move it."""
    rounds = [
        Figure("appends", value, "/s", bare, bench="append") for value, bare in ((90, 100), (10, 100), (100, 110))
    ]

    assert medians(rounds) == [Figure("appends", 90, "/s", 100, bench="append")]


def test_a_figure_knows_whether_it_is_as_aimed_at() -> None:
    """An aim is a bound of the value or of the ratio; without its bare loop, nobody knows."""
    assert Figure("a", 5, "ms", target=Target(at_most=8)).is_reached
    assert not Figure("a", 5_000, "/s", target=Target(at_least=10_000)).is_reached
    assert Figure("a", 50, "/s", 100, Target(ratio=0.5)).is_reached
    assert Figure("a", 50, "/s", None, Target(ratio=0.5)).is_reached is None


def test_a_restore_is_measured_with_and_without_its_folder(tmp_path: Path) -> None:
    """Events a second from a wiped folder to serving, the seconds of that, and those of a start with the folder."""
    file = tmp_path / "figures.json"

    code = main(["--quick", "--only", "restore", "--engine", "embedded", "--json", str(file)])

    found = msgspec.json.decode(file.read_bytes(), type=Report)
    assert code == 0
    assert {figure.name: figure.unit for figure in found.figures} == {
        "restore, wiped state to serving": "/s",
        "processor time of a restored event": "µs",
        "wiped state to serving, 5,000 events": "s",
        "start, state still there": "s",
    }
