"""The topics of a local log, and their partitions. Everything here runs under the broker's lock.

A topic's row says how many partitions it has, and how many its manifest says; the two differ only when partitions were
added behind the manifest's back, as an administrator of a Kafka cluster could.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping

import msgspec

from eventstore.log.errors import InvalidRecord, LogError, PartitionCountChanged, TopicMissing
from eventstore.log.local.store import Partition, Store, TopicRow
from eventstore.log.records import Topic, TopicDescription


class Topics:
    """What topics there are."""

    def __init__(self, store: Store, default_partitions: int) -> None:
        self.default_partitions = default_partitions
        self.rows: dict[str, TopicRow] = {}
        self.partitions: dict[tuple[str, int], Partition] = {}
        """Of all topics. It is one dictionary for as long as the log is open."""
        self._store = store
        self._next_number = 0
        for row in store.topics():
            self._install(row)

    def create(self, topics: Iterable[Topic]) -> None:
        """Make what is missing, check what is there.

        Raises:
            PartitionCountChanged: a topic has other partitions than it should; nothing was made.
        """
        wanted = list(topics)
        for topic in wanted:
            if topic.name in self.rows:
                self._check_count(topic)
        for topic in wanted:
            row = self.rows.get(topic.name)
            if row is None:
                self._create(topic)
            elif (row.wanted, row.has_unique_keys) != (topic.configuration, topic.has_unique_keys):
                settings, is_unique = topic.configuration, topic.has_unique_keys
                self._change(msgspec.structs.replace(row, wanted=settings, has_unique_keys=is_unique))

    def describe(self, names: Iterable[str] | None) -> dict[str, TopicDescription]:
        """The topics of these names that exist; all if None."""
        rows = self.rows.values() if names is None else [self.rows[name] for name in names if name in self.rows]
        return {
            row.name: TopicDescription(
                name=row.name,
                id=row.id,
                partitions=row.partitions,
                manifest_partitions=row.manifest,
                wanted=dict(row.wanted),
            )
            for row in rows
        }

    def configuration(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """The settings in force of the topics of these names that exist."""
        return {name: dict(self.rows[name].settings) for name in names if name in self.rows}

    def configure(self, topic: str, settings: Mapping[str, str]) -> None:
        """Change settings. What they say of compaction and retention holds from the next tidying on.

        A topic that is compacted keeps the last record of each key, as when it is made: what `compact,delete` says of
        retention is left to its readers.

        Raises:
            TopicMissing: there is no such topic.
            LogError: a value cannot be one; nothing was changed.
        """
        row = self.rows.get(topic)
        if row is None:
            raise TopicMissing(topic)
        changed = {**row.settings, **settings}
        policy, retention = changed.get("cleanup.policy", ""), changed.get("retention.ms", "-1")
        policies = policy.split(",")
        if not {*policies} <= {"compact", "delete"} or not retention.removeprefix("-").isdecimal():
            raise LogError(
                f"{topic} takes no cleanup.policy={policy}, retention.ms={retention}: give compact, delete or both "
                f"with a comma, and a number of milliseconds, -1 for ever"
            )
        is_compacted, retention_ms = "compact" in policies, int(retention)
        self._change(
            msgspec.structs.replace(
                row,
                settings=changed,
                compacted=is_compacted,
                retention_ms=None if is_compacted or retention_ms < 0 else retention_ms,
            )
        )

    def remove(self, names: Iterable[str]) -> list[TopicRow]:
        """Forget the topics of these names that exist; returns them. The store still has them."""
        removed = [self.rows.pop(name) for name in set(names) if name in self.rows]
        for row in removed:
            for number in range(row.partitions):
                del self.partitions[row.name, number]
        return removed

    def grow(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions behind the manifest's back."""
        self._change(msgspec.structs.replace(self.rows[topic], partitions=partitions))

    def missing(self, topic: str, partition: int) -> TopicMissing | InvalidRecord:
        """The error for a partition that is not there."""
        row = self.rows.get(topic)
        if row is None:
            return TopicMissing(topic)
        return InvalidRecord(
            topic, f"it has {row.partitions} partitions, counted from 0, and so no partition {partition}"
        )

    def _check_count(self, topic: Topic) -> None:
        row = self.rows[topic.name]
        for expected, is_asked in ((row.manifest, False), (topic.partitions, True)):
            if expected is not None and expected != row.partitions:
                raise PartitionCountChanged(topic.name, manifest=expected, actual=row.partitions, is_asked=is_asked)

    def _create(self, topic: Topic) -> None:
        partitions, settings = topic.partitions or self.default_partitions, topic.configuration
        self._change(
            TopicRow(
                topic.name,
                uuid.uuid4().hex,
                self._next_number,
                partitions,
                partitions,
                topic.compacted,
                topic.retention_ms,
                settings,
                settings,
                topic.has_unique_keys,
            )
        )

    def _change(self, row: TopicRow) -> None:
        self._store.save_topic(row)
        self._install(row)

    def _install(self, row: TopicRow) -> None:
        self.rows[row.name] = row
        self._next_number = max(self._next_number, row.number + 1)
        for number in range(row.partitions):
            partition = self.partitions.get((row.name, number))
            if partition is None:
                self.partitions[row.name, number] = self._store.open_partition(row, number)
            else:
                partition.row, partition.compacted = row, row.compacted
