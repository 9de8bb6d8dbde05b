"""Run the storm, kill a process in the middle of it, go on, and show what happened.

On the embedded engine one process hosts everything; it is killed (kill −9) half-way and started again. On Kafka three
processes share the work and one of them is killed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from examples.airline.books import Books, read_books
from examples.airline.data import storm
from examples.airline.flights import happenings
from examples.airline.messages import FlightCancelled
from examples.airline.rebooking import parties

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 300.0


class DemoFailed(Exception):
    """The demo did not come to its end."""


@dataclass
class Figures:
    """What the demo measured."""

    engine: str
    processes: int
    seconds: float = 0.0
    killed_at: dict[str, int] = field(default_factory=dict[str, int])
    down_seconds: float = 0.0
    """From the kill until the sagas went on."""


class Process:
    """A process of the airline and the lines that it prints."""

    module = "examples.airline.process"

    def __init__(self, url: str, folder: Path, slot: int, of: int, told: Queue[dict[str, int]]) -> None:
        arguments = ["--log", url, "--state", str(folder / f"state-{slot}"), "--slot", str(slot), "--of", str(of)]
        errors = (folder / f"process-{slot}.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.module, *arguments],
            stdout=subprocess.PIPE, stderr=errors, cwd=ROOT, text=True, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        errors.close()
        self.slot, self._told = slot, told
        self._listening = Thread(target=self._listen, daemon=True)
        self._listening.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line.endswith("\n"):  # a process that is killed may leave half a line
                    self._told.put({"slot": self.slot, **json.loads(line)})

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def is_alive(self) -> bool:
        return self.code is None

    def kill(self) -> None:
        """kill −9."""
        self._process.kill()
        self._process.wait()
        self._listening.join()

    def stop(self) -> None:
        """SIGTERM, and kill −9 if that does not help."""
        if self.is_alive():
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(40)
            self._listening.join()
        except subprocess.TimeoutExpired:
            self.kill()


def expected_parties() -> int:
    """How many parties the storm leaves behind."""
    return sum(len(list(parties(event))) for _, _, event in happenings(storm()) if isinstance(event, FlightCancelled))


def run(url: str, folder: Path, figures: Figures, console: Console) -> Books:
    """Run the storm to its end and read the books.

    Raises:
        DemoFailed: it did not end, or a process could not start.
    """
    told: Queue[dict[str, int]] = Queue()
    began = time.monotonic()
    processes = {slot: Process(url, folder, slot, figures.processes, told) for slot in range(figures.processes)}
    try:
        with _progress(console, expected_parties()) as show:
            _storm(url, folder, figures, processes, told, show)
    finally:
        for process in processes.values():
            process.stop()
    figures.seconds = time.monotonic() - began
    return read_books(url)


def _storm(
    url: str, folder: Path, figures: Figures, processes: dict[int, Process], told: Queue[dict[str, int]], show: Show
) -> None:
    total = expected_parties()
    state: dict[str, int] = {"started": 0, "completed": 0, "undone": 0}
    killed_at = 0.0
    deadline = time.monotonic() + PATIENCE_SECONDS
    while state["completed"] + state["undone"] < total:
        _check_alive(processes, folder)
        if time.monotonic() > deadline:
            raise DemoFailed(f"still {state} of {total} after {PATIENCE_SECONDS:g} s; see {folder}")
        try:
            line = told.get(timeout=0.5)
        except Empty:
            continue
        ended = line["completed"] + line["undone"]
        if killed_at and not figures.down_seconds and ended > state["completed"] + state["undone"]:
            figures.down_seconds = time.monotonic() - killed_at
        if ended >= state["completed"] + state["undone"]:
            state = {name: line[name] for name in state}
        show(state)
        if not killed_at and ended > total * 0.4:
            victim = processes[figures.processes - 1]
            figures.killed_at = dict(state)
            victim.kill()
            killed_at = time.monotonic()
            show.say(f"kill -9 of process {victim.slot} (pid {victim.pid}) after {ended:,} of {total:,} rebookings")
            processes[victim.slot] = Process(url, folder, victim.slot, figures.processes, told)


def _check_alive(processes: dict[int, Process], folder: Path) -> None:
    for process in processes.values():
        if not process.is_alive():
            tail = (folder / f"process-{process.slot}.log").read_text()[-2_000:]
            raise DemoFailed(f"process {process.slot} ended by itself:\n{tail}")


class Show:
    """Progress that a person can follow."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("rebooking", total=total, note="")

    def __call__(self, state: dict[str, int]) -> None:
        ended = state["completed"] + state["undone"]
        note = f"{state['completed']:,} rebooked, {state['undone']:,} undone"
        self._progress.update(self._task, completed=ended, note=note)

    def say(self, text: str) -> None:
        """A line that stays."""
        self._progress.console.print(f"  {text}", highlight=False)


@contextmanager
def _progress(console: Console, total: int) -> Generator[Show]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f} of {task.total:,.0f}"))
    with Progress(*columns, TimeElapsedColumn(), TextColumn("{task.fields[note]}"), console=console) as progress:
        yield Show(progress, total)


@contextmanager
def place(engine: str, folder: Path | None) -> Generator[tuple[str, Path]]:
    """A log's URL and a folder for the run; what is made for the run is gone after it, unless `folder` is given."""
    with ExitStack() as stack:
        home = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="airline-")))
        home.mkdir(parents=True, exist_ok=True)
        if engine == "embedded":
            yield f"embedded://{home.resolve() / 'log'}", home
            return
        from sagalog.broker import broker

        cluster = stack.enter_context(broker())
        yield f"kafka://{cluster.bootstrap}", home


def clear(folder: Path) -> None:
    """Begin anew in a folder that an earlier run used."""
    shutil.rmtree(folder, ignore_errors=True)
