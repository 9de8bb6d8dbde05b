"""Stores of a service that is another process, started by `sagalog run`, on a real Kafka and on an embedded log."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from consumers import Client
from tests.consumers.service.ledgers import Balance, Paid, ledger
from tests.consumers.service.processes import ROOT, Run
from tests.waiting import eventually_async

pytestmark = pytest.mark.timeout(180)
APP = "tests.consumers.service.ledgers:service"


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A log of each kind. Tests share Kafka's: their streams have names of their own."""
    if request.param == "kafka":
        return f"kafka://{request.getfixturevalue('kafka')}"
    return f"embedded://{tmp_path / 'log'}"


@pytest.fixture
def name(unique: Callable[[str], str]) -> str:
    """A stream that no other test has."""
    return unique("ledger")


@contextmanager
def follower(url: str, name: str, output: Path) -> Generator[None]:
    """A process that follows, killed in the end."""
    command = [sys.executable, "-m", "tests.consumers.service.follower", url, name, str(output)]
    with output.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def lines(output: Path) -> list[str]:
    """The whole lines that it wrote."""
    written = output.read_text() if output.exists() else ""
    return written[: written.rfind("\n") + 1].splitlines()


def has_lines(output: Path, count: int) -> bool:
    """Whether it wrote so many."""
    return len(lines(output)) >= count


async def append(name: str, begin: int, end: int) -> None:
    """The events of these versions."""
    for version in range(begin, end):
        appended = await ledger.append(name, [Paid(cents=1)], expected=version - 1)
        assert appended.version == version


async def test_a_client_uses_the_store_and_moves_no_partition(url: str, name: str, tmp_path: Path) -> None:
    """It appends, reads, loads and follows; killed and started again it goes on at the next event. The service took its
    partitions once and keeps them."""
    output = tmp_path / "followed"
    with Run(tmp_path, "--log", url, "--state", str(tmp_path / "state"), target=APP) as run:
        run.wait_ready()
        taken = run.logged().count('"partition_taken"')
        for begin in (0, 10):
            async with Client(log=url, name="front", stores=[ledger]):
                with follower(url, name, output):
                    await append(name, begin, begin + 10)
                    await eventually_async(partial(has_lines, output, begin + 10), 60)
                read = [each.version async for each in ledger.read(name, consistent=True)]
                assert read == list(range(begin + 10))
                assert (await ledger.load(Balance, name)).cents == begin + 10

        assert [line.split()[:2] for line in lines(output)] == [[name, str(version)] for version in range(20)]
        assert taken == run.logged().count('"partition_taken"') > 0
        assert run.stop() == 0
