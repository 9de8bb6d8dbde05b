"""A service with a standby: ready, settled and stopped as one without, and its processes follow each other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from consumers import Service
from eventstore.component import Plan
from eventstore.hosting import Hosting
from eventstore.log import open_log
from eventstore.log.port import Log
from eventstore.process_host import make_host
from eventstore.processor.standby import Standby
from tests.consumers.service.app import Add, Sum, fresh
from tests.consumers.service.processes import Run, get
from tests.eventstore.processor import counters
from tests.eventstore.processor.counters import MESSAGES, Counters, Total
from tests.waiting import eventually


def metrics(service: Service) -> dict[str, Mapping[str, float]]:
    """What its loops measure."""
    running = service.runtime
    assert isinstance(running, Hosting)
    return running.metrics()


UNIT, STANDBY = "unit tallies", "standby tallies"


async def test_alone_a_process_follows_nothing(tmp_path: Path) -> None:
    """Where nobody else runs, a standby is without effect, on every engine; nobody has to take the option away."""
    for url in ("memory://", f"embedded:{tmp_path / 'log'}"):
        async with fresh(log=url, standby=True) as service:
            await service.ready()
            await service.ask(Add(counter="a", amount=2))
            await service.settled()

            assert metrics(service)[STANDBY]["standby_partitions"] == 0


def hosting(log: Log, slot: str) -> Hosting:
    """A process of a service of counters, which follows the others."""
    host = make_host("pair", log, slot=slot)
    plan = Plan(name="counter", processors=[Counters()], messages=MESSAGES)
    return Hosting(host, [plan], standby=True)


async def test_a_process_follows_what_another_one_owns_and_goes_on_with_it() -> None:
    """Two processes of a service on one log: the second one follows, and owns all when the first has left."""
    log = open_log("memory://")
    first, second = hosting(log, "0"), hosting(log, "1")
    first.start()
    second.start()

    def are_following() -> bool:
        both = [one.metrics() for one in (first, second)]
        owned = [one["unit pair"]["processor_partitions"] for one in both]
        followed = [one["standby pair"]["standby_partitions"] for one in both]
        return all(owned) and owned == followed[::-1]

    eventually(are_following, 20)
    for number in range(10):
        await first.ask("counter", f"c{number}", counters.Add(counter=f"c{number}", by=1))
    first.stop(timedelta(seconds=5))
    answers = [
        await second.ask("counter", f"c{number}", counters.Add(counter=f"c{number}", by=1)) for number in range(10)
    ]
    taken = second.metrics()["standby pair"]["standby_taken_total"]
    second.stop(timedelta(seconds=5))

    assert answers == [Total(is_=2)] * 10
    assert taken == 1


async def test_a_standby_that_fails_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is ready and serves; that the standby is down is in the metrics."""

    def fail(self: Standby, timeout: float) -> NoReturn:
        raise RuntimeError("no")

    monkeypatch.setattr(Standby, "step", fail)
    async with fresh(log="memory://", standby=True) as service:
        eventually(lambda: metrics(service)[STANDBY]["loop_failures_total"] > 0)
        await service.ready()

        assert await service.ask(Add(counter="a", amount=2)) == Sum(total=2)
        assert service.not_ready() == {}
        assert metrics(service)[STANDBY]["loop_up"] == 0


@pytest.mark.kafka
@pytest.mark.usefixtures("alone")
@pytest.mark.timeout(180)
async def test_processes_with_standbys_follow_each_other(kafka: str, tmp_path: Path) -> None:
    """`sagalog run --processes 2 --standby`: each has rows of all partitions, in folders of its own."""
    url = f"kafka://{kafka}"
    with Run(tmp_path, "--log", url, "--processes", "2", "--standby", "--state", str(tmp_path / "state")) as run:
        lines = run.wait_ready(2)

        def follow_all() -> bool:
            found = [_metrics(line["address"]) for line in lines]
            owned = [one[f'processor_partitions{{component="{UNIT}"}}'] for one in found]
            followed = [one[f'standby_partitions{{component="{STANDBY}"}}'] for one in found]
            return owned == followed[::-1] and all(owned) and get(lines[0]["address"], "/ready")[0] == 200

        eventually(follow_all, 40)
        folders = {slot: _folders(tmp_path / "state" / "tallies" / slot / "tallies") for slot in ("0", "1")}
        assert folders["0"] == folders["1"] == {f"{one}/{n}" for one in ("tally", "wishes") for n in range(4)}
        assert run.stop() == 0


def _folders(root: Path) -> set[str]:
    return {f"{folder.parent.name}/{folder.name}" for folder in root.glob("*/*")}


def _metrics(address: str) -> dict[str, float]:
    lines = [one.rsplit(" ", 1) for one in get(address, "/metrics")[1].splitlines() if not one.startswith("#")]
    return {name: float(value) for name, value in lines}
