"""The memory engine keeps the log port's contract."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from eventstore.log import GroupConsumer, Log, open_log
from eventstore.log.local.consumer import LocalConsumer
from eventstore.log.local.log import LocalLog
from eventstore.testing.log import CompactionContract, LogContract, SessionContract


class TestMemoryLog(LogContract, CompactionContract, SessionContract):
    """Contract of the port on `memory://name`, which the process keeps while it is closed."""

    timeout_s = 10.0

    def make_log(self, tmp_path: Path) -> Log:
        return open_log(f"memory://{tmp_path.name}")

    def add_partitions(self, log: Log, topic: str, partitions: int) -> None:
        assert isinstance(log, LocalLog)
        log.add_partitions(topic, partitions)

    def compact(self, log: Log, topic: str) -> None:
        assert isinstance(log, LocalLog)
        log.compact(topic, tombstone_age=timedelta())

    def expire_session(self, log: Log, consumer: GroupConsumer) -> None:
        assert isinstance(consumer, LocalConsumer)
        consumer.expire()
