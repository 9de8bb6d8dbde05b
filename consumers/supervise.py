"""Run several processes of one service, and start again those that die.

Each process gets a slot, its number, which names its transactions; a process that takes the place of a dead one gets
the same slot. Where this machine is one of several, SAGALOG_SLOT names it, and its processes are `<name>-0`,
`<name>-1`, and so on.

SIGTERM and SIGINT are passed on, and the processes have until the deadline to finish what is under way. A process that
was asked wrongly (exit code 2) is not started again, for that would change nothing: all are stopped. The processes
stop by themselves when their supervisor is gone, by `stop_with_supervisor`.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType

import structlog

from consumers.process import SLOT_VARIABLE

log = structlog.get_logger()

SUPERVISOR_VARIABLE = "SAGALOG_SUPERVISOR"
"""The process id of a process's supervisor."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 30.0
"""A process that lived this long died of something new: its successor does not wait for what others died of."""
LOOK_SECONDS = 0.5
MISUSED = 2
"""The exit code of a process that was asked wrongly."""


class Slot:
    """One place for a process."""

    def __init__(self, number: int, command: Sequence[str]) -> None:
        self.number, self._command = number, list(command)
        machine = os.environ.get(SLOT_VARIABLE)
        self.name = f"{machine}-{number}" if machine else str(number)
        self.process: subprocess.Popen[bytes] | None = None
        self.is_misused = False
        self._pause = 0.0
        self._started = self._due = 0.0

    def start(self) -> None:
        """Start a process in this slot, out of reach of the terminal's signals: its supervisor passes them on."""
        environment = {**os.environ, SLOT_VARIABLE: self.name, SUPERVISOR_VARIABLE: str(os.getpid())}
        self.process = subprocess.Popen(self._command, env=environment, process_group=0)
        self._started = time.monotonic()
        log.info("process_started", slot=self.name, pid=self.process.pid)

    def check(self) -> None:
        """Notice that the process died, and start another one after a pause that grows while they die young."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            code, self.process = self.process.returncode, None
            if code == MISUSED:
                self.is_misused = True
                return
            is_steady = now - self._started > STEADY_SECONDS
            self._pause = (
                FIRST_PAUSE_SECONDS if is_steady or not self._pause else min(self._pause * 2, LONGEST_PAUSE_SECONDS)
            )
            self._due = now + self._pause
            log.warning("process_died", slot=self.name, code=code, again_in_s=self._pause)
        if self.process is None and now >= self._due:
            self.start()


def supervise(count: int, command: Callable[[int], Sequence[str]], *, drain: timedelta = timedelta(seconds=40)) -> int:
    """Run `count` processes until SIGTERM or SIGINT; `command(number)` is what the process in a slot runs.

    Returns: the exit code: 0 if all ended by themselves within `drain`, 1 if not, 2 if one was asked wrongly.
    """
    slots = [Slot(number, command(number)) for number in range(count)]
    with _signals() as woken:
        try:
            for slot in slots:
                slot.start()
            while not (woken(LOOK_SECONDS) or any(slot.is_misused for slot in slots)):
                for slot in slots:
                    slot.check()
        finally:
            code = _stop([slot.process for slot in slots if slot.process is not None], drain)
    return MISUSED if any(slot.is_misused for slot in slots) else code


@contextmanager
def _signals() -> Generator[Callable[[float], bool]]:
    """A function that waits for a signal or for so many seconds, and says whether it is time to stop.

    A handler that sets a `threading.Event` could meet its lock; the wake-up pipe of the interpreter has none.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
    before = [signal.signal(number, _noted) for number in numbers]
    waker = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def woken(timeout: float) -> bool:
        if not select.select([reading], [], [], timeout)[0]:
            return False
        return bool({signal.SIGTERM, signal.SIGINT} & set(os.read(reading, 4096)))

    try:
        yield woken
    finally:
        signal.set_wakeup_fd(waker)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)


def _noted(number: int, frame: FrameType | None) -> None:
    """The number is in the wake-up pipe."""


def _stop(processes: Sequence[subprocess.Popen[bytes]], drain: timedelta) -> int:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + drain.total_seconds()
    code = 0
    for process in processes:
        try:
            ended = process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.error("process_killed", pid=process.pid, after_s=drain.total_seconds())
            process.kill()
            ended = process.wait()
        code = code or int(ended != 0)
    return code


def own_command(*arguments: str) -> list[str]:
    """The command that runs `sagalog` with these arguments in this interpreter."""
    return [sys.executable, "-m", "sagalog", *arguments]


def stop_with_supervisor() -> None:
    """Let this process get a SIGTERM when its supervisor is gone. Without a supervisor nothing happens."""
    supervisor = os.environ.get(SUPERVISOR_VARIABLE, "")
    if supervisor.isdecimal():
        threading.Thread(target=_watch, args=(int(supervisor),), name="supervisor watch", daemon=True).start()


def _watch(supervisor: int) -> None:
    nobody = threading.Event()
    while os.getppid() == supervisor:
        nobody.wait(LOOK_SECONDS)
    log.warning("supervisor_gone", pid=supervisor)
    os.kill(os.getpid(), signal.SIGTERM)
