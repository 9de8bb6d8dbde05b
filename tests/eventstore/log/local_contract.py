"""The contract of the port as an engine keeps it whose broker is in this process: the test reaches into it."""

from __future__ import annotations

from datetime import timedelta

from eventstore.log import GroupConsumer, Log
from eventstore.log.local.consumer import LocalConsumer
from eventstore.log.local.log import LocalLog
from eventstore.testing.log import CompactionContract, LogContract, SessionContract


class LocalContract(LogContract, CompactionContract, SessionContract):
    """All of it; a subclass says how the log is opened."""

    timeout_s = 10.0

    def add_partitions(self, log: Log, topic: str, partitions: int) -> None:
        assert isinstance(log, LocalLog)
        log.add_partitions(topic, partitions)

    def compact(self, log: Log, topic: str) -> None:
        assert isinstance(log, LocalLog)
        log.compact(topic, tombstone_age=timedelta())

    def expire_session(self, log: Log, consumer: GroupConsumer) -> None:
        assert isinstance(consumer, LocalConsumer)
        consumer.expire()
