"""The runner of tiers: what it runs, what it counts, and that nothing passes by not being run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import run_tiers
from tests.run_tiers import Tier, main


def _python(program: str) -> tuple[str, ...]:
    return (sys.executable, "-c", program)


def test_each_tier_is_timed_and_summed_up(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Passed tiers give 0, a line with their time each, and a last line with the counts."""
    monkeypatch.setattr(run_tiers, "_TIERS", (Tier("one", (_python("print('said')"),)), Tier("two", (_python(""),))))

    assert main([]) == 0

    printed = capsys.readouterr().out
    assert "said\n" in printed
    assert "\none " in printed
    assert "\ntwo " in printed
    assert printed.splitlines()[-1] == "0 passed, 0 failed"


def test_all_tiers_run_even_when_one_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A failure does not hide what comes after it, and makes the whole fail."""
    failing, passing = Tier("one", (_python("raise SystemExit(3)"),)), Tier("two", (_python("print('after')"),))
    monkeypatch.setattr(run_tiers, "_TIERS", (failing, passing))

    assert main([]) == 1

    printed = capsys.readouterr().out
    assert "after\n" in printed
    assert printed.splitlines()[-1] == "0 passed, 1 failed"


def test_a_tier_without_a_test_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tier that is named but has nothing to run is a failure, not a success."""
    (tmp_path / "tests").mkdir()
    monkeypatch.setattr(run_tiers, "_ROOT", tmp_path)
    monkeypatch.setattr(run_tiers, "_TIERS", (Tier("empty", ((sys.executable, "-m", "pytest", "tests"),)),))

    assert main(["empty"]) == 1
    assert "FAILED: pytest" in capsys.readouterr().out


def test_an_unknown_tier_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped tier ends with 2 and the names there are."""
    assert main(["kafak"]) == 2
    assert "no tier kafak: there are check, unit" in capsys.readouterr().out
