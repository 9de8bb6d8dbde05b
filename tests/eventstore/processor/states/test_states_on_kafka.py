"""Owners of states that die, hang and come back, on a real Kafka: inputs count once, outputs are there once."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import msgspec
import pytest

from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.log.records import Topic, TopicPartition
from eventstore.processor.topics import topics_of
from eventstore.registry import TopicRegistry
from eventstore.state import open_state
from schemas import Metadata, Serde
from tests.eventstore.processor.counters import records_of
from tests.eventstore.processor.fleet import Fleet
from tests.eventstore.processor.states.tallies import MESSAGES, Add, Tallies, Tally, TallyBench

PARTITIONS, SENSORS = 4, 60
MODULE = "tests.eventstore.processor.states.tally_process"


class Load:
    """Posts `Add`s that nobody waits for, and afterwards holds the log against what was posted."""

    def __init__(self, log: Log, name: str) -> None:
        self.log, self.name = log, name
        log.create([Topic(name=f"{name}.counts", partitions=PARTITIONS), *topics_of(Tallies(name, PARTITIONS), name)])
        self._serde, self._random = Serde(TopicRegistry(log), MESSAGES), random.Random(1)
        self._producer = log.producer()
        self.count, self.amount = Counter[str](), Counter[str]()

    def post(self, count: int) -> None:
        for _ in range(count):
            add = Add(sensor=f"sensor-{self._random.randrange(SENSORS)}", amount=self._random.randint(1, 9))
            self.count[add.sensor] += 1
            self.amount[add.sensor] += add.amount
            meta = Metadata(id=f"{self.name}-{self.count.total()}", type=add.__type_name__)
            self._producer.produce(
                f"{self.name}.inbox", partition_of(add.sensor, PARTITIONS), add.sensor.encode(),
                self._serde.encode(add), (("meta", meta.encode()),),
            )  # fmt: skip
        self._producer.flush()

    def go_on(self, stopped: Event) -> Thread:
        """Post all the time, from a thread."""

        def run() -> None:
            while not stopped.wait(0.02):
                self.post(40)

        thread = Thread(target=run, daemon=True)
        thread.start()
        return thread

    def places(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(f"{self.name}.{topic}", number) for number in range(PARTITIONS)]

    def wait_counted(self, at_least: int, timeout: float = 60) -> None:
        """Wait until so many outputs are there."""
        deadline = time.monotonic() + timeout
        while (found := len(records_of(self.log, f"{self.name}.counts"))) < at_least:
            assert time.monotonic() < deadline, f"{found} of {at_least} counted"
            Event().wait(0.1)

    def check(self) -> None:
        """Each input counted once, each output written once, in order; the changelog's last word is the sum."""
        outputs: dict[str, list[int]] = {}
        for record in records_of(self.log, f"{self.name}.counts"):
            outputs.setdefault((record.key or b"").decode(), []).append(int(record.value or b""))
        assert outputs == {sensor: list(range(1, count + 1)) for sensor, count in self.count.items()}
        assert self.states() == {sensor: Tally(count, self.amount[sensor]) for sensor, count in self.count.items()}

    def states(self) -> dict[str, Tally]:
        found: dict[str, Tally] = {}
        for record in records_of(self.log, f"{self.name}.state"):
            if record.key == b"o" + self.name.encode():
                continue  # who took the partition first
            assert record.key is not None and record.key[:1] == b"k" and record.value is not None
            found[record.key[1:].decode()] = msgspec.json.decode(record.value[10:], type=Tally)
        return found


@pytest.fixture
def name(unique: Callable[[str], str]) -> str:
    return unique("tally")


@pytest.fixture
def load(log: Log, name: str) -> Load:
    return Load(log, name)


def test_an_owner_killed_under_load_counts_everything_once(kafka: str, name: str, tmp_path: Path, load: Load) -> None:
    """K1–K4: kill −9 of the owner twice, SIGSTOP once, while records come; sums, outputs and a wiped folder agree."""
    fleet, stopped = Fleet(f"kafka://{kafka}", name, tmp_path, MODULE), Event()
    posting = load.go_on(stopped)
    try:
        fleet.start(0)
        load.wait_counted(1)
        for slot in (0, 1):
            fleet.start(slot + 1)
            fleet.signal(slot, signal.SIGKILL)
            load.wait_counted(load.count.total())
        fleet.signal(2, signal.SIGSTOP)
        fleet.start(3)
        load.wait_counted(load.count.total())
        fleet.signal(2, signal.SIGCONT)
        load.wait_counted(load.count.total())
    finally:
        stopped.set()
        posting.join()
        try:
            load.wait_counted(load.count.total())
        finally:
            fleet.close()

    load.check()
    check_wiped(load, tmp_path)


def check_wiped(load: Load, folder: Path) -> None:
    """An owner with an empty folder has the same states, row by row."""
    restored = open_state(str(folder / "wiped"))
    bench = TallyBench(
        load.log, service=load.name, slot="9", state=restored, processors=[Tallies(load.name, PARTITIONS)],
        registry=TopicRegistry(load.log),
    )  # fmt: skip
    bench.run(steps=10_000)
    found = {
        key[1:].decode(): msgspec.json.decode(value[10:], type=Tally)
        for partition in bench.unit._served.partitions.values()
        for key, value in partition.state.scan(b"k", b"l")
    }
    bench.close()

    assert found == load.states()


def test_compaction_leaves_one_record_for_each_key(kafka: str, name: str, tmp_path: Path, load: Load) -> None:
    """K1: the cleaner of the real broker takes what a newer state replaced, and the rest comes back."""
    often = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "max.compaction.lag.ms": "100"}
    load.log.configure(f"{name}.state", often)
    bench = TallyBench(
        load.log, service=name, state=open_state(str(tmp_path / "0")), processors=[Tallies(name, PARTITIONS)],
        registry=TopicRegistry(load.log),
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while True:
        load.post(200)
        bench.run(steps=10_000)
        if all(kept_once(load, number) for number in range(PARTITIONS)):
            break
        assert time.monotonic() < deadline, "nothing was cleaned"
        Event().wait(0.2)
    bench.close()

    assert load.states() == {sensor: Tally(count, load.amount[sensor]) for sensor, count in load.count.items()}
    check_wiped(load, tmp_path)


def kept_once(load: Load, partition: int) -> bool:
    """Whether of a partition's records before its newest segment, each key has one: far fewer than were written."""
    records = [one for one in records_of(load.log, f"{load.name}.state") if one.partition == partition]
    end = load.log.end_positions([TopicPartition(f"{load.name}.state", partition)])
    written = end[TopicPartition(f"{load.name}.state", partition)]
    keys = len({record.key for record in records})
    return written > 10 * keys and len(records) <= 2 * keys
