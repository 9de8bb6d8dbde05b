"""The processes of a service whose owners are killed: each in a folder of its own, as if on a machine of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from threading import Thread

from benchmarks.commands import NAME
from benchmarks.setting import PARTITIONS, RUN, RUN_VARIABLE, until
from eventstore.log.port import Log
from eventstore.log.records import TopicPartition
from eventstore.processor.predecessor import transactional_id_of
from eventstore.processor.topics import inbox_of

SERVICE = f"bench-{RUN}"
PATIENCE_S = 600.0


class Member:
    """One process."""

    def __init__(self, url: str, slot: int, folder: Path, *, standby: bool) -> None:
        self._address, self._log = "", folder.with_suffix(".log")
        command = [sys.executable, "-m", "benchmarks.member", "--log", url, "--slot", str(slot), "--state", str(folder)]
        with self._log.open("ab") as said:
            self._process = subprocess.Popen(
                [*command, *(["--standby"] if standby else [])],
                env={**os.environ, RUN_VARIABLE: RUN}, stdout=subprocess.PIPE, stderr=said, text=True,
            )  # fmt: skip
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self._address = self._process.stdout.readline().strip()

    def wait_ready(self) -> None:
        """Wait until it serves what it was assigned first."""
        until(lambda: bool(self._address) or self._process.poll() is not None, every_s=0.05, patience_s=PATIENCE_S)
        if not self._address:
            raise RuntimeError(f"a process ended with {self._process.poll()}: {self._log.read_text()[-2_000:]}")

    def metrics(self) -> dict[str, float]:
        """Its samples, by name and labels."""
        with urllib.request.urlopen(f"http://{self._address}/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}

    def end(self, how: signal.Signals) -> None:
        """Signal it, and wait until it is gone."""
        self._process.send_signal(how)
        self._process.wait(60)


class Crew:
    """Two processes, the second of which takes over when the first one dies."""

    def __init__(self, url: str, log: Log, folder: Path, *, standby: bool) -> None:
        self._url, self._log, self._folder, self._standby = url, log, folder, standby
        self._members: dict[int, Member] = {}

    def start(self, slot: int) -> None:
        """Start a process that has nothing of its own."""
        shutil.rmtree(self._folder / str(slot), ignore_errors=True)
        (self._folder / str(slot)).mkdir(parents=True, exist_ok=True)
        self._members[slot] = Member(self._url, slot, self._folder / str(slot), standby=self._standby)

    def settle(self) -> None:
        """Wait until both have partitions, all are served, and all that is followed has been read."""
        for member in self._members.values():
            member.wait_ready()
        until(self._is_settled, every_s=0.25, patience_s=PATIENCE_S)

    def _is_settled(self) -> bool:
        found = [member.metrics() for member in self._members.values()]
        owned = [_sum(one, "processor_partitions{") for one in found]
        if sum(owned) != PARTITIONS or not all(owned) or self.owners().keys() != set(range(PARTITIONS)):
            return False
        followed = [_sum(one, "standby_partitions{") for one in found]
        lags = [_sum(one, "standby_lag{") for one in found]
        return not self._standby or (followed == owned[::-1] and max(lags) < 100)

    def owners(self) -> dict[int, int]:
        """The slot of the process that committed last for each partition."""
        partitions = [TopicPartition(inbox_of(NAME), number) for number in range(PARTITIONS)]
        found = self._log.group_positions(SERVICE, partitions, stable=False)
        return {
            at.partition: int(transactional_id_of(position.metadata).rpartition(".")[2])
            for at, position in found.items()
            if position is not None
        }

    def forget_unless_followed(self, slot: int, partitions: set[int]) -> None:
        """Remove what this process kept of partitions that it does not own: its machine never had them."""
        for number in () if self._standby else partitions:
            shutil.rmtree(self._folder / str(slot) / SERVICE / NAME / str(number), ignore_errors=True)

    def kill(self, slot: int) -> None:
        """kill −9."""
        self._members[slot].end(signal.SIGKILL)

    def restored(self, slot: int) -> float:
        """Records of journals that this process has read to take partitions."""
        return _sum(self._members[slot].metrics(), "processor_restored_records_total{")

    def close(self) -> None:
        """End all."""
        for member in self._members.values():
            member.end(signal.SIGTERM)


def _sum(samples: dict[str, float], name: str) -> float:
    return sum(value for key, value in samples.items() if key.startswith(name))
