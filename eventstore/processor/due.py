"""When a timer may fire (K9): not before what came earlier than its time was read.

When a timer is due, the inbox's end is asked for. Everything that was in the inbox at the timer's time lies before that
end, so the timer fires once the inbox was read up to it: after an outage, replies that waited come before the
time-outs.
"""

from __future__ import annotations

from collections.abc import Mapping

from eventstore.log.port import Log
from eventstore.log.records import TopicPartition


class Barrier:
    """Ends to be read up to, per inbox partition, with the instant for which each stands."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._ends: dict[TopicPartition, tuple[int, int]] = {}

    def instants(
        self, due: list[TopicPartition], positions: Mapping[TopicPartition, int], now_ms: int
    ) -> dict[TopicPartition, int]:
        """Those of the partitions with due timers that were read far enough, and up to which instant theirs fire."""
        if not due:
            return {}
        self.require(due, now_ms)
        return {at: instant for at, instant in self.passed(positions).items() if at in due}

    def require(self, partitions: list[TopicPartition], now_ms: int) -> None:
        """Ask for the ends of partitions that have due timers and no end to be read up to yet."""
        unknown = [at for at in partitions if at not in self._ends]
        if unknown:
            for at, end in self._log.end_positions(unknown, isolation="uncommitted").items():
                self._ends[at] = end, now_ms

    def passed(self, positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Partitions that were read up to their end, with the instant up to which timers may fire; each once."""
        passed = {at: instant for at, (end, instant) in self._ends.items() if positions.get(at, -1) >= end}
        for at in passed:
            del self._ends[at]
        return passed

    def forget(self, partition: TopicPartition) -> None:
        """The partition is not served any more."""
        self._ends.pop(partition, None)
