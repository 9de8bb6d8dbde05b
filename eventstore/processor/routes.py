"""Which partition of a topic a key belongs to, as far as a processor's outputs need it."""

from __future__ import annotations

from collections.abc import Collection

from eventstore.log.errors import TopicMissing
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.log.records import Topic
from eventstore.processor.topics import INBOX_RETENTION_MS


class Routes:
    """Partition counts of destinations, looked up once (they are frozen).

    An inbox that does not exist yet is created, so that a command can wait for a service that was never started.
    """

    def __init__(self, log: Log, never_made: Collection[str] = ()) -> None:
        """`never_made`: inboxes that are missed by name, for their owner chooses how many partitions they have."""
        self._log, self._never_made = log, frozenset(never_made)
        self._counts: dict[str, int] = {}
        self.message_max_bytes = log.message_max_bytes

    def partition(self, topic: str, key: str) -> int:
        """The partition of `topic` that holds `key`.

        Raises:
            TopicMissing: it does not exist, and is no inbox that is made here.
        """
        return partition_of(key, self._counts.get(topic) or self.count(topic))

    def known(self, topic: str) -> int | None:
        """How many partitions the topic has, if that was looked up before; without input or output."""
        return self._counts.get(topic)

    def count(self, topic: str) -> int:
        """How many partitions the topic has.

        Raises:
            TopicMissing: as above.
        """
        known = self._counts.get(topic)
        if known:
            return known
        found = self._log.describe([topic]).get(topic)
        if found is None and topic.endswith(".inbox") and topic not in self._never_made:
            self._log.create([Topic(name=topic, retention_ms=INBOX_RETENTION_MS)])
            found = self._log.describe([topic]).get(topic)
        if found is None:
            raise TopicMissing(topic)
        self._counts[topic] = found.partitions
        return found.partitions
