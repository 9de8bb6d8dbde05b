"""Where the partitions that a member started begin, and how far they were read."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Place

from eventstore.log.records import Record, TopicPartition


class Reached:
    """Of one member."""

    def __init__(self) -> None:
        self._starts: dict[TopicPartition, int] = {}
        self._reached: dict[TopicPartition, int] = {}
        self._fresh: set[TopicPartition] = set()

    def start(self, partition: TopicPartition, position: int) -> None:
        """It delivers from here on."""
        self._starts[partition] = self._reached[partition] = position
        self._fresh.add(partition)

    def start_of(self, partition: TopicPartition) -> int | None:
        """From where it was to deliver; None if it was not started."""
        return self._starts.get(partition)

    def position(self, partition: TopicPartition, consumer: Consumer) -> int:
        """The next position of one that was started.

        After a seek librdkafka tells the old position until something of the partition came.
        """
        reached = self._reached[partition]
        if partition in self._fresh:
            return reached
        return max(reached, int(consumer.position([Place(*partition)])[0].offset))

    def came(self, records: Iterable[Record]) -> None:
        """These were delivered."""
        if self._fresh:
            self._fresh.difference_update({TopicPartition(record.topic, record.partition) for record in records})

    def end(self, partition: TopicPartition, offset: int) -> None:
        """It was read to its end, past markers and past what compaction took away there."""
        if partition in self._starts:
            self._reached[partition] = max(self._reached[partition], offset)
            self._fresh.discard(partition)

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """These were given away."""
        for partition in partitions:
            self._starts.pop(partition, None)
            self._reached.pop(partition, None)
            self._fresh.discard(partition)

    def started(self, among: Iterable[TopicPartition]) -> list[TopicPartition]:
        """Those that were started."""
        return [partition for partition in among if partition in self._starts]
