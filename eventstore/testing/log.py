"""The contract of the log port as tests: an engine's test is a subclass with a factory.

::

    class TestMemory(LogContract, CompactionContract, SessionContract):
        def make_log(self, tmp_path): return open_log("memory://")

Each test names one promise of `eventstore.log.port`. They make topics, groups and ids of fresh names, so that they may
share one cluster. What not every engine can be made to do (compact now, end a session now) is in contracts of their
own, with hooks. Needs pytest.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from eventstore.log.port import Log
from eventstore.testing._log_bench import LogBench, RecordingMember
from eventstore.testing._log_compaction import ROLL, CompactionContract
from eventstore.testing._log_groups import GroupPromises
from eventstore.testing._log_producers import ProducerPromises
from eventstore.testing._log_readers import ReaderPromises
from eventstore.testing._log_sessions import SessionContract
from eventstore.testing._log_topics import TopicPromises
from eventstore.testing._log_units import UnitPromises

__all__ = ["ROLL", "CompactionContract", "LogBench", "LogContract", "RecordingMember", "SessionContract"]


class LogContract(TopicPromises, ProducerPromises, UnitPromises, ReaderPromises, GroupPromises):
    """What every engine promises. Give `make_log` and `add_partitions`; `reopen` if there is more to it."""

    timeout_s: ClassVar[float] = 30.0
    """How long a test waits for what takes time."""
    visibility_s: ClassVar[float] = 0.0
    """How long after its acknowledgement a commit may take to show to read-committed readers."""

    @abstractmethod
    def make_log(self, tmp_path: Path) -> Log:
        """Open a log; `tmp_path` is this test's own folder. Called again by `reopen`, it finds what was there."""

    def reopen(self, log: Log, tmp_path: Path) -> Log:
        """Close the log and open it again, as after a restart of the process."""
        log.close()
        return self.make_log(tmp_path)

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[LogBench]:
        """The log under test."""
        log = self.make_log(tmp_path)
        bench = LogBench(log, lambda log: self.reopen(log, tmp_path), self.timeout_s, self.visibility_s)
        try:
            yield bench
        finally:
            bench.close_all()
            bench.log.close()
