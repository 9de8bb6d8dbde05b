"""The demo, as a newcomer runs it: a kill −9 in the middle, and right books at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


def demo(engine: str, folder: Path, *, seconds: float) -> dict[str, Any]:
    """Run it, and return its figures."""
    arguments = ["--engine", engine, "--folder", str(folder), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "examples.airline", *arguments],
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=seconds,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3_000:]
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def check(figures: dict[str, Any], *, processes: int) -> None:
    assert figures["violations"] == []
    assert (figures["flights"], figures["cancelled"], figures["parties"]) == (2_443, 891, 5_675)
    assert figures["rebooked"] + figures["undone"] == 5_675
    assert figures["undone"] > 0
    assert figures["processes"] == processes
    assert 0 < figures["killed_at"]["completed"] < figures["rebooked"]
    assert figures["down_seconds"] > 0


def test_one_process_killed_and_started_again_leaves_the_books_right(tmp_path: Path) -> None:
    """Embedded: the process is killed in the middle of the storm, and its successor goes on."""
    check(demo("embedded", tmp_path / "airline", seconds=110), processes=1)


@pytest.mark.kafka
@pytest.mark.timeout(240)
def test_one_of_three_processes_killed_leaves_the_books_right(tmp_path: Path) -> None:
    """Kafka: the other two go on, and the successor joins them."""
    check(demo("kafka", tmp_path / "airline", seconds=220), processes=3)
