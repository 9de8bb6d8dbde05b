"""The short examples run as they stand. What type checkers say of them is tested in `tests/typing`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def execute(*command: str) -> subprocess.CompletedProcess[str]:
    """A program of its own, with the packages of this folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SAGALOG_")}
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, check=False
    )


@pytest.mark.parametrize("name", ["shop", "stock", "totals"])
def test_it_runs_to_its_end(name: str) -> None:
    """Its assertions hold, and it says nothing of errors."""
    done = execute(f"examples/{name}.py")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["totals", "trip"])
def test_it_is_accepted_when_it_is_imported(name: str) -> None:
    """Its definitions pass our own checks."""
    done = execute("-c", f"import examples.{name}")

    assert (done.returncode, done.stderr) == (0, "")
