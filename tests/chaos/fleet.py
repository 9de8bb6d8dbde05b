"""The airline's processes under test: each in a slot, started again when it is gone, one of them behind a proxy."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from queue import Empty, Queue

from eventstore.testing.proxy import KafkaProxy
from examples.airline.demo import Process

DRAIN_SECONDS = 45.0
IN_ORDER = (0, -signal.SIGTERM)
"""Codes of a process that was asked to end. The second one: it had not come so far yet as to handle the signal."""
TAIL_CHARACTERS = 600


class WatchedProcess(Process):
    """Can be asked where it stands."""

    module = "tests.chaos.process"


class Fleet:
    """Starts, kills, stops and resumes. Notes what ends without having been asked to."""

    def __init__(self, bootstrap: str, folder: Path, *, processes: int, proxied: int | None) -> None:
        """`proxied`: the process that is behind a proxy, if one is."""
        self._folder, self._count = folder, processes
        self.proxy = KafkaProxy(bootstrap)
        self._urls = {
            slot: f"kafka://{self.proxy.bootstrap if slot == proxied else bootstrap}" for slot in range(processes)
        }
        self._told: Queue[dict[str, int]] = Queue()
        self._running: dict[int, WatchedProcess] = {}
        self._down_until: dict[int, float] = {}
        self._stopped = set[int]()
        self._terminated: dict[int, float] = {}
        self.latest: dict[int, dict[str, int]] = {}
        """What each process told last."""
        self.problems: list[str] = []

    @property
    def slots(self) -> range:
        return range(self._count)

    def are_all_up(self) -> bool:
        """Whether every process has told how far it is since it was started."""
        return len(self.latest) == self._count

    def start_all(self) -> None:
        for slot in self.slots:
            self._start(slot)

    def kill(self, slot: int, *, away: float) -> bool:
        """kill −9; it is started again after so many seconds. False: it was not there."""
        process = self._running.pop(slot, None)
        if process is None:
            return False
        self._forget(slot)
        process.kill()
        self._down_until[slot] = time.monotonic() + away
        return True

    def terminate(self, slot: int) -> bool:
        """SIGTERM; it is started again when it ended. False: it is not there, or is frozen."""
        process = self._running.get(slot)
        if process is None or slot in self._stopped or slot in self._terminated:
            return False
        os.kill(process.pid, signal.SIGTERM)
        self._terminated[slot] = time.monotonic()
        return True

    def freeze(self, slot: int) -> bool:
        """SIGSTOP. False: it is not there."""
        process = self._running.get(slot)
        if process is None or slot in self._stopped:
            return False
        os.kill(process.pid, signal.SIGSTOP)
        self._stopped.add(slot)
        return True

    def resume(self, slot: int) -> None:
        process = self._running.get(slot)
        if process is not None and slot in self._stopped:
            os.kill(process.pid, signal.SIGCONT)
            self._stopped.discard(slot)

    def tick(self) -> None:
        """Hear what processes tell, notice those that ended, start those whose time has come."""
        self._hear()
        now = time.monotonic()
        for slot, process in list(self._running.items()):
            if not process.is_alive():
                self._ended(slot, process)
            elif now - self._terminated.get(slot, now) > DRAIN_SECONDS:
                self.problems.append(f"process {slot} did not end within {DRAIN_SECONDS:g} s of SIGTERM")
                self.kill(slot, away=0.0)
        for slot, due in list(self._down_until.items()):
            if now >= due:
                self._start(slot)

    def heal(self) -> None:
        """Everything runs again."""
        self.proxy.heal()
        for slot in self.slots:
            self.resume(slot)
        self._down_until = dict.fromkeys(self._down_until, 0.0)
        self.tick()

    def tell_stacks(self) -> None:
        """Have every process write the stacks of its threads to its log: something hangs."""
        for process in self._running.values():
            if process.is_alive():
                os.kill(process.pid, signal.SIGUSR1)

    def close(self) -> None:
        """End all, in order. Notes those that do not."""
        self.heal()
        for slot, process in self._running.items():
            if process.is_alive() and slot not in self._terminated:
                os.kill(process.pid, signal.SIGTERM)
        for slot, process in self._running.items():
            process.stop()
            if process.code not in IN_ORDER:
                self.problems.append(f"process {slot} ended with code {process.code} after SIGTERM")
        self._running.clear()
        self.proxy.close()

    def _start(self, slot: int) -> None:
        self._down_until.pop(slot, None)
        self._running[slot] = WatchedProcess(self._urls[slot], self._folder, slot, self._count, self._told)

    def _ended(self, slot: int, process: WatchedProcess) -> None:
        asked = slot in self._terminated
        if not asked or process.code not in IN_ORDER:
            tail = (self._folder / f"process-{slot}.log").read_text(errors="replace")[-TAIL_CHARACTERS:]
            how = "after SIGTERM" if asked else "by itself"
            self.problems.append(f"process {slot} ended {how} with code {process.code}:\n{tail}")
        self._forget(slot)
        del self._running[slot]
        self._down_until[slot] = time.monotonic() + 0.5

    def _forget(self, slot: int) -> None:
        self._stopped.discard(slot)
        self._terminated.pop(slot, None)
        self.latest.pop(slot, None)

    def _hear(self) -> None:
        while True:
            try:
                line = self._told.get_nowait()
            except Empty:
                return
            self.latest[line["slot"]] = line
