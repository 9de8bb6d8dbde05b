"""Read explicit partitions.

The position comes from two sources, and the greater one holds: what was consumed (markers and aborted records among it
are passed over by librdkafka), and the end-of-partition events, which also pass what compaction took away at the tail.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Place

from eventstore.log.errors import LogClosed, PositionMissing
from eventstore.log.kafka.admin import Admin
from eventstore.log.kafka.diagnostics import Diagnostics
from eventstore.log.kafka.errors import UNREACHABLE, error_of, general
from eventstore.log.kafka.hearing import DEAF, Hearing, leave_behind
from eventstore.log.kafka.records import partition_of, records_of
from eventstore.log.kafka.settings import Settings
from eventstore.log.records import Isolation, Record, TopicPartition

log = structlog.get_logger("eventstore.log.kafka")

HARMLESS = UNREACHABLE | {KafkaError.GROUP_AUTHORIZATION_FAILED}
"""librdkafka reconnects by itself; and a reader has no group, though librdkafka looks for its coordinator."""


class KafkaReader:
    """The port's `Reader`."""

    def __init__(
        self, settings: Settings, admin: Admin, positions: Mapping[TopicPartition, int], isolation: Isolation
    ) -> None:
        self._settings, self._admin = settings, admin
        starts = admin.starts(positions)
        self._reached = {partition: max(position, starts[partition]) for partition, position in positions.items()}
        self._isolation: Isolation = isolation
        self._hearing = Hearing(admin, next((partition.topic for partition in positions), ""), settings.fetch_wait)
        self._consumer: Consumer | None = self._made()

    def read(self, max_records: int, timeout: float) -> list[Record]:
        consumer, deadline = self._open(), time.monotonic() + timeout
        while True:
            message = consumer.poll(max(deadline - time.monotonic(), 0.0))
            if message is None:
                if self._hearing.is_deaf(consumer):
                    self._replace(consumer)
                return []
            self._hearing.heard()
            messages = [message]
            if max_records > 1:
                messages += consumer.consume(max_records - 1, 0)
            records = records_of(messages)
            if len(records) < len(messages):
                for each in messages:
                    self._heed(consumer, each)
            if records or time.monotonic() >= deadline:
                return records

    def position(self, partition: TopicPartition) -> int:
        consumed = self._open().position([Place(*partition)])[0].offset
        reached = max(self._reached[partition], consumed)
        self._reached[partition] = reached
        return reached

    def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()

    def _made(self) -> Consumer:
        """A consumer that goes on where this reader is."""
        diagnostics = Diagnostics("reader")
        consumer = Consumer(
            self._settings.reader(self._isolation) | {"error_cb": diagnostics.error}, logger=diagnostics
        )
        consumer.assign([Place(*partition, position) for partition, position in self._reached.items()])
        return consumer

    def _replace(self, deaf: Consumer) -> None:
        for partition in self._reached:
            self.position(partition)
        self._consumer = self._made()
        self._hearing.heard()
        leave_behind(deaf)
        log.warning("consumer_replaced", reads=sorted({partition.topic for partition in self._reached}), why=DEAF)

    def _open(self) -> Consumer:
        if self._consumer is None:
            raise LogClosed("the reader was closed: open a new one")
        return self._consumer

    def _heed(self, consumer: Consumer, message: Message) -> None:
        """Do what an event in place of a record asks for."""
        error = message.error()
        if error is None:
            return
        partition = partition_of(message)
        if error.code() == KafkaError._PARTITION_EOF:
            self._reached[partition] = max(self._reached[partition], message.offset() or 0)
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._restart(consumer, partition)
        elif error.code() not in HARMLESS and not error.retriable():
            raise general(error, what=f"read {partition.topic}", address=self._settings.address, topic=partition.topic)

    def _restart(self, consumer: Consumer, partition: TopicPartition) -> None:
        """Go on at the log's start, which retention moved beyond the position."""
        position = self.position(partition)
        start = self._admin.starts([partition])[partition]
        if position >= start:
            raise PositionMissing("", *partition, f"position {position} lies beyond the end of the log")
        self._reached[partition] = start
        try:
            consumer.incremental_unassign([Place(*partition)])
            consumer.incremental_assign([Place(*partition, start)])
        except KafkaException as raised:
            raise general(error_of(raised), what=f"read {partition.topic}", address=self._settings.address) from raised
