"""Services in processes of their own on a real Kafka, started by `sagalog run`."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from consumers import Client, Service
from eventstore import AskTimedOut, EventStore
from tests.consumers.service.app import NOTES_VARIABLE, Add, Sum, TallyTotals, Wanted
from tests.consumers.service.processes import Run, get
from tests.waiting import eventually, eventually_async

pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("alone"), pytest.mark.timeout(180)]
LONG = timedelta(seconds=20)


@pytest.fixture
def url(kafka: str) -> str:
    """The log. Tests share it: their counters have names of their own."""
    return f"kafka://{kafka}"


@pytest.fixture
def name(unique: Callable[[str], str]) -> str:
    """A counter that no other test has."""
    return unique("counter")


async def test_another_process_answers_and_shows(url: str, name: str, tmp_path: Path) -> None:
    """A client asks over the log and reads the table over HTTP; the same id happens once."""
    with Run(tmp_path, "--log", url, "--state", str(tmp_path / "state")) as run:
        run.wait_ready()
        async with Client(log=url, name="front") as client:
            assert await client.ask(Add(counter=name, amount=2), id=f"{name}-1", timeout=LONG) == Sum(total=2)
            assert await client.ask(Add(counter=name, amount=2), id=f"{name}-1", timeout=LONG) == Sum(total=2)
            assert await client.ask(Add(counter=name), timeout=LONG) == Sum(total=3)

            async def total() -> bool:
                row = await client.table(TallyTotals.by_counter).get(name)
                return row is not None and row.total == 3

            await eventually_async(total, 20)
        assert run.stop() == 0


async def test_health_and_metrics_tell_the_truth(url: str, name: str, tmp_path: Path) -> None:
    """The line that says ready is true; the metrics count what was done."""
    with Run(tmp_path, "--log", url, "--state", str(tmp_path / "state"), "--http", "127.0.0.1:0") as run:
        [line] = run.wait_ready()
        address = line["address"]
        assert get(address, "/live")[0] == 200
        eventually(lambda: _owned(address) == 8, 30)  # those of a process that was killed before come late
        assert get(address, "/ready") == (200, '{\n "ready": true,\n "reasons": {}\n}\n')

        async with Client(log=url, name="front") as client:
            for _ in range(3):
                await client.ask(Add(counter=name), timeout=LONG)

        metrics = _metrics(address)
        assert float(metrics['processor_inputs_total{component="unit tallies"}']) >= 3
        assert {key: value for key, value in metrics.items() if key.startswith("loop_up")}.keys() == {
            f'loop_up{{component="{loop}"}}'
            for loop in ("replies", "unit tallies", "tally_totals.v1", "reactor tallies.granting", "noting")
        }
        assert run.stop() == 0
        assert "service_stopped" in run.logged()


async def test_a_killed_process_comes_back_and_nothing_is_lost(url: str, name: str, tmp_path: Path) -> None:
    """Of three processes one is killed under load: its slot is filled again, and each command happened once."""
    counters = [f"{name}-{number}" for number in range(12)]
    with Run(tmp_path, "--log", url, "--processes", "3", "--state", str(tmp_path / "state")) as run:
        lines = run.wait_ready(3)
        assert {line["slot"] for line in lines} == {"0", "1", "2"}
        async with Client(log=url, name="front") as client:

            async def add(number: int) -> None:
                for attempt in range(200):
                    command = Add(counter=counters[number % 12])
                    try:
                        await client.ask(command, id=f"{name}/{number}", timeout=timedelta(seconds=2))
                    except AskTimedOut:
                        assert attempt < 199, "it never came back"
                        continue
                    return

            asking = [asyncio.create_task(add(number)) for number in range(600)]
            await eventually_async(lambda: sum(task.done() for task in asking) > 50, 30)
            os.kill(lines[1]["pid"], signal.SIGKILL)
            await asyncio.wait_for(asyncio.gather(*asking), 90)

            sums = [await client.ask(Add(counter=one, amount=0), timeout=LONG) for one in counters]
            assert sums == [Sum(total=50)] * 12
        run.wait_ready(4)
        assert run.ready[3]["slot"] == lines[1]["slot"]
        assert run.ready[3]["pid"] != lines[1]["pid"]
        assert run.stop() == 0


async def test_sigterm_finishes_what_is_under_way(url: str, name: str, tmp_path: Path) -> None:
    """Stopped in the middle and started again, a worker has handled each record once."""
    notes = tmp_path / "notes"
    options = ("--log", url, "--state", str(tmp_path / "state"), "--only", "noting", "--drain", "20")
    with Run(tmp_path, *options, environment={NOTES_VARIABLE: str(notes)}) as run:
        run.wait_ready()
        store = EventStore("wishes", events=[Wanted])
        async with Service("tallies", components=[store], log=url, state="memory://", slot="writing"):
            for start in range(0, 400, 100):
                events = [Wanted(counter=name, amount=number) for number in range(start, start + 100)]
                await store.append(f"{name}-{start}", events, expected=-1)
        eventually(lambda: len(_lines(notes, name)) > 20, 30)
        assert run.stop(30) == 0
        before = len(_lines(notes, name))
        assert before < 400, "it was stopped in the middle"

    with Run(tmp_path, *options, environment={NOTES_VARIABLE: str(notes)}) as run:
        eventually(lambda: len(_lines(notes, name)) >= 400, 60)
        assert run.stop(30) == 0
    assert Counter(_lines(notes, name)) == Counter(range(400))


def test_processes_go_when_their_supervisor_is_killed(url: str, tmp_path: Path) -> None:
    """No process stays behind without the one that watches over it."""
    with Run(tmp_path, "--log", url, "--processes", "2", "--state", str(tmp_path / "state")) as run:
        pids = [line["pid"] for line in run.wait_ready(2)]
        run.process.kill()

        eventually(lambda: not any(_lives(pid) for pid in pids), 30)


def _lines(notes: Path, name: str) -> list[int]:
    if not notes.exists():
        return []
    pairs = (line.split() for line in notes.read_text().splitlines())
    return [int(amount) for counter, amount in pairs if counter == name]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path(f"/proc/{pid}/stat").exists() or " Z " not in Path(f"/proc/{pid}/stat").read_text()


def _metrics(address: str) -> dict[str, str]:
    lines = [one.rsplit(" ", 1) for one in get(address, "/metrics")[1].splitlines() if not one.startswith("#")]
    return {line[0]: line[1] for line in lines}


def _owned(address: str) -> float:
    """How many partitions the process owns."""
    return float(_metrics(address)['processor_partitions{component="unit tallies"}'])
