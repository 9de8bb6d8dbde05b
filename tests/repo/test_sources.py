"""Habits of CONTRIBUTING.md that a program can see."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from _sagalog_ours import PACKAGES

_ROOT = Path(__file__).parent.parent.parent
_NOT_NAMES = {"utils", "helpers", "common", "base", "manager", "misc", "util", "helper"}
_UNFINISHED = re.compile(r"\b([T]ODO|[F]IXME|[X]XX)\b")


def _modules(*folders: str) -> Iterator[tuple[Path, str]]:
    for folder in folders:
        for file in sorted((_ROOT / folder).rglob("*.py")):
            yield file.relative_to(_ROOT), file.read_text()


def test_every_module_says_what_it_is_for() -> None:
    """Each module with content begins with a docstring."""
    silent = [
        str(file) for file, text in _modules(*PACKAGES) if text.strip() and not ast.get_docstring(ast.parse(text))
    ]

    assert silent == []


def test_module_names_say_something() -> None:
    """No module is named after its not having a subject."""
    assert [str(file) for file, _ in _modules(*PACKAGES) if file.stem in _NOT_NAMES] == []


def test_nothing_is_left_unfinished() -> None:
    """Sources hold no reminders of work to be done."""
    assert [str(file) for file, text in _modules(*PACKAGES, "tests") if _UNFINISHED.search(text)] == []


def test_every_test_has_its_sentence() -> None:
    """Each test function says in a docstring which behaviour it holds."""
    assert [f"{file}:{test.name}" for file, test in _tests() if not ast.get_docstring(test)] == []


def test_no_test_sleeps_or_is_skipped() -> None:
    """Tests wait for conditions, and run on every machine."""
    found = re.compile(r"\btime\.[s]leep\(|mark\.[s]kip|pytest\.[s]kip|[x]fail")

    assert [str(file) for file, text in _modules("tests") if found.search(text)] == []


def test_every_package_is_typed() -> None:
    """Each package carries the marker that lets type checkers of users read its types."""
    assert [name for name in PACKAGES if not (_ROOT / name / "py.typed").exists()] == []


@pytest.mark.parametrize("target", ["demo", "test", "check", "format", "bench", "chaos", "fuzz", "pins"])
def test_make_knows_its_targets(target: str) -> None:
    """Each promised target of the Makefile can be planned from a state where nothing is installed yet."""
    command = ["make", "--dry-run", "--always-make", target]

    planned = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=30)

    assert planned.returncode == 0, planned.stderr
    assert "-m venv .venv" in planned.stdout


def _tests() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for file, text in _modules("tests"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield file, node
