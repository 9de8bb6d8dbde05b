"""The processes of a storm over streams: owners in slots, guests, and owners that come for a while.

Each start of a slot is an incarnation with a history of its own. What ends without having been asked to is noted, and
started again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.chaos.fleet import DRAIN_SECONDS, IN_ORDER, TAIL_CHARACTERS
from tests.chaos.streams.model import STORE
from tests.chaos.streams.subscriptions import slot_of

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Place:
    """What runs in a slot. Without `state` it is a guest."""

    url: str
    state: Path | None
    callers: int
    standby: bool = False
    """Whether an owner follows what others own."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


class Running:
    """A process of a slot."""

    def __init__(
        self, slot: str, place: Place, folder: Path, incarnation: int, seed: int, *, store: str = STORE
    ) -> None:
        self.log = folder / f"{slot}.log"
        arguments = ["--log", place.url, "--slot", slot, "--seed", str(seed), "--callers", str(place.callers)]
        arguments += ["--store", store, "--history", str(folder / "history" / f"{slot}.{incarnation}.jsonl")]
        arguments += ["--state", str(place.state)] if place.state is not None else []
        arguments += ["--standby"] if place.standby else []
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.streams.member", *arguments],
                stdout=output, stderr=output, cwd=ROOT, start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT), **place.environment},
            )  # fmt: skip
        self.is_stopped = False
        self.asked_at: float | None = None
        """When it was asked to end."""

    @property
    def code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill −9."""
        self._process.kill()
        self._process.wait()


class Crew:
    """Starts, kills, stops and resumes."""

    def __init__(self, folder: Path, places: Mapping[str, Place], seed: int) -> None:
        self._folder, self._places, self._seed = folder, dict(places), seed
        (folder / "history").mkdir(parents=True, exist_ok=True)
        self._running: dict[str, Running] = {}
        self._due: dict[str, float] = {}
        self._numbers = count()
        self.problems: list[str] = []

    def start_all(self) -> None:
        for slot in self._places:
            self.start(slot)

    def start(self, slot: str) -> None:
        """Start a slot's process; it works some time later."""
        self._due.pop(slot, None)
        self._running[slot] = Running(slot, self._places[slot], self._folder, next(self._numbers), self._seed)

    def add(self, slot: str, place: Place) -> None:
        """Start a process in a slot of its own."""
        self._places[slot] = place
        self.start(slot)

    def subscribers(self) -> list[Path]:
        """The files of the subscribers in the places that there are now."""
        return [file for file in (self._folder / "history").glob("*.subscriber.jsonl") if slot_of(file) in self._places]

    def kill(self, slot: str, *, away: float | None) -> bool:
        """kill −9; it is started again after so many seconds, or never. False: it was not there."""
        running = self._running.pop(slot, None)
        if running is None:
            return False
        running.kill()
        if away is None:
            self._places.pop(slot, None)
        else:
            self._due[slot] = time.monotonic() + away
        return True

    def terminate(self, slot: str) -> bool:
        """SIGTERM; owners are started again when they ended. False: it is not there, or is stopped."""
        running = self._running.get(slot)
        if running is None or running.is_stopped or running.asked_at is not None:
            return False
        running.signal(signal.SIGTERM)
        running.asked_at = time.monotonic()
        return True

    def dismiss(self, slot: str) -> bool:
        """SIGTERM, and it does not come again."""
        self._places.pop(slot, None)
        return self.terminate(slot)

    def freeze(self, slot: str) -> bool:
        """SIGSTOP. False: it is not there."""
        running = self._running.get(slot)
        if running is None or running.is_stopped:
            return False
        running.signal(signal.SIGSTOP)
        running.is_stopped = True
        return True

    def resume(self, slot: str) -> None:
        """SIGCONT."""
        running = self._running.get(slot)
        if running is not None:
            running.signal(signal.SIGCONT)
            running.is_stopped = False

    def tick(self) -> None:
        """Notice those that ended, start those whose time has come."""
        now = time.monotonic()
        for slot, running in list(self._running.items()):
            if running.code is not None:
                self._ended(slot, running)
            elif running.asked_at is not None and now - running.asked_at > DRAIN_SECONDS:
                self.problems.append(f"{slot} did not end within {DRAIN_SECONDS:g} s of SIGTERM")
                self.kill(slot, away=0.0 if slot in self._places else None)
        for slot, due in list(self._due.items()):
            if now >= due:
                self.start(slot)

    def heal(self) -> None:
        """Everything runs again."""
        for slot in list(self._running):
            self.resume(slot)
        self._due = dict.fromkeys(self._due, 0.0)
        self.tick()

    def tell_stacks(self) -> None:
        """Have every process write the stacks of its threads to its log: something hangs."""
        for running in self._running.values():
            if running.code is None:
                running.signal(signal.SIGUSR1)

    def close(self) -> None:
        """End all, in order. Notes those that do not."""
        for slot in list(self._running):
            self.resume(slot)
            self.dismiss(slot)
        nobody, deadline = threading.Event(), time.monotonic() + DRAIN_SECONDS + 5
        self._due.clear()
        while self._running and time.monotonic() < deadline:
            self.tick()
            nobody.wait(0.02)
        for slot in list(self._running):
            self.kill(slot, away=None)

    def abandon(self) -> None:
        """End all at once: nobody wants to know any more."""
        for slot in list(self._running):
            self.kill(slot, away=None)

    def _ended(self, slot: str, running: Running) -> None:
        if running.asked_at is None or running.code not in IN_ORDER:
            tail = running.log.read_text(errors="replace")[-TAIL_CHARACTERS:]
            how = "by itself" if running.asked_at is None else "after SIGTERM"
            self.problems.append(f"{slot} ended {how} with code {running.code}:\n{tail}")
        del self._running[slot]
        if slot in self._places:
            self._due[slot] = time.monotonic() + 0.5
