"""Follow a store's topics while a storm goes on: what they have, before Kafka's cleaner takes it, who owns what, and
how lately each partition took an append.
"""

from __future__ import annotations

from eventstore.log.errors import LogError
from eventstore.log.port import Log, Reader
from eventstore.log.records import TopicPartition
from eventstore.processor.predecessor import transactional_id_of
from eventstore.processor.topics import inbox_of
from tests.chaos.streams.log_scan import LogScan
from tests.chaos.streams.model import PARTITIONS


class Follower:
    """Reads what is committed."""

    def __init__(self, log: Log, scan: LogScan) -> None:
        """`scan` collects what is read."""
        self._log, self._scan = log, scan
        self._reader: Reader | None = None
        self._latest_ms = dict.fromkeys(range(PARTITIONS), 0)

    @property
    def partitions(self) -> set[int]:
        return set(self._latest_ms)

    def follow(self, seconds: float) -> None:
        """Take in what came."""
        reader = self._reader or self._open()
        if reader is None:
            return
        records = reader.read(2_000, seconds)
        self._scan.take(records)
        for record in records:
            if record.topic == self._scan.topics[0]:
                self._latest_ms[record.partition] = max(self._latest_ms[record.partition], record.timestamp_ms)

    def not_past(self, instant_ms: int) -> list[int]:
        """Partitions without an append that was decided on later."""
        return [number for number, latest in self._latest_ms.items() if latest <= instant_ms]

    def are_past(self, instant_ms: int) -> bool:
        """Whether all partitions took an append later."""
        return not self.not_past(instant_ms)

    def owners(self, store: str) -> dict[int, str]:
        """Partition → slot of the process that committed there last. Empty if nobody can say now."""
        inbox = inbox_of(store)
        places = [TopicPartition(inbox, number) for number in range(PARTITIONS)]
        try:
            found = self._log.group_positions(store, places, stable=False, timeout=1.0)
        except (LogError, TimeoutError):
            return {}
        ids = {at.partition: transactional_id_of(one.metadata) for at, one in found.items() if one is not None}
        return {number: id_.removeprefix(f"{store}.") for number, id_ in ids.items() if id_}

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def _open(self) -> Reader | None:
        try:
            topics = self._scan.topics
            if len(self._log.describe(topics)) == len(topics):
                at = [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
                self._reader = self._log.reader(dict.fromkeys(at, 0))
        except LogError:
            return None
        return self._reader
