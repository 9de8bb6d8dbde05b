"""Run several processes of one service, and start again those that die.

Each process gets a slot, its number, which names its transactions; a process that takes the place of a dead one gets the same slot.
SIGTERM and SIGINT are passed on, and the processes have until the deadline to finish what is under way.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from threading import Event

import structlog

from consumers.service import SLOT_VARIABLE

log = structlog.get_logger()

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 30.0
"""A process that lived this long died of something new: its successor starts at once."""


class Slot:
    """One place for a process."""

    def __init__(self, number: int, command: Sequence[str]) -> None:
        self.number, self._command = number, list(command)
        self.process: subprocess.Popen[bytes] | None = None
        self._pause = FIRST_PAUSE_SECONDS
        self._started = 0.0
        self._due = 0.0

    def start(self) -> None:
        """Start a process in this slot."""
        environment = {**os.environ, SLOT_VARIABLE: str(self.number)}
        self.process = subprocess.Popen(self._command, env=environment)
        self._started = time.monotonic()
        log.info("process_started", slot=self.number, pid=self.process.pid)

    def check(self) -> None:
        """Notice that the process died, and start another one after a pause that grows while they die young."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            steady = now - self._started > STEADY_SECONDS
            self._pause = FIRST_PAUSE_SECONDS if steady else min(self._pause * 2, LONGEST_PAUSE_SECONDS)
            self._due = now + self._pause
            log.warning("process_died", slot=self.number, code=self.process.returncode, again_in_s=self._pause)
            self.process = None
        if self.process is None and now >= self._due:
            self.start()


def supervise(count: int, command: Sequence[str], *, drain: timedelta = timedelta(seconds=35)) -> int:
    """Run `count` processes of `command` until SIGTERM or SIGINT; returns the exit code, 0 if all ended in time."""
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    slots = [Slot(number, command) for number in range(count)]
    for slot in slots:
        slot.start()
    while not stopped.wait(0.2):
        for slot in slots:
            slot.check()
    return _stop([slot.process for slot in slots if slot.process is not None], drain)


def _stop(processes: Sequence[subprocess.Popen[bytes]], drain: timedelta) -> int:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + drain.total_seconds()
    late = 0
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.error("process_killed", pid=process.pid, after_s=drain.total_seconds())
            process.kill()
            process.wait()
            late = 1
    return late


def own_command(*arguments: str) -> list[str]:
    """The command that runs `sagalog` with these arguments in this interpreter."""
    return [sys.executable, "-m", "sagalog", *arguments]
