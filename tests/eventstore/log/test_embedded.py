"""The embedded engine keeps the log port's contract, in the process that owns the folder."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from eventstore.log import GroupConsumer, Log, open_log
from eventstore.log.local.consumer import LocalConsumer
from eventstore.log.local.log import LocalLog
from eventstore.testing.log import CompactionContract, LogContract, SessionContract


class TestEmbeddedLog(LogContract, CompactionContract, SessionContract):
    """Contract of the port on `embedded:///folder`."""

    timeout_s = 10.0

    def make_log(self, tmp_path: Path) -> Log:
        return open_log(f"embedded://{tmp_path}/log")

    def add_partitions(self, log: Log, topic: str, partitions: int) -> None:
        assert isinstance(log, LocalLog)
        log.add_partitions(topic, partitions)

    def compact(self, log: Log, topic: str) -> None:
        assert isinstance(log, LocalLog)
        log.compact(topic, tombstone_age=timedelta())

    def expire_session(self, log: Log, consumer: GroupConsumer) -> None:
        assert isinstance(consumer, LocalConsumer)
        consumer.expire()


class TestEmbeddedLogWithFsync(TestEmbeddedLog):
    """The same with `fsync=commit`."""

    def make_log(self, tmp_path: Path) -> Log:
        return open_log(f"embedded://{tmp_path}/log?fsync=commit")
