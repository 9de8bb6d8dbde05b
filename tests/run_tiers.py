"""Run the tiers of tests one after the other and say how long each took.

`python -m tests.run_tiers` runs those that every change must pass; `python -m tests.run_tiers TIER …` runs the named
ones. A tier is a line of `_TIERS`. All of them run even when one fails, so that one run tells everything; the
exit code is 0 when each passed. A tier that runs no test fails. The last line sums up the tests of all tiers.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_PYTHON = sys.executable
_BIN = Path(_PYTHON).parent
_COUNTS = re.compile(r"(\d+) (passed|failed|error|skipped)")


@dataclass(frozen=True, slots=True)
class Tier:
    """Commands that belong together and run at once. Without `always`, the tier runs only when it is named."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    always: bool = True


@dataclass(slots=True)
class Outcome:
    """How a tier went."""

    name: str
    seconds: float = 0.0
    failed: list[str] = field(default_factory=list[str])
    counts: dict[str, int] = field(default_factory=dict[str, int])


def _pytest(*arguments: str) -> tuple[str, ...]:
    return (_PYTHON, "-m", "pytest", "--quiet", "--durations=5", "--durations-min=2", *arguments)


def _program(name: str, *arguments: str) -> tuple[str, ...]:
    return (str(_BIN / name), *arguments)


_CONTRACT = ("tests/eventstore/log", "tests/eventstore/state")
_DOCS = ("tests/docs", "tests/examples", "tests/repo")
_CHAOS, _FUZZ = "tests/chaos/test_storms.py", "tests/fuzz"
_TWO = ("--numprocesses=2",)
_THREE = ("--numprocesses=3",)  # more than there are processors: tests wait for brokers, for sessions to end
_NOT_UNIT = (*_CONTRACT, *_DOCS, _CHAOS)

_TIERS = (
    Tier(
        "check",
        (
            _program("ruff", "check", "--quiet", "."),
            _program("ruff", "format", "--check", "--quiet", "."),
            _program("mypy"),
            _program("pyright", "--pythonpath", _PYTHON),
            _program("lint-imports", "--no-logo"),
        ),
    ),
    Tier("unit", (_pytest("tests", "-m", "not kafka", *_THREE, *(f"--ignore={folder}" for folder in _NOT_UNIT)),)),
    Tier("contract", (_pytest(*_CONTRACT, "-m", "not kafka", *_TWO),)),
    Tier("docs", (_pytest(*_DOCS, "-m", "not kafka", *_TWO),)),
    Tier("kafka", (_pytest("tests", "-m", "kafka", *_THREE, f"--ignore={_CHAOS}"),)),
    Tier("chaos", (_pytest(_CHAOS, "--capture=no"),), always=False),
    Tier("fuzz", (_pytest(_FUZZ, "--capture=no"),), always=False),
)


def main(names: list[str]) -> int:
    """Run the tiers of these names, or all that always run."""
    unknown = set(names) - {tier.name for tier in _TIERS}
    if unknown:
        print(f"no tier {', '.join(sorted(unknown))}: there are {', '.join(tier.name for tier in _TIERS)}")
        return 2
    chosen = [tier for tier in _TIERS if (tier.name in names if names else tier.always and _exists(tier))]
    outcomes = [_run(tier) for tier in chosen]
    _report(outcomes)
    return 1 if any(outcome.failed for outcome in outcomes) else 0


def _run(tier: Tier) -> Outcome:
    print(f"── {tier.name} " + "─" * (70 - len(tier.name)), flush=True)
    outcome, began = Outcome(tier.name), time.monotonic()
    with ExitStack() as started:  # all at once; what they say is printed one after the other
        running = [(command, started.enter_context(_start(command))) for command in map(_existing, tier.commands)]
        for command, process in running:
            _follow(command, process, outcome)
    outcome.seconds = time.monotonic() - began
    return outcome


def _exists(tier: Tier) -> bool:
    """Whether every command of the tier has something to work on. A tier that is named runs all the same, and fails."""
    return all(any((_ROOT / part).exists() for part in _folders(command)) for command in tier.commands)


def _folders(command: tuple[str, ...]) -> list[str]:
    return [part for part in command if part.startswith("tests")] or ["."]


def _existing(command: tuple[str, ...]) -> list[str]:
    """Leave out folders that are not there, unless none is: pytest takes a missing path for a mistake."""
    missing = [part for part in _folders(command) if not (_ROOT / part).exists()]
    if len(missing) == len(_folders(command)):
        return list(command)
    return [part for part in command if part not in missing]


def _start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _follow(command: list[str], process: subprocess.Popen[str], outcome: Outcome) -> None:
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line if line.strip() else last
    if "pytest" in command:
        _count(last, outcome)
    if process.wait():
        outcome.failed.append("pytest" if "pytest" in command else Path(command[0]).name)


def _count(summary: str, outcome: Outcome) -> None:
    for number, what in _COUNTS.findall(summary):
        outcome.counts[what] = outcome.counts.get(what, 0) + int(number)


def _report(outcomes: list[Outcome]) -> None:
    print("\n── time per tier " + "─" * 54)
    for outcome in outcomes:
        result = f"FAILED: {', '.join(outcome.failed)}" if outcome.failed else "passed"
        counts = ", ".join(f"{number} {what}" for what, number in outcome.counts.items())
        print(f"{outcome.name:<12}{outcome.seconds:7.1f} s   {result}" + (f"   ({counts})" if counts else ""))
    print(f"{'total':<12}{sum(outcome.seconds for outcome in outcomes):7.1f} s")
    passed = sum(outcome.counts.get("passed", 0) for outcome in outcomes)
    broken = [outcome for outcome in outcomes if outcome.failed]
    failed = sum(o.counts.get("failed", 0) + o.counts.get("error", 0) or 1 for o in broken)
    print(f"\n{passed} passed, {failed} failed")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
