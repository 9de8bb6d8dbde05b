"""What the tutorial says of its numbers, and its last chapter, on a real Kafka: two processes, one of them killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple
from uuid import uuid4

import pytest

from eventstore.log import open_log
from eventstore.log.port import Log
from eventstore.log.records import TopicPartition
from tests.docs.pages import Page, pages
from tests.waiting import eventually

NAMES = ("halls", "bank", "post", "buy_tickets", "tickets")
BUYERS = 400


class Reader(NamedTuple):
    """Somebody who does what the tutorial says."""

    folder: Path
    environment: dict[str, str]

    def start(self, *command: str, errors: IO[bytes] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )

    def output(self, *command: str) -> str:
        return self.start(*command).communicate(timeout=30)[0]


@pytest.fixture
def suffix() -> str:
    """Makes the tutorial's names this test's own: all tests share one Kafka."""
    return f"_{uuid4().hex[:6]}"


@pytest.fixture
def reader(tmp_path: Path, suffix: str, installed: dict[str, str], kafka: str) -> Reader:
    """Has the tutorial's files."""
    return Reader(_written(tmp_path, suffix), {**installed, "SAGALOG_LOG": f"kafka://{kafka}"})


def test_one_of_two_processes_is_killed(kafka: str, reader: Reader, suffix: str) -> None:
    """All buyers get an outcome, as in memory; `sagalog saga list` and `show` tell of them."""
    saga, log = f"buy_tickets{suffix}", open_log(f"kafka://{kafka}")
    with _running(reader) as processes:
        buying = reader.start("python", "-m", "tickets.buy", str(BUYERS))
        try:
            eventually(lambda: _events(log, saga) > BUYERS, 40)
            os.kill(processes[-1], signal.SIGKILL)
            told, _ = buying.communicate(timeout=60)
        finally:
            buying.kill()

    log.close()
    assert buying.returncode == 0
    assert sum(int(line.split()[0]) for line in told.splitlines()) == BUYERS
    listed = json.loads(reader.output("sagalog", "saga", "list", saga, "--limit", "1", "--json"))
    assert listed["sagas"] == BUYERS
    assert "everything that may have happened is undone" in reader.output("sagalog", "saga", "show", saga, "buyer-7")


def test_what_is_sold_is_about_what_the_page_says(tmp_path: Path, suffix: str, installed: dict[str, str]) -> None:
    """Its example is a possible outcome, and close to this one: who comes when is not promised."""
    reader = Reader(_written(tmp_path, suffix), {**installed, "SAGALOG_LOG": "memory://"})
    said = re.search(r"^usually (\d+), (\d+) and (\d+)\.", _tutorial().text, re.MULTILINE)
    assert said is not None

    told = reader.output("python", "-m", "tickets.buy", "120", "--host")

    example, sold = [int(number) for number in said.groups()], [int(line.split()[0]) for line in told.splitlines()]
    assert sum(example) == sum(sold) == 120
    assert max(abs(one - other) for one, other in zip(example, sold, strict=True)) < 8


@contextmanager
def _running(reader: Reader) -> Generator[list[int]]:
    """The service in two processes, and their ids once both are ready."""
    said = reader.folder / "run.log"
    with said.open("wb") as errors:
        options = ("--processes", "2", "--log-format", "json")
        supervisor = reader.start("sagalog", "run", "tickets.app:service", *options, errors=errors)
        ready: list[int] = []
        try:
            assert supervisor.stdout is not None
            while len(ready) < 2:
                line = supervisor.stdout.readline()
                assert line, said.read_text()
                ready.append(int(json.loads(line)["pid"]))
            yield ready
        finally:
            supervisor.terminate()
            try:
                supervisor.communicate(timeout=40)
            except subprocess.TimeoutExpired:
                supervisor.kill()
                raise


def _tutorial() -> Page:
    return next(page for page in pages() if page.name == "docs/tutorial.md")


def _written(folder: Path, suffix: str) -> Path:
    """The tutorial's files, there, with names that only this test has."""
    for block in _tutorial().blocks:
        if block.file:
            path = folder / block.file
            path.parent.mkdir(exist_ok=True)
            path.write_text(re.sub(rf'"({"|".join(NAMES)})"', rf'"\1{suffix}"', block.text))
    return folder


def _events(log: Log, saga: str) -> int:
    topic = f"{saga}.events"
    if topic not in log.describe([topic]):
        return 0
    return sum(log.end_positions([TopicPartition(topic, number) for number in range(4)]).values())
