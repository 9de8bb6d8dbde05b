"""Where a benchmark runs: an engine, folders, a size, and names that nobody else has."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Engine = Literal["kafka", "embedded", "embedded-fsync", "memory"]
"""Ours. `embedded-fsync` is the embedded engine that syncs its disk before it acknowledges."""
Peer = Literal["eventsourcing-sqlite", "eventsourcing-postgresql", "umadb"]
"""Other event stores."""
PEERS: tuple[Peer, ...] = get_args(Peer)

RUN_VARIABLE = "SAGALOG_BENCH_RUN"
RUN = os.environ.get(RUN_VARIABLE) or os.urandom(3).hex()
"""Part of all names, because a broker may keep the topics of earlier runs. Processes of one run are given it."""
PARTITIONS = 4
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Setting:
    """What a benchmark is given."""

    engine: Engine | Peer
    bootstrap: str
    """Where Kafka is; empty on other engines, where no bare loop runs."""
    folder: Path
    """Empty, and removed afterwards."""
    quick: bool = False
    """Seconds instead of minutes: to see that it works, not how fast it is."""
    events: int | None = None
    """How many records; None: as many as the benchmark likes."""

    @property
    def url(self) -> str:
        """The log's URL, on an engine of ours."""
        if self.engine == "kafka":
            return f"kafka://{self.bootstrap}"
        if self.engine == "memory":
            return f"memory://bench-{RUN}"
        return f"embedded://{self.folder / 'log'}" + ("?fsync=commit" if self.engine == "embedded-fsync" else "")

    @property
    def state(self) -> str:
        """Where state goes: RocksDB, save on the memory engine."""
        return "memory://" if self.engine == "memory" else str(self.folder / "state")

    def count(self, usual: int, quick: int) -> int:
        """How many records to use."""
        return self.events or (quick if self.quick else usual)


def until(is_so: Callable[[], bool], *, every_s: float = 0.002, patience_s: float = PATIENCE_S) -> None:
    """Wait.

    Raises:
        TimeoutError: it is not so after `patience_s`.
    """
    deadline = time.perf_counter() + patience_s
    while not is_so():
        if time.perf_counter() > deadline:
            raise TimeoutError(f"not so after {patience_s:g} s")
        time.sleep(every_s)


class Stopwatch:
    """Time that passed, and what this process used of the processors."""

    def __init__(self) -> None:
        self._began, self._used = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return time.perf_counter() - self._began

    @property
    def cpu(self) -> float:
        """Seconds of all threads, the client library's included."""
        return time.process_time() - self._used
