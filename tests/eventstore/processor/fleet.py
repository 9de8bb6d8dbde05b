"""Processes of the counters' service on a real Kafka, a load on them, and the books that must add up."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.log.records import Topic, TopicPartition
from eventstore.processor.predecessor import transactional_id_of
from eventstore.registry import TopicRegistry
from schemas import Metadata, ReplyTo, Serde
from tests.eventstore.processor.counters import MESSAGES, Add, Added, records_of

ROOT = Path(__file__).parents[3]
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Taken(NamedTuple):
    """A partition that a process began to serve."""

    partition: int
    restored: int
    """Records of the journals that were read for it."""
    was_followed: bool


class Fleet:
    """Starts, kills, stops and resumes processes, each in a slot of its own."""

    def __init__(
        self, url: str, name: str, folder: Path, module: str = "tests.eventstore.processor.counter_process"
    ) -> None:
        """`module` is what a process runs."""
        self._url, self._name, self._folder, self._module = url, name, folder, module
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, slot: int, *more: str) -> None:
        """`more`: further arguments of the module."""
        arguments = [self._url, self._name, str(slot), str(self._folder / str(slot)), *more]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        output = (self._folder / f"{slot}.log").open("ab")
        self.processes[slot] = subprocess.Popen(
            [sys.executable, "-m", self._module, *arguments],
            env=environment,
            stdout=output,
            stderr=output,
        )
        output.close()

    def signal(self, slot: int, number: int) -> None:
        self.processes[slot].send_signal(number)
        if number == signal.SIGKILL:
            self.processes[slot].wait()

    def taken(self, slot: int) -> list[Taken]:
        """The partitions that processes of this slot took, one after the other."""
        lines = [line for line in self._told(slot) if "partition_taken" in line]
        facts = [dict(part.split("=") for part in line.split() if "=" in part) for line in lines]
        return [Taken(int(one["partition"]), int(one["restored"]), one["followed"] == "True") for one in facts]

    def follows(self, slot: int) -> tuple[set[int], int]:
        """The partitions that the standby of this slot follows, and how many of their records it has not read."""
        lines = self._told(slot)
        now = next((number for number in reversed(range(len(lines))) if lines[number] == "started"), len(lines))
        told = [line.removeprefix("follows ") for line in lines[now:] if line.startswith("follows ")]
        partitions, _, behind = told[-1].rpartition(" ") if told else ("", "", "0")
        return {int(number) for number in partitions.split(",") if number}, int(behind)

    def _told(self, slot: int) -> list[str]:
        return _COLOUR.sub("", (self._folder / f"{slot}.log").read_text()).splitlines()

    def close(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Load:
    """Posts numbered `Add`s to many counters, and afterwards holds the log against what was posted."""

    def __init__(self, log: Log, name: str, *, keys: int = 40, seed: int = 1) -> None:
        self.log, self._answers, self._inbox, self._events = log, f"{name}.answers", f"{name}.inbox", f"{name}.events"
        log.create([Topic(name=self._answers, partitions=1), Topic(name=self._inbox, partitions=4)])
        self._serde = Serde(TopicRegistry(log), MESSAGES)
        self._count = log.describe([self._inbox])[self._inbox].partitions
        self._random = random.Random(seed)
        self._keys = [f"key-{seed}-{number}" for number in range(keys)]
        self.posted: dict[str, Add] = {}
        self._producer = log.producer()

    def post(self, count: int) -> None:
        for _ in range(count):
            command = Add(counter=self._random.choice(self._keys), by=self._random.randint(1, 9))
            message_id = f"{self._answers}-{len(self.posted)}"
            metadata = Metadata(id=message_id, type=command.__type_name__, reply=ReplyTo(self._answers, 0, message_id))
            partition = partition_of(command.counter, self._count)
            self._producer.produce(
                self._inbox, partition, command.counter.encode(), self._serde.encode(command),
                (("meta", metadata.encode()),),
            )  # fmt: skip
            self.posted[message_id] = command
        self._producer.flush()

    @contextmanager
    def going_on(self, per_second: int) -> Generator[None]:
        """Post all the time, from a thread."""
        stopped = Event()

        def run() -> None:
            while not stopped.wait(0.05):
                self.post(max(1, per_second // 20))

        thread = Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()

    def answered(self) -> Counter[str]:
        """How often each command was answered."""
        return Counter(
            Metadata.decode(record.headers[0][1]).correlation for record in records_of(self.log, self._answers)
        )

    def wait_answered(self, timeout: float) -> None:
        """Wait until each command that was posted up to now is answered at least once."""
        deadline = time.monotonic() + timeout
        while not (wanted := set(self.posted)):
            Event().wait(0.01)
        end, missing = -1, wanted
        while missing:
            at = TopicPartition(self._answers, 0)
            now = self.log.end_positions([at])[at]
            if now != end:
                end, missing = now, wanted - set(self.answered())
            if missing and time.monotonic() > deadline:
                raise AssertionError(
                    f"{len(missing)} of {len(wanted)} commands without an answer: {sorted(missing)[:5]}"
                )
            Event().wait(0.05)

    def wait_shared(self, slots: set[int], timeout: float = 40) -> None:
        """Wait until each of these processes has committed for a partition, and nobody else holds one."""
        deadline = time.monotonic() + timeout
        holders = set[int]()
        while holders != slots:
            holders = set(self.holders().values())
            assert time.monotonic() < deadline, f"{holders} hold the partitions, not {slots}"
            Event().wait(0.05)

    def holders(self) -> dict[int, int]:
        """The slot of the process that committed last for each partition."""
        partitions = [TopicPartition(self._inbox, number) for number in range(self._count)]
        found = self.log.group_positions(self._inbox.removesuffix(".inbox"), partitions, stable=False)
        return {
            at.partition: int(transactional_id_of(position.metadata).rpartition(".")[2])
            for at, position in found.items()
            if position is not None
        }

    def check_books(self) -> None:
        """Nothing lost, doubled or forked: versions without gaps, every command once, sums that add up."""
        wanted = Counter[str]()
        for command in self.posted.values():
            wanted[command.counter] += command.by
        found, versions, causes = Counter[str](), dict[str, list[int]](), Counter[str]()
        for record in records_of(self.log, self._events):
            assert record.key is not None and record.value is not None
            stream, _, version = record.key.decode().rpartition("/")
            if stream not in wanted:
                continue
            event = self._serde.decode(record.value)
            assert isinstance(event, Added)
            found[stream] += event.by
            versions.setdefault(stream, []).append(int(version))
            causes[Metadata.decode(record.headers[0][1]).causation] += 1
        assert not set(self.posted) - set(causes), "commands were lost"
        assert set(causes.values()) == {1}, "commands were doubled"
        assert all(numbers == list(range(len(numbers))) for numbers in versions.values()), "versions fork or have gaps"
        assert found == wanted
        assert set(self.answered().values()) == {1}, "replies were doubled"
