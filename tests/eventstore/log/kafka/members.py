"""Members of one group, polled by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from eventstore.log.port import Batch, GroupConsumer, Log
from eventstore.log.records import Record, TopicPartition
from tests.waiting import eventually

Happened: TypeAlias = tuple[str, frozenset[TopicPartition]]


@dataclass
class Heard:
    """A listener that writes down what it hears, and does what it is told on revocation."""

    events: list[Happened] = field(default_factory=list[Happened])
    on_revoked: Callable[[], None] | None = None

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self.events.append(("assigned", frozenset(partitions)))

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.events.append(("revoked", frozenset(partitions)))
        if self.on_revoked is not None:
            self.on_revoked()

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.events.append(("lost", frozenset(partitions)))


class Members:
    """Opens members and closes them."""

    def __init__(self, group: str) -> None:
        self.group = group
        self._opened: list[GroupConsumer] = []

    def join(self, log: Log, topic: str, heard: Heard | None = None) -> GroupConsumer:
        consumer = log.group(self.group, [topic], heard or Heard())
        self._opened.append(consumer)
        return consumer

    def close(self) -> None:
        for consumer in self._opened:
            consumer.close()


def settle(wanted: dict[GroupConsumer, int], timeout: float = 20.0) -> None:
    """Poll all members until each owns as many partitions as wanted."""

    def is_settled() -> bool:
        for consumer in wanted:
            consumer.poll(1, 0.01)
        return all(len(consumer.assignment()) == count for consumer, count in wanted.items())

    eventually(is_settled, timeout)


def polled(consumer: GroupConsumer, count: int, timeout: float = 10.0) -> tuple[list[Record], Batch]:
    """Poll until at least `count` records came; the last batch beside them."""
    records: list[Record] = []
    last = Batch((), None)

    def is_enough() -> bool:
        nonlocal last
        last = consumer.poll(500, 0.05)
        records.extend(last.records)
        return len(records) >= count

    eventually(is_enough, timeout)
    return records, last
