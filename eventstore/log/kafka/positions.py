"""Read the positions that groups have committed, without being a member.

Consumers ask for them: each belongs to a group, and subscribes to nothing. librdkafka's admin client could do the same,
but after a lost connection its requests to a group's coordinator are never answered again (each waits for a
connection that nobody opens), and a coordinator that goes while one is on its way ends the process by an assertion.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from eventstore.log.errors import LogClosed
from eventstore.log.kafka.diagnostics import Diagnostics
from eventstore.log.kafka.errors import UNREACHABLE, error_of, general
from eventstore.log.kafka.settings import Settings
from eventstore.log.records import Position, TopicPartition

KEPT = 8
"""Groups whose consumers are kept, because they are asked for again."""
PENDING = KafkaError.UNSTABLE_OFFSET_COMMIT
SETTLING = frozenset(
    {KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.NOT_COORDINATOR}
)
"""The coordinator moves or starts: ask again."""
PAUSE = 0.02


class GroupPositions:
    """Committed positions, by group. Every call may come from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._choosing = threading.Lock()
        self._consumers: OrderedDict[tuple[str, bool], Consumer] = OrderedDict()
        self._is_closed = False

    def read(
        self, group: str, partitions: Sequence[TopicPartition], *, stable: bool, timeout: float
    ) -> dict[TopicPartition, Position | None]:
        """The committed positions of these partitions.

        Raises:
            TimeoutError: `stable`, and after `timeout` seconds some were still pending, or nobody had answered.
            BrokerUnreachable: nobody answered in time.
        """
        if not partitions:
            return {}
        deadline = time.monotonic() + timeout
        while True:
            places = self._ask(group, partitions, stable=stable, timeout=max(deadline - time.monotonic(), 0.1))
            failures = [place.error for place in places if place.error is not None]
            if not failures:
                return {TopicPartition(place.topic, place.partition): position_of(place) for place in places}
            if failures[0].code() not in SETTLING | {PENDING} or time.monotonic() >= deadline:
                raise self._failed(failures[0], group, stable=stable, timeout=timeout)
            time.sleep(PAUSE)

    def close(self) -> None:
        """Answer no more. Consumers that are asked right now are closed when they have answered."""
        with self._choosing:
            self._is_closed = True
            self._consumers.clear()

    def _ask(self, group: str, partitions: Sequence[TopicPartition], *, stable: bool, timeout: float) -> list[Place]:
        consumer = self._consumer(group, stable=stable)
        try:
            return consumer.committed([Place(*partition) for partition in partitions], timeout)
        except KafkaException as raised:
            raise self._failed(error_of(raised), group, stable=stable, timeout=timeout) from raised

    def _consumer(self, group: str, *, stable: bool) -> Consumer:
        with self._choosing:
            if self._is_closed:
                raise LogClosed(f"the log {self._settings.url} was closed: open it again")
            consumer = self._consumers.pop((group, stable), None) or self._open(group, stable=stable)
            self._consumers[group, stable] = consumer
            if len(self._consumers) > KEPT:
                self._consumers.popitem(last=False)
            return consumer

    def _open(self, group: str, *, stable: bool) -> Consumer:
        diagnostics = Diagnostics(f"positions of {group}")
        config = self._settings.reader("committed" if stable else "uncommitted") | {"group.id": group}
        return Consumer(config | {"error_cb": diagnostics.error}, logger=diagnostics)

    def _failed(self, error: KafkaError, group: str, *, stable: bool, timeout: float) -> Exception:
        if stable and (error.code() in UNREACHABLE or error.code() == PENDING):
            return TimeoutError(f"positions of {group!r} are still pending after {timeout:g} s: a unit is open")
        return general(error, what=f"read the positions of group {group!r}", address=self._settings.address)


def position_of(place: Place) -> Position | None:
    """A committed position as the port has it; None if there is none."""
    return None if place.offset == OFFSET_INVALID or place.offset < 0 else Position(place.offset, place.metadata or "")
