"""Where a group begins in a partition for which it has no position: at the log's start, once (rule K12).

A group that starts for the first time commits the log's start and notes in `….dlq.state` that it has started. If its
position is missing later, beside a log that is not empty, that is an error and not a second start: everything would be
handled again, or nothing, and nobody would know.
"""

from __future__ import annotations

from dataclasses import dataclass

from consumers.dead_letters import started_key, state_of
from eventstore.log.errors import PositionMissing
from eventstore.log.port import GroupConsumer, Log, Producer
from eventstore.log.records import Position, TopicPartition

NOTE = b'{"v":1,"state":"started"}'


@dataclass(frozen=True, slots=True)
class FirstStart:
    """Commits first positions, and notes that it did."""

    consumer: GroupConsumer
    log: Log
    producer: Producer

    def begin(self, tp: TopicPartition, origin: str, start: int, end: int, metadata: str = "") -> Position:
        """The first position of the group in a partition that holds `start` to `end`, committed.

        `origin`: the topic beside which the note lies; differs for redrive topics.

        Raises:
            PositionMissing: it is not the first.
            StaleMember: the partition moved away.
        """
        group = self.consumer.group
        place = TopicPartition(state_of(origin, group), tp.partition)
        if start < end and self._was_started(tp, place):
            raise PositionMissing(
                group,
                tp.topic,
                tp.partition,
                "it had one, and the log is not empty. Positions go when a group is deleted or rests longer than the "
                "broker's offsets.retention.minutes. Stop the service, say where to go on, and start it again: "
                f"`sagalog group reset {group} --topic {tp.topic} --to start` (everything again) or `--to end` (only "
                "what is new: what waits is skipped)",
            )
        first = Position(start, metadata)
        self.consumer.commit({tp: first})
        self.producer.send(place.topic, place.partition, started_key(tp.topic), NOTE)
        return first

    def _was_started(self, tp: TopicPartition, place: TopicPartition) -> bool:
        end = self.log.end_positions([place])[place]
        reader = self.log.reader({place: 0})
        try:
            key = started_key(tp.topic)
            while reader.position(place) < end:
                if any(record.key == key for record in reader.read(1_000, 1.0)):
                    return True
            return False
        finally:
            reader.close()
