"""Re-key what a view reads, exactly once, so that the view's keys determine the partition (rule V1).

    class Customers(View, topics=[orders], by=customer_of): ...

The view then reads the topic `<view>.v<version>.by`, into which each event is put under the key that `by` gives, with
its bytes and headers unchanged and one more header, `origin`: the key it had, `stream/version`. Records of the same key
keep the order of the partition that they come from; between partitions there is none. An event for which `by` gives
None is left out. The topic is kept for ever, because the view is rebuilt from it. An error in `by` stops the loop,
visibly, and so does a record that the log does not take: a view with holes would be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from consumers.reactor_loop import ReactorLoop
from consumers.view_errors import BadRowKey
from eventstore.component import Host
from eventstore.log.errors import PositionMissing
from eventstore.log.partition import partition_of
from eventstore.log.port import GroupConsumer
from eventstore.log.records import Position, Record, Topic, TopicPartition
from eventstore.processor.inputs import Outgoing
from schemas import Event

By: TypeAlias = Callable[[Any], str | None]
"""The key under which a view wants an event; None: it does not want it."""

ORIGIN = "origin"


def rekeyed_topic(view: str) -> str:
    """The topic that a view of this full name reads instead of its sources."""
    return f"{view}.by"


def rekeying_group(service: str, view: str) -> str:
    """The group whose positions say how far a view's sources were copied."""
    return f"{service}.{rekeyed_topic(view)}"


class RekeyLoop(ReactorLoop):
    """Runs beside a view's loop, in the group `<service>.<view>.v<version>.by`."""

    def __init__(self, host: Host, view: str, topics: Sequence[str], events: Sequence[type[Event]], by: By) -> None:
        super().__init__(host, rekeying_group(host.service, view), topics, Rekeyed(host, view, events, by))
        self.name = f"re-keying for {view}"
        self._view = view

    def is_ready(self) -> bool:
        """Whether what was there when its partitions were taken is in the copy."""
        return super().is_ready() and not self._ends

    def progress(self) -> str:
        """What is left before it is; empty while that is not known. Any thread."""
        sent = dict(self._sent)
        left = sum(max(0, end - sent.get(at, 0)) for at, end in self._ends.items())
        return f"events are copied under the view's keys: {left:,} records are left in this process" if left else ""

    def _first_positions(
        self, consumer: GroupConsumer, missing: Sequence[TopicPartition]
    ) -> dict[TopicPartition, Position]:
        """As of a reactor, with another way out: what was copied is in the copy, and would be in it twice."""
        try:
            return super()._first_positions(consumer, missing)
        except PositionMissing as error:
            why = (
                "it had one, and the log is not empty. Positions go when a group is deleted or rests longer than the "
                f"broker's offsets.retention.minutes. To copy again would count events of {self._view} twice, to go on "
                "at the end would leave some out: raise the view's version=, which makes copy and rows anew"
            )
            raise PositionMissing(error.group, error.topic, error.partition, why) from error


class Rekeyed:
    """The `Output` of the loop: each event once more, under another key."""

    failed = 0

    def __init__(self, host: Host, view: str, events: Sequence[type[Event]], by: By) -> None:
        self._host, self._view, self._by = host, view, by
        self._events = {event.__type_name__ for event in events}
        self._topic, self._partitions = rekeyed_topic(view), 0
        self.skipped = 0

    def of(self, record: Record) -> list[Outgoing]:
        serde = self._host.serde
        if record.value is None:
            return []
        if serde.type_of(record.value).name not in self._events:
            self.skipped += 1
            return []
        key: Any = self._by(serde.decode(record.value))
        if key is None:
            return []
        if not isinstance(key, str) or not key:
            raise BadRowKey(key, f"what by= of {self._view} gives: a text that is not empty, or None")
        headers = (*record.headers, (ORIGIN, record.key or b""))
        self._partitions = self._partitions or self._host.log.describe([self._topic])[self._topic].partitions
        partition = partition_of(key, self._partitions)
        return [(self._topic, partition, key.encode(), record.value, headers, record.timestamp_ms)]

    def of_refused(self, record: Record, error: BaseException) -> list[Outgoing]:
        """A view with a hole would be wrong."""
        raise error


def rekeyed(view: str) -> Topic:
    """The topic, as it shall be."""
    return Topic(name=rekeyed_topic(view))


def original_key(record: Record) -> bytes:
    """`stream/version` of a record, re-keyed or not."""
    for name, value in reversed(record.headers):
        if name == ORIGIN:
            return value
    return record.key or b""
