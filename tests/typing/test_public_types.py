"""What mypy and pyright, both strict, say of programs that use the public names.

A line marked `# error:` must be an error in both; every other line must pass in both. The lines of `accepted.py` state
inferred types with `assert_type`. Both checkers run once, side by side, on the packages as they are.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PROGRAMS = (
    "tests/typing/accepted.py",
    "tests/typing/refused.py",
    "examples/shop.py",
    "examples/stock.py",
    "examples/totals.py",
    "examples/trip.py",
)
MARK = "# error: "

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def said() -> Mapping[str, Mapping[str, dict[int, str]]]:
    """Checker → program → line → its first error."""
    mypy = subprocess.Popen(
        [sys.executable, "-m", "mypy", "--no-error-summary", "--no-pretty", *PROGRAMS],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    pyright = subprocess.Popen(
        [BIN / "pyright", "--pythonpath", sys.executable, "--outputjson", "--project", "tests/typing"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return {"mypy": _mypy(mypy.communicate(timeout=300)[0]), "pyright": _pyright(pyright.communicate(timeout=300)[0])}


def _mypy(output: str) -> dict[str, dict[int, str]]:
    found: dict[str, dict[int, str]] = {}
    for line in output.splitlines():
        error = re.fullmatch(r"(\S+?):(\d+): error: (.*)", line)
        if error is not None:
            found.setdefault(error[1], {}).setdefault(int(error[2]), error[3])
    return found


def _pyright(output: str) -> dict[str, dict[int, str]]:
    found: dict[str, dict[int, str]] = {}
    report = json.loads(output)
    assert report["summary"]["filesAnalyzed"] == len(PROGRAMS), "pyrightconfig.json names the same programs"
    for one in report["generalDiagnostics"]:
        if one["severity"] == "error":
            program = Path(one["file"]).relative_to(ROOT).as_posix()
            found.setdefault(program, {}).setdefault(one["range"]["start"]["line"] + 1, one["message"])
    return found


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_marked_lines_are_errors_and_no_others(
    said: Mapping[str, Mapping[str, dict[int, str]]], program: str, checker: str
) -> None:
    """The checker refuses exactly the lines that are marked."""
    marked = _marked(ROOT / program)

    found = said[checker].get(program, {})

    assert {line: error for line, error in found.items() if line not in marked} == {}
    assert marked - found.keys() == set(), "these lines are accepted"


def test_something_is_refused() -> None:
    """The programs hold marked lines, so that no mistake in the marks makes the tests empty."""
    assert len(_marked(ROOT / "tests/typing/refused.py")) > 30


def _marked(path: Path) -> set[int]:
    lines = path.read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if MARK in line}
