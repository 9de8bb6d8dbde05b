"""A normal restart reads only the tail of the journals, on every engine that keeps something (K4, K13)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eventstore.log import open_log
from eventstore.registry import TopicRegistry
from eventstore.state.rocks import RocksStateEngine
from tests.eventstore.processor.counters import Add, Ask, Bench, Total
from tests.eventstore.processor.fleet import ROOT, Fleet, Load
from tests.waiting import eventually

ADDS = 200
PROGRAM = """
import os, signal, sys
from tests.eventstore.processor.test_restarts import ADDS, Add, on_embedded
from pathlib import Path
bench = on_embedded(Path(sys.argv[1]))
for _ in range(ADDS):
    bench.ask(Add(counter="a", by=1))
print("added", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def on_embedded(folder: Path) -> Bench:
    """A unit whose log and state are in a folder."""
    log = open_log(f"embedded:{folder / 'log'}")
    return Bench(log, registry=TopicRegistry(log), state=RocksStateEngine(folder / "state"))


def restored(bench: Bench) -> float:
    """Records that the unit read to take its partitions."""
    return bench.unit.metrics()["processor_restored_records_total"]


def end(bench: Bench) -> None:
    bench.close()
    bench.log.close()


def test_a_restart_on_embedded_reads_nothing(tmp_path: Path) -> None:
    """A unit that ended well has rows of everything that it did."""
    first = on_embedded(tmp_path)
    for _ in range(ADDS):
        first.ask(Add(counter="a", by=1))
    end(first)

    again = on_embedded(tmp_path)
    again.run()

    assert restored(again) == 0
    assert again.ask(Ask(counter="a")) == Total(is_=ADDS)
    end(again)


def test_a_restart_on_embedded_after_a_kill_reads_one_batch_at_most(tmp_path: Path) -> None:
    """Rows are written with each batch; only the last one may be in the log and not in them."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "added" in done.stdout, done.stderr
    again = on_embedded(tmp_path)
    again.run()

    assert restored(again) <= 1
    assert again.ask(Ask(counter="a")) == Total(is_=ADDS)
    end(again)


def test_a_restart_without_the_folder_reads_everything(tmp_path: Path) -> None:
    """What the counts of the other tests are to be compared with."""
    first = on_embedded(tmp_path)
    for _ in range(ADDS):
        first.ask(Add(counter="a", by=1))
    end(first)

    log = open_log(f"embedded:{tmp_path / 'log'}")
    again = Bench(log, registry=TopicRegistry(log), state=RocksStateEngine(tmp_path / "other"))
    again.run()

    assert restored(again) >= ADDS
    end(again)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_on_kafka_reads_only_the_tail(fleet: Fleet, load: Load, how: signal.Signals) -> None:
    """A process that ended well reads nothing; one that was killed reads what its last batches left."""
    fleet.start(0)
    load.post(2_000)
    load.wait_answered(60)
    with load.going_on(per_second=200):
        load.post(50)
        load.wait_answered(30)
        fleet.signal(0, how)
        fleet.processes[0].wait(30)
    first = len(fleet.taken(0))

    fleet.start(0)
    load.wait_answered(60)
    eventually(lambda: {one.partition for one in fleet.taken(0)[first:]} == {0, 1, 2, 3}, 60)

    again = fleet.taken(0)[first:]
    assert sum(one.restored for one in again) <= (0 if how == signal.SIGTERM else 1_000)
    load.check_books()
