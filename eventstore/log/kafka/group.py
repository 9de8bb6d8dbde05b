"""The group consumer.

A partition that is assigned is given to librdkafka at offset 0 and paused at once; `start` seeks and resumes. The
offset is a number although none is meant: the answer to the query that a logical one (the end) causes would override a
later seek. The assignment (`Membership`) changes *after* `revoked` returns, since until then the partitions are still
ours, and *before* `lost` (K3).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Place

from eventstore.log.errors import BrokerUnreachable, LogClosed, LogError, StaleMember
from eventstore.log.kafka.admin import Admin, places_of
from eventstore.log.kafka.committing import Places, commit, commit_amid_callback
from eventstore.log.kafka.diagnostics import Diagnostics
from eventstore.log.kafka.errors import error_of
from eventstore.log.kafka.group_errors import GroupErrors, is_harmless
from eventstore.log.kafka.hearing import DEAF, Hearing, leave_behind
from eventstore.log.kafka.membership import KafkaMember, Membership
from eventstore.log.kafka.positions import position_of
from eventstore.log.kafka.reached import Reached
from eventstore.log.kafka.records import partition_of, records_of
from eventstore.log.kafka.settings import Settings
from eventstore.log.port import Batch, Listener, Member
from eventstore.log.records import Position, Record, TopicPartition

log = structlog.get_logger("eventstore.log.kafka")

WAKING_SECONDS = 0.05
GRACE_SECONDS = 3.0
"""How much longer a commit may take than a client waits for an answer, or for the group's coordinator."""


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
        self._error = GroupErrors(group, settings.address)
        self._topics, self._session_ms = list(topics), session_ms
        self._reached = Reached()
        self._asleep: set[TopicPartition] = set()
        self._touched: set[TopicPartition] = set()
        self._errors: deque[LogError] = deque()
        self._hearing = Hearing(admin, next(iter(topics), ""), settings.fetch_wait)
        self._is_called_back = False
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
                consumer = self._replace(DEAF, consumer)
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
            raise self._error.general(error_of(raised), f"start {partition.topic}", partition.topic) from raised
        self._asleep.add(partition)
        self._reached.start(partition, position)

    def position(self, partition: TopicPartition) -> int:
        if self._reached.start_of(partition) is None:
            raise LogError(f"{partition.topic}[{partition.partition}] was not started by this member of {self.group!r}")
        return self._reached.position(partition, self._open())

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        places = [Place(*partition) for partition in partitions if partition in self._membership.owned]
        if places:
            self._open().pause(places)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        resumed = self._reached.started(partitions)
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
            raise self._error.of_positions(error_of(raised), timeout) from raised
        for place in places:
            if place.error is not None:
                raise self._error.of_positions(place.error, timeout)
        return {TopicPartition(place.topic, place.partition): position_of(place) for place in places}

    def commit(self, positions: Mapping[TopicPartition, Position], member: Member | None = None) -> None:
        consumer = self._open()
        if not positions:
            return
        owns = self._membership.owned.issuperset(positions)
        if not owns or (isinstance(member, KafkaMember) and not member.may_commit(positions)):
            raise StaleMember(f"group {self.group!r}: the assignment changed: nothing was committed, poll again")
        try:
            places = self._commit(consumer, places_of(positions))
        except KafkaException as raised:
            raise self._error.of_commit(error_of(raised)) from raised
        for place in places:
            if place.error is not None:
                raise self._error.of_commit(place.error)

    def close(self) -> None:
        consumer = self._consumer
        if consumer is None:
            return
        try:
            consumer.close()
        finally:
            self._consumer = None
            self._reached.forget(list(self._membership.owned))
            self._membership.end()

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

    def _replace(self, why: str, deaf: Consumer | None = None) -> Consumer:
        """Join anew, as a member whose session has ended: the group has evicted it, or will."""
        log.warning("consumer_replaced", group=self.group, reads=self._topics, why=why)
        self._consumer = consumer = self._made()
        self._hearing.heard()
        if deaf is not None:
            leave_behind(deaf)
        self._lose(list(self._membership.owned))
        return consumer

    def _commit(self, consumer: Consumer, places: Places) -> Places:
        if self._is_called_back:
            return commit_amid_callback(consumer, places, self._settings.api_timeout)
        patience = max(self._settings.api_timeout, self._session_ms / 1000) + GRACE_SECONDS
        try:
            return commit(consumer, places, patience)
        except TimeoutError:
            self._replace(f"a commit of positions did not return in {patience:g} s")
            why = f"whether the positions of {self.group!r} were committed is unknown: poll, which joins the group anew"
            raise BrokerUnreachable(self._settings.address, why) from None

    def _mapped_poll(self, consumer: Consumer, timeout: float) -> Message | None:
        try:
            return consumer.poll(timeout)
        except KafkaException as raised:
            raise self._error.general(error_of(raised), f"poll as a member of {self.group!r}") from raised

    def _wake(self, consumer: Consumer) -> None:
        """Have the threads that fetch look again: with nothing to fetch they sleep for a second, whatever is resumed.

        Any request to the partition's leader wakes them; its answer, which comes after the resumption, does so again.
        """
        asleep, self._asleep = self._reached.started(self._asleep), set()
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
        self._reached.came(records)
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
        with self._called_back():
            self._listener.assigned(partitions)

    def _on_revoke(self, consumer: Consumer, places: list[Place]) -> None:
        if not places or consumer is not self._consumer:
            return
        partitions = _partitions(places)
        metadata: bytes = consumer.consumer_group_metadata()
        try:
            with self._membership.revocation(metadata), self._called_back():
                self._listener.revoked(partitions)
        finally:
            self._drop(partitions)

    def _on_lost(self, consumer: Consumer, places: list[Place]) -> None:
        if consumer is self._consumer:
            with self._called_back():
                self._lose(_partitions(places))

    @contextmanager
    def _called_back(self) -> Generator[None]:
        """While it lasts, librdkafka waits for the listener."""
        self._is_called_back = True
        try:
            yield
        finally:
            self._is_called_back = False

    def _lose(self, partitions: Sequence[TopicPartition]) -> None:
        if partitions:
            self._drop(partitions)
            self._listener.lost(partitions)

    def _drop(self, partitions: Sequence[TopicPartition]) -> None:
        self._membership.drop(partitions)
        self._reached.forget(partitions)
        self._touched.update(partitions)

    def _without_touched(self, records: Sequence[Record]) -> list[Record]:
        """Drop what was collected of partitions that changed hands within one poll; begin them anew if started."""
        touched = frozenset(self._touched)
        self._touched.clear()
        for partition in touched:
            if (position := self._reached.start_of(partition)) is not None:
                self.start(partition, position)
        return [record for record in records if (record.topic, record.partition) not in touched]

    def _heed(self, messages: Iterable[Message]) -> None:
        """Keep the errors among the messages for the next poll: the records beside them are delivered first."""
        for message in messages:
            error = message.error()
            if error is None or is_harmless(error):
                continue
            if error.code() == KafkaError._PARTITION_EOF:
                self._reached.end(partition_of(message), message.offset() or 0)
            elif error.code() != KafkaError._AUTO_OFFSET_RESET or self._is_meant(message):
                self._errors.append(self._error.of_message(error, message))

    def _is_meant(self, message: Message) -> bool:
        """Whether a position that the log does not have was asked for: not before `start`, nor for offset 0 instead."""
        partition = partition_of(message)
        position, missing = self._reached.start_of(partition), message.offset() or 0
        if position is not None and missing < position:
            self.start(partition, position)
        return position is not None and missing >= position


def _partitions(places: Iterable[Place]) -> list[TopicPartition]:
    return [TopicPartition(place.topic, place.partition) for place in places]
