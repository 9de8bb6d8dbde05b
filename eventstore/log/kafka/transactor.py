"""The transactional producer: units of work with the endings of rule K6.

One record per partition is held back, so that only the last of each partition carries a delivery callback: its offset
is what `commit` returns, and callbacks cost.

A unit's end is certain only while no connection was lost since its beginning. librdkafka repeats the request to end a
transaction inside, and a late copy of it would end the next one; so a success with a lost connection is
`OutcomeUnknown`.

A producer that lost a connection between two units is let go of, and the next one has another: a request that was on
its way to the coordinator may make librdkafka wait for ever, and nothing is open that could become uncertain. While
brokers are away, librdkafka 2.16 logs some 500 lines a second of its search for them; whoever kept the producer would
take them all in first when it goes on, for half a minute after an outage of one.

A record that the broker refused leaves a gap in librdkafka's sequence numbers, on which the next unit fails too,
whatever it holds. So the producer is replaced after such a unit was aborted; the abort has just shown that the id is
still ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import structlog
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as Client

from eventstore.log.errors import (
    Fenced,
    LogClosed,
    LogError,
    OutcomeUnknown,
    StaleMember,
)
from eventstore.log.kafka.bounded import BoundedCalls
from eventstore.log.kafka.diagnostics import Diagnostics, serve
from eventstore.log.kafka.ending import Ending, check_positions
from eventstore.log.kafka.errors import FENCED, OF_RECORDS, error_of, of_unit, unknown
from eventstore.log.kafka.fencing import open_client
from eventstore.log.kafka.membership import KafkaMember
from eventstore.log.kafka.records import partition_of, require_size, size_of
from eventstore.log.kafka.settings import Settings
from eventstore.log.port import Member
from eventstore.log.records import Headers, Outgoing, Position, TopicPartition

Held: TypeAlias = tuple[str, bytes | None, bytes | None, int, int, Headers]

log = structlog.get_logger("eventstore.log.kafka")

FLUSH_SECONDS = 1.0


class KafkaTransactor:
    """The port's `Transactor`."""

    def __init__(self, settings: Settings, transactional_id: str) -> None:
        self.transactional_id = transactional_id
        self._settings = settings
        self._limit = settings.message_max_bytes
        self._diagnostics = Diagnostics(transactional_id)
        self._held: dict[tuple[str, int], Held] = {}
        self._last: dict[TopicPartition, int] = {}
        self._is_open = self._is_closed = False
        self._refusal: KafkaError | None = None
        self._spoilt_by: LogError | None = None
        self._lost_before = 0
        """Connections that were lost before the producer of now was opened."""
        self._calls = BoundedCalls(f"transactor {transactional_id}")
        try:
            self._client: Client | None = self._opened()
        except BaseException:
            self._calls.close()
            raise

    @property
    def lost_connections(self) -> int:
        """How often a connection to a broker was lost so far."""
        if self._client is not None:
            serve(self._client)
        return self._diagnostics.lost_connections

    def begin(self) -> None:
        self._require_usable()
        if self._is_open:
            raise LogError(f"{self.transactional_id!r} has an open unit: commit or abort it first")
        self.rest()
        if self._client is None:
            self._reconnect()
        client = self._usable()
        try:
            client.begin_transaction()
        except KafkaException as raised:
            raise self._failed(error_of(raised), ending=False) from raised
        self._is_open, self._refusal = True, None
        self._held.clear()
        self._last.clear()

    def rest(self) -> None:
        client = self._client
        if client is not None and not self._is_open:
            serve(client)
            if self._has_lost():
                self._client = None
                client.purge(blocking=False)

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        *,
        timestamp_ms: int | None = None,
    ) -> None:
        size = size_of(key, value, headers)
        if size > self._limit:
            require_size(topic, size, self._limit)
        if not self._is_open:
            raise self._nothing_open()
        place = (topic, partition)
        before = self._held.get(place)
        self._held[place] = (topic, value, key, partition, timestamp_ms or 0, headers)
        if before is not None:
            self._hand_over(before, last=False)

    def produce_all(self, records: Sequence[Outgoing]) -> None:
        if not self._is_open:
            raise self._nothing_open()
        last = {(record[0], record[1]): number for number, record in enumerate(records)}
        for place in last:
            before = self._held.pop(place, None)
            if before is not None:
                self._hand_over(before, last=False)
        hold, produce, limit = frozenset(last.values()), self._usable().produce, self._limit
        for number, (topic, partition, key, value, headers, timestamp_ms) in enumerate(records):
            size = len(key or b"") + len(value or b"")
            if headers:
                size = size_of(key, value, headers)
            if size > limit:
                require_size(topic, size, limit)
            if number in hold or self._refusal is not None:
                self._held[topic, partition] = (topic, value, key, partition, timestamp_ms, headers)
                continue
            try:
                produce(topic, value, key, partition, None, None, timestamp_ms, [*headers] if headers else None)
            except (BufferError, KafkaException):
                self._hand_over((topic, value, key, partition, timestamp_ms, headers), last=False)

    def commit(
        self,
        positions: Mapping[TopicPartition, Position] | None = None,
        member: Member | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> dict[TopicPartition, int]:
        client = self._usable()
        if not self._is_open:
            raise self._nothing_open()
        check_positions(positions, member)
        if positions and isinstance(member, KafkaMember) and not member.may_commit(positions):
            self.abort()
            raise StaleMember("the assignment changed since the batch was polled: nothing happened, poll again")
        for held in self._held.values():
            self._hand_over(held, last=True)
        self._held.clear()
        if self._refusal is not None:
            raise self._failed(self._refusal, ending=False)
        self._end(client, Ending(client, positions, member), meanwhile)
        self._is_open = False
        return dict(self._last)

    def abort(self) -> None:
        """As the port says. Raises like `commit` if the broker cannot be told; the transactor is to be closed then.

        What was handed over is flushed first: librdkafka would ask to end a transaction that the coordinator, still
        busy with the last one, has not begun, which is fatal.
        """
        if not self._is_open:
            return
        client, self._is_open = self._usable(), False
        self._held.clear()
        try:
            client.flush(FLUSH_SECONDS)
            self._bounded(client.abort_transaction)
        except KafkaException as raised:
            failure = self._not_aborted(error_of(raised))
            if failure is not None:
                self._spoil(failure)
                raise failure from raised

    def close(self) -> None:
        try:
            if self._client is not None and self._spoilt_by is None:
                self.abort()
        except (Fenced, OutcomeUnknown) as failure:
            log.info("unit_left_open", transactional_id=self.transactional_id, why=str(failure))
        finally:
            self._is_closed = True
            client, self._client = self._client, None
            self._calls.close()
            if client is not None:
                client.purge(blocking=False)

    def _bounded(
        self, call: Callable[[float], object], requests: int = 1, meanwhile: Callable[[], None] | None = None
    ) -> None:
        """Make a call with the time-out of the settings. One that does not keep to it leaves the outcome unknown."""
        timeout = self._settings.api_timeout
        try:
            self._calls.run(partial(call, timeout), timeout * requests, meanwhile)
        except TimeoutError as late:
            failure = unknown(self.transactional_id, "librdkafka did not return in time")
            self._spoil(failure)
            raise failure from late

    def _not_aborted(self, error: KafkaError) -> LogError | None:
        """What to raise; None if the id is still ours, so that a new producer under it ends the unit."""
        if error.code() in FENCED:
            return Fenced(self.transactional_id)
        if error.code() == KafkaError.INVALID_TXN_STATE:
            self._reconnect()
            return None
        return unknown(self.transactional_id, f"it was not aborted: {error.str()}")

    def _opened(self) -> Client:
        client = open_client(self._settings, self.transactional_id, self._diagnostics, self._calls)
        self._lost_before = self._diagnostics.lost_connections
        return client

    def _reconnect(self) -> None:
        before, self._client = self._client, None
        self._client = self._opened()
        if before is not None:
            before.purge(blocking=False)

    def _usable(self) -> Client:
        self._require_usable()
        if self._client is None:
            raise self._nothing_open()
        return self._client

    def _require_usable(self) -> None:
        if self._is_closed:
            raise LogClosed(f"the transactor {self.transactional_id!r} was closed: open a new one")
        if self._spoilt_by is not None:
            raise self._spoilt_by

    def _nothing_open(self) -> LogError:
        return LogError(f"{self.transactional_id!r} has no open unit: call begin first")

    def _hand_over(self, held: Held, *, last: bool) -> None:
        """Give a record to librdkafka. What it refuses shows at the commit, where the caller looks for it."""
        topic, value, key, partition, timestamp_ms, headers = held
        client, report = self._usable(), self._delivered if last else None
        while self._refusal is None:
            try:
                client.produce(topic, value, key, partition, report, None, timestamp_ms, list(headers) or None)
                return
            except BufferError:
                serve(client, 0.01)
            except KafkaException as raised:
                self._refusal = error_of(raised)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._last[partition_of(message)] = message.offset() or 0

    def _end(self, client: Client, ending: Ending, meanwhile: Callable[[], None] | None) -> None:
        try:
            self._bounded(ending.run, requests=2, meanwhile=meanwhile)
        except KafkaException as raised:
            if ending.is_asked:
                serve(client)
            raise self._failed(error_of(raised), ending=ending.is_asked) from raised
        except OutcomeUnknown:
            raise
        except Exception as raised:
            failure = unknown(self.transactional_id, f"something failed meanwhile: {raised!r}")
            self._spoil(failure)
            raise failure from raised
        serve(client)
        if self._has_lost():
            failure = unknown(self.transactional_id, "a connection was lost while it was committed")
            self._spoil(failure)
            raise failure

    def _has_lost(self) -> bool:
        return self._diagnostics.lost_connections > self._lost_before

    def _failed(self, error: KafkaError, *, ending: bool) -> LogError:
        """The error to raise, after doing what it demands: abort, or never use this transactor again."""
        failure = of_unit(error, self.transactional_id, ending=ending, lost=self._has_lost())
        if isinstance(failure, Fenced | OutcomeUnknown) or error.fatal():
            self._spoil(failure)
        else:
            self.abort()
            if error.code() in OF_RECORDS:
                self._reconnect()
        return failure

    def _spoil(self, failure: LogError) -> None:
        self._is_open, self._spoilt_by = False, failure
