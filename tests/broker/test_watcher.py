"""The watcher alone: it passes on what its program does, and ends it when nobody wants it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import sagalog.broker
from tests.waiting import eventually

_WATCHER = Path(sagalog.broker.__file__).with_name("watcher.py")


def _watch(log: Path, scratch: Path, *program: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-I", "-S", str(_WATCHER), str(os.getpid()), str(log), str(scratch), *program]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_exit_code_and_output_are_passed_on(tmp_path: Path) -> None:
    """The program's output is in the log, and its exit code is the watcher's."""
    log = tmp_path / "log"

    with _watch(log, tmp_path / "none", sys.executable, "-c", "print('said'); raise SystemExit(7)") as watcher:
        code = watcher.wait(10)

    assert code == 7
    assert log.read_text() == "said\n"


def test_closed_input_ends_the_program_and_removes_the_folder(tmp_path: Path) -> None:
    """When the pipe ends, the program is killed and the scratch folder removed."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    with _watch(tmp_path / "log", scratch, sys.executable, "-c", "import signal; signal.pause()") as watcher:
        assert watcher.stdout is not None
        pid = int(watcher.stdout.readline())
        assert watcher.stdin is not None
        watcher.stdin.close()
        watcher.wait(10)

    eventually(lambda: not Path(f"/proc/{pid}").exists())
    assert not scratch.exists()


def test_a_program_that_is_not_there_ends_the_watcher(tmp_path: Path) -> None:
    """A program that cannot be run at all makes the watcher end with 127, as a shell would."""
    with _watch(tmp_path / "log", tmp_path / "none", str(tmp_path / "missing")) as watcher:
        assert watcher.wait(10) == 127
