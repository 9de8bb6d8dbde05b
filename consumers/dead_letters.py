"""Move records that cannot be handled to a dead-letter topic, and know them again.

What group `g` could not handle of topic `t` goes to `t.g.dlq`, with partition, key, value and headers unchanged;
origin, error and attempts travel in more headers (`eventstore.dead_letters`). Beside it stand

- `t.g.redrive`: dead letters that are to be handled again; the worker subscribes it (rule W6). It has one partition:
  with as many as the topic, an assignor could give one process all of the topic. An inbox has none: only one group
  reads it, so a redriven record enters by the inbox itself, and stays with the partition's owner. A redriven record
  has one more header, `__dlq.redrive`, with origin and count (`consumers.origin`), so that a repeated failure keeps
  its origin and loops are seen.
- `t.g.dlq.state`: compacted; key = a dead letter's id, value = JSON
  `{"v":1,"state":"redriven"|"discarded","at_ms":…}`. A dead letter whose id is there is done. The key `started
  <topic>` says that the group has had a position in that partition.

A dead letter's id is `topic/partition/offset` of its origin, `~n` behind it after n redrives; of what was no record,
a call of the owner's process or a timer, `topic/partition/input:` and the input's id, `@` and the dead letter's offset,
since callers may use an id again. That of a record is acknowledged by the log before the record's position passes; a
crash in between writes it once more, and readers take both as one, by their id.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime

from consumers.errors import NotADeadLetter
from consumers.origin import REDRIVE, Origin, origin_of
from eventstore.clock import Clock
from eventstore.dead_letters import ELIDED, PREFIX, dead_letter_headers, fitting
from eventstore.log.port import Log, Producer
from eventstore.log.records import Headers, Record, Topic, TopicPartition
from eventstore.processor.topics import dead_letters_of

DAY_MS = 24 * 60 * 60 * 1000


def redrive_of(topic: str, group: str) -> str:
    """The topic by which dead letters of `topic` enter `group` again."""
    return topic if topic.endswith(".inbox") else f"{topic}.{group}.redrive"


def state_of(topic: str, group: str) -> str:
    """The topic that says what became of the dead letters."""
    return f"{dead_letters_of(topic, group)}.state"


def redrive_partition(origin: Origin, group: str) -> TopicPartition:
    """Where a dead letter enters the group again."""
    topic = redrive_of(origin.topic, group)
    return TopicPartition(topic, origin.partition if topic == origin.topic else 0)


def companions(topic: str, group: str, partitions: int) -> list[Topic]:
    """The topics beside a worker's topic."""
    topics = [
        Topic(name=dead_letters_of(topic, group), partitions=partitions),
        Topic(name=state_of(topic, group), partitions=partitions, compacted=True),
    ]
    redrive = redrive_of(topic, group)
    if redrive != topic:
        topics.append(Topic(name=redrive, partitions=1, retention_ms=7 * DAY_MS))
    return topics


def started_key(topic: str) -> bytes:
    """The key in a state topic that says that the group has had a position in this partition of `topic`."""
    return f"started {topic}".encode()


def redriven_headers(headers: Headers, origin: Origin) -> Headers:
    """The headers of a redriven dead letter: as at its origin, and where and how often it failed."""
    mark = f"1 {origin.redrives + 1} {origin.offset} {origin.partition} {origin.topic}"
    return (*_plain(headers), (REDRIVE, mark.encode()))


class DeadLetters:
    """Writes the dead letters of one group."""

    def __init__(self, group: str, producer: Producer, clock: Clock, limit_bytes: int) -> None:
        """`limit_bytes`: what a record may have."""
        self._group, self._producer, self._clock, self._limit_bytes = group, producer, clock, limit_bytes

    def write(self, record: Record, error: BaseException, attempts: int) -> Future[int]:
        """Move a record; done when the future is."""
        origin = origin_of(record)
        headers = dead_letter_headers(
            headers=record.headers,
            topic=origin.topic,
            partition=origin.partition,
            offset=origin.offset,
            group=self._group,
            error=error,
            attempts=attempts,
            now_ms=self._clock.now_ms(),
        )
        value, headers = fitting(record.key, record.value, headers, self._limit_bytes)
        topic = dead_letters_of(origin.topic, self._group)
        return self._producer.send(topic, origin.partition, record.key, value, headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A dead letter as it lies in its topic."""

    origin: Origin
    group: str
    error: str
    """The class of the error."""
    reason: str
    """Its text."""
    attempts: int
    at: datetime
    """When it was given up, UTC."""
    record: Record

    @property
    def id(self) -> str:
        """Names it: `topic/partition/offset` of its origin, `~n` behind it after n redrives; see the module."""
        return str(self.origin)

    @property
    def is_elided(self) -> bool:
        """Whether the value was left at the origin, because it was too large."""
        return any(name == ELIDED for name, _ in self.record.headers)

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """The headers that the record had at its origin."""
        return _plain(self.record.headers)


def dead_letter_of(record: Record) -> DeadLetter:
    """Read a record of a dead-letter topic.

    Raises:
        NotADeadLetter: it lacks the headers of its origin.
    """
    texts = {name: value.decode(errors="replace") for name, value in record.headers}
    try:
        why = {
            name: texts[PREFIX + name]
            for name in ("topic", "partition", "offset", "group", "type", "message", "attempts")
        }
        place = why["topic"], int(why["partition"]), int(why["offset"])
        given = texts.get(f"{PREFIX}input")
        origin = Origin(*place, origin_of(record).redrives, f"{given}@{record.offset}" if given else "")
        at = datetime.fromisoformat(texts[f"{PREFIX}time"])
        attempts = int(why["attempts"])
    except (KeyError, ValueError) as error:
        raise NotADeadLetter(record.topic, record.partition, record.offset, f"header {error}") from error
    return DeadLetter(
        origin=origin,
        group=why["group"],
        error=why["type"],
        reason=why["message"],
        attempts=attempts,
        at=at,
        record=record,
    )


def dead_letter_topics(log: Log) -> dict[str, int]:
    """The dead-letter topics that exist, and their partition counts."""
    return {name: topic.partitions for name, topic in sorted(log.describe().items()) if name.endswith(".dlq")}


def _plain(headers: Headers) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value) for name, value in headers if not name.startswith("__dlq."))
