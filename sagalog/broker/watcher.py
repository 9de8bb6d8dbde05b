"""Run a program that cannot outlive the process that wanted it.

`python watcher.py PARENT LOG SCRATCH PROGRAM ARGUMENT…` starts the program with its output appended to LOG and prints
its process id. The program is killed when standard input ends, which it does however the parent ends, or when the
parent's id is no longer PARENT (a forked child of the parent may hold the pipe open). Then the folder SCRATCH is
removed, unless it is empty text. On Linux the kernel kills the program should the watcher itself be killed.

Runs alone, with the standard library only, so that it starts in some 20 ms.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
from types import FrameType

_LOOK_AT_PARENT_S = 0.5
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Run the program to its end, or to the end of whoever wanted it."""
    parent, log, scratch, *command = arguments
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, _wake)
    signal.signal(signal.SIGTERM, _wake_and_leave)
    child = _start(command, log)
    print(child, flush=True)
    try:
        status = _wait(child, int(parent), woken)
    except SystemExit:
        status = None
    if status is not None:
        return os.waitstatus_to_exitcode(status) & 0xFF
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if scratch:
        shutil.rmtree(scratch, ignore_errors=True)
    return 1


def _wait(child: int, parent: int, woken: int) -> int | None:
    """The child's exit status, or None when the parent is gone."""
    while True:
        ready, _, _ = select.select([0, woken], [], [], _LOOK_AT_PARENT_S)
        if woken in ready:
            os.read(woken, 1024)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if (0 in ready and not os.read(0, 1)) or os.getppid() != parent:
            return None


def _start(command: list[str], log: str) -> int:
    watcher = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        signal.set_wakeup_fd(-1)
        _die_with(watcher)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.execv(command[0], command)  # noqa: S606 - no shell is the point
    finally:
        os._exit(127)


def _die_with(watcher: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != watcher:
            os._exit(1)


def _wake(_signum: int, _frame: FrameType | None) -> None:
    """Leave `select`, by way of the wake-up descriptor."""


def _wake_and_leave(_signum: int, _frame: FrameType | None) -> None:
    raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
