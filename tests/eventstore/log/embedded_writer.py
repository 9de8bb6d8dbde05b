"""A process that writes to an embedded log and says what was acknowledged, until it is killed.

Prints `single N` after record N of topic `single` was acknowledged and `unit N` after unit N was committed: the same N
written N % 7 + 1 times to `left` and to `right`, with the position N + 1 of `source`. Usage: embedded_writer.py URL
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from eventstore.log import GroupConsumer, Log, Position, Topic, TopicPartition, open_log

SOURCE = TopicPartition("source", 0)


class Everything:
    """Takes what it is given."""

    def __init__(self) -> None:
        self.consumer: GroupConsumer | None = None

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        assert self.consumer is not None
        for partition in partitions:
            self.consumer.start(partition, 0)

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Alone in the group."""

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Alone in the group."""


def write(log: Log) -> None:
    log.create([Topic(name=name, partitions=1) for name in ("source", "single", "left", "right")])
    listener, producer, unit = Everything(), log.producer(), log.transactor("writer")
    listener.consumer = consumer = log.group("writer", ["source"], listener)
    batch = consumer.poll(1, 1)
    step = log.end_positions([TopicPartition("single", 0)])[TopicPartition("single", 0)]
    done = log.group_positions("writer", [SOURCE])[SOURCE]
    committed = done.offset if done else 0
    while True:
        producer.produce(
            "single", 0, b"k", b"%d" % step, on_delivery=lambda error, offset: print("single", offset, flush=True)
        )
        producer.poll()
        step += 1
        unit.begin()
        for _ in range(committed % 7 + 1):
            unit.produce("left", 0, b"k", b"%d" % committed)
            unit.produce("right", 0, b"k", b"%d" % committed)
        unit.commit({SOURCE: Position(committed + 1)}, batch.member)
        print("unit", committed, flush=True)
        committed += 1


if __name__ == "__main__":
    write(open_log(sys.argv[1]))
