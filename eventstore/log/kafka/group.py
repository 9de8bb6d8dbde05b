"""The group consumer.

A partition that is assigned is given to librdkafka at offset 0 and paused at once; `start` seeks and resumes. The
offset is a number although none is meant: the answer to the query that a logical one (the end) causes would override a
later seek. The assignment (`Membership`) changes *after* `revoked` returns, since until then the partitions are still
ours, and *before* `lost` (K3).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Place

from eventstore.log.errors import LogClosed, LogError, PositionMissing, StaleMember
from eventstore.log.kafka.admin import Admin, places_of
from eventstore.log.kafka.diagnostics import Diagnostics
from eventstore.log.kafka.errors import MISSING, STALE, UNREACHABLE, error_of, general
from eventstore.log.kafka.hearing import DEAF, Hearing
from eventstore.log.kafka.membership import KafkaMember, Membership
from eventstore.log.kafka.positions import position_of
from eventstore.log.kafka.records import records_of
from eventstore.log.kafka.settings import Settings
from eventstore.log.port import Batch, Listener, Member
from eventstore.log.records import Position, Record, TopicPartition

log = structlog.get_logger("eventstore.log.kafka")

WAKING_SECONDS = 0.05
HARMLESS = UNREACHABLE | {KafkaError._MAX_POLL_EXCEEDED}
"""Mended inside: librdkafka reconnects, or calls `lost` and joins again."""


class KafkaGroupConsumer:
    """The port's `GroupConsumer`."""

    def __init__(
        self,
        settings: Settings,
        admin: Admin,
        group: str,
        topics: Sequence[str],
        listener: Listener,
        session_ms: int,
    ) -> None:
        self.group = group
        self._membership = Membership(group)
        self._settings, self._listener = settings, listener
        self._topics, self._session_ms = list(topics), session_ms
        self._started: dict[TopicPartition, int] = {}
        self._reached: dict[TopicPartition, int] = {}
        self._fresh: set[TopicPartition] = set()
        self._asleep: set[TopicPartition] = set()
        self._touched: set[TopicPartition] = set()
        self._errors: deque[LogError] = deque()
        self._hearing = Hearing(admin, next(iter(topics), ""), settings.fetch_wait)
        self._consumer: Consumer | None = self._made()

    @property
    def member_id(self) -> str:
        """The id that the coordinator gave; empty before the first assignment."""
        return self._open().memberid() or ""

    def poll(self, max_records: int, timeout: float) -> Batch:
        consumer = self._open()
        deadline = time.monotonic() + timeout
        if self._asleep:
            self._wake(consumer)
        while True:
            if self._errors:
                raise self._errors.popleft()
            message = self._mapped_poll(consumer, max(deadline - time.monotonic(), 0.0))
            if message is not None:
                self._hearing.heard()
            elif self._hearing.is_deaf(consumer):
                consumer = self._replace(consumer)
            records = [] if message is None else self._collect(consumer, message, max_records)
            if records or message is None:
                return Batch(records, self._membership.capture(consumer.consumer_group_metadata()))

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self._membership.owned)

    def start(self, partition: TopicPartition, position: int) -> None:
        consumer, place = self._open(), Place(*partition, position)
        if partition not in self._membership.owned:
            raise LogError(f"{partition.topic}[{partition.partition}] is not assigned to this member of {self.group!r}")
        try:
            try:
                consumer.seek(place)
            except KafkaException as raised:
                if error_of(raised).code() != KafkaError._STATE:
                    raise
                consumer.incremental_unassign([place])
                consumer.incremental_assign([place])
            consumer.resume([place])
        except KafkaException as raised:
            raise self._general(error_of(raised), f"start {partition.topic}", partition.topic) from raised
        self._asleep.add(partition)
        self._started[partition] = self._reached[partition] = position
        self._fresh.add(partition)

    def position(self, partition: TopicPartition) -> int:
        """As the port says. After a seek librdkafka tells the old position until something of the partition came."""
        if partition not in self._reached:
            raise LogError(f"{partition.topic}[{partition.partition}] was not started by this member of {self.group!r}")
        reached = self._reached[partition]
        if partition in self._fresh:
            return reached
        return max(reached, int(self._open().position([Place(*partition)])[0].offset))

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        places = [Place(*partition) for partition in partitions if partition in self._membership.owned]
        if places:
            self._open().pause(places)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        resumed = [partition for partition in partitions if partition in self._started]
        if resumed:
            self._open().resume([Place(*partition) for partition in resumed])
            self._asleep.update(resumed)

    def committed(self, partitions: Iterable[TopicPartition], timeout: float) -> dict[TopicPartition, Position | None]:
        wanted = [Place(*partition) for partition in partitions]
        if not wanted:
            return {}
        try:
            places = self._open().committed(wanted, timeout)
        except KafkaException as raised:
            raise self._late_or(error_of(raised), timeout) from raised
        for place in places:
            if place.error is not None:
                raise self._late_or(place.error, timeout)
        return {TopicPartition(place.topic, place.partition): position_of(place) for place in places}

    def commit(self, positions: Mapping[TopicPartition, Position], member: Member | None = None) -> None:
        consumer = self._open()
        if not positions:
            return
        owns = self._membership.owned.issuperset(positions)
        if not owns or (isinstance(member, KafkaMember) and not member.may_commit(positions)):
            raise StaleMember(f"group {self.group!r}: the assignment changed: nothing was committed, poll again")
        try:
            places = consumer.commit(offsets=places_of(positions), asynchronous=False) or []
        except KafkaException as raised:
            raise self._refused(error_of(raised)) from raised
        for place in places:
            if place.error is not None:
                raise self._refused(place.error)

    def close(self) -> None:
        consumer, self._consumer = self._consumer, self._consumer
        if consumer is None:
            return
        try:
            consumer.close()
        finally:
            self._consumer = None
            self._membership.end()
            self._started.clear()

    def _open(self) -> Consumer:
        if self._consumer is None:
            raise LogClosed(f"the consumer of group {self.group!r} was closed: open a new one")
        return self._consumer

    def _made(self) -> Consumer:
        diagnostics = Diagnostics(self.group)
        consumer = Consumer(
            self._settings.group(self.group, self._session_ms) | {"error_cb": diagnostics.error}, logger=diagnostics
        )
        consumer.subscribe(self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        return consumer

    def _replace(self, deaf: Consumer) -> Consumer:
        """Join anew, as a member whose session has ended: the group has evicted it, or will."""
        log.warning("consumer_replaced", group=self.group, reads=self._topics, why=DEAF)
        self._consumer = consumer = self._made()
        self._hearing.leave_behind(deaf)
        self._lose(list(self._membership.owned))
        return consumer

    def _mapped_poll(self, consumer: Consumer, timeout: float) -> Message | None:
        try:
            return consumer.poll(timeout)
        except KafkaException as raised:
            raise self._general(error_of(raised), f"poll as a member of {self.group!r}") from raised

    def _wake(self, consumer: Consumer) -> None:
        """Have the threads that fetch look again: with nothing to fetch they sleep for a second, whatever is resumed.

        Any request to the partition's leader wakes them; its answer, which comes after the resumption, does so again.
        """
        asleep, self._asleep = self._asleep & self._started.keys(), set()
        for partition in asleep:
            with suppress(KafkaException):
                consumer.get_watermark_offsets(Place(*partition), timeout=WAKING_SECONDS, cached=False)

    def _collect(self, consumer: Consumer, first: Message, max_records: int) -> list[Record]:
        """The first message's record and those that wait behind it; none of partitions that changed hands meanwhile."""
        messages = [first]
        self._touched.clear()
        if max_records > 1:
            messages += consumer.consume(max_records - 1, 0)
        records = records_of(messages)
        if self._fresh:
            self._fresh.difference_update({TopicPartition(record.topic, record.partition) for record in records})
        if len(records) < len(messages):
            self._heed(messages)
        return self._without_touched(records) if self._touched else records

    def _on_assign(self, consumer: Consumer, places: list[Place]) -> None:
        if consumer is not self._consumer:  # one that was replaced
            return
        consumer.incremental_assign([Place(place.topic, place.partition, 0) for place in places])
        if not places:
            return
        consumer.pause(places)
        partitions = _partitions(places)
        self._membership.add(partitions)
        self._touched.update(partitions)
        self._listener.assigned(partitions)

    def _on_revoke(self, consumer: Consumer, places: list[Place]) -> None:
        if not places or consumer is not self._consumer:
            return
        partitions = _partitions(places)
        metadata: bytes = consumer.consumer_group_metadata()
        try:
            with self._membership.revocation(metadata):
                self._listener.revoked(partitions)
        finally:
            self._drop(partitions)

    def _on_lost(self, consumer: Consumer, places: list[Place]) -> None:
        if consumer is self._consumer:
            self._lose(_partitions(places))

    def _lose(self, partitions: Sequence[TopicPartition]) -> None:
        if partitions:
            self._drop(partitions)
            self._listener.lost(partitions)

    def _drop(self, partitions: Sequence[TopicPartition]) -> None:
        self._membership.drop(partitions)
        for partition in partitions:
            self._started.pop(partition, None)
            self._reached.pop(partition, None)
            self._fresh.discard(partition)
        self._touched.update(partitions)

    def _without_touched(self, records: Sequence[Record]) -> list[Record]:
        """Drop what was collected of partitions that changed hands within one poll; begin them anew if started."""
        touched = frozenset(self._touched)
        self._touched.clear()
        for partition in touched & self._started.keys():
            self.start(partition, self._started[partition])
        return [record for record in records if (record.topic, record.partition) not in touched]

    def _heed(self, messages: Iterable[Message]) -> None:
        """Keep the errors among the messages for the next poll: the records beside them are delivered first."""
        for message in messages:
            error = message.error()
            if error is None or error.code() in HARMLESS or error.retriable():
                continue
            if error.code() == KafkaError._PARTITION_EOF:
                self._note_end(message)
            elif error.code() != KafkaError._AUTO_OFFSET_RESET or self._is_meant(message):
                self._errors.append(self._of_message(error, message))

    def _note_end(self, message: Message) -> None:
        """The partition was read to its end, past markers and past what compaction took away there."""
        partition = TopicPartition(message.topic() or "", message.partition() or 0)
        if partition in self._started:
            self._reached[partition] = max(self._reached[partition], message.offset() or 0)
            self._fresh.discard(partition)

    def _is_meant(self, message: Message) -> bool:
        """Whether a position that the log does not have was asked for: not before `start`, nor for offset 0 instead."""
        partition = TopicPartition(message.topic() or "", message.partition() or 0)
        position, missing = self._started.get(partition), message.offset() or 0
        if position is not None and missing < position:
            self.start(partition, position)
        return position is not None and missing >= position

    def _of_message(self, error: KafkaError, message: Message) -> LogError:
        topic, partition = message.topic() or "", message.partition() or 0
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            why = f"position {message.offset()} is not in the log ({error.str()}): say where to start"
            return PositionMissing(self.group, topic, partition, why)
        return self._general(error, f"read {topic or self.group}", topic)

    def _late_or(self, error: KafkaError, timeout: float) -> Exception:
        if error.code() in UNREACHABLE or error.code() == KafkaError.UNSTABLE_OFFSET_COMMIT:
            return TimeoutError(f"positions of group {self.group!r} were still pending after {timeout:g} s")
        return self._general(error, f"read the positions of group {self.group!r}")

    def _refused(self, error: KafkaError) -> LogError:
        if error.code() in STALE:
            return StaleMember(f"group {self.group!r} moved on ({error.str()}): nothing was committed, poll again")
        return self._general(error, f"commit positions of group {self.group!r}")

    def _general(self, error: KafkaError, what: str, topic: str = "") -> LogError:
        known = topic if error.code() in MISSING else ""
        return general(error, what=what, address=self._settings.address, topic=known)


def _partitions(places: Iterable[Place]) -> list[TopicPartition]:
    return [TopicPartition(place.topic, place.partition) for place in places]
