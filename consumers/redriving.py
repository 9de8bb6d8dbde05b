"""Send dead letters back to the group that failed, and mark what became of them.

A redriven record has key, bytes and metadata of the original. It is marked after the log has it: a crash in between
redrives it twice. A mark is a record of the dead letters' state topic: its key is the dead letter's id, its value JSON:

    {"v":1,"state":"redriven","at_ms":1700000000000}
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Literal, Self, TypeAlias

import msgspec

from consumers.dead_letters import DeadLetter, redrive_partition, redriven_headers, state_of
from consumers.errors import CannotRedrive, OriginGone
from eventstore.clock import Clock
from eventstore.log.port import Log, Producer
from eventstore.log.records import Headers, Topic, TopicPartition

State: TypeAlias = Literal["redriven", "discarded"]
FLUSH_SECONDS = 10.0


class Mark(msgspec.Struct, frozen=True):
    """What became of a dead letter; the value of a record in the state topic."""

    v: int
    state: str
    at_ms: int = 0


class Redriving:
    """Sends and marks dead letters."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log, self._clock = log, clock
        self._producer: Producer = log.producer()
        self._ready: set[str] = set()
        self._writes: list[Future[int]] = []
        self.sent: list[DeadLetter] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.close()

    def send(self, letter: DeadLetter) -> None:
        """Buffer the original for the failing group.

        Raises:
            CannotRedrive: the group does not read what would be sent.
            OriginGone: the value was too large for the dead letter, and is not at its origin any more.
        """
        topic, partition = redrive_partition(letter.origin, letter.group)
        if topic not in self._ready:
            if topic not in self._log.describe([topic]):
                raise CannotRedrive(letter.id, letter.group, topic)
            self._ready.add(topic)
        headers = redriven_headers(letter.record.headers, letter.origin)
        value = value_of(self._log, letter)
        self._write(topic, partition, letter.record.key, value, headers)
        self.sent.append(letter)

    def mark(self, state: State) -> None:
        """When what was sent is in the log: note it."""
        self._flush()
        mark = msgspec.json.encode(Mark(1, state, self._clock.now_ms()))
        for letter in self.sent:
            topic = self._state_topic(letter)
            self._write(topic, letter.record.partition, letter.id.encode(), mark)
        self._flush()
        self.sent.clear()

    def _write(self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers = ()) -> None:
        self._writes.append(self._producer.send(topic, partition, key, value, headers))

    def _flush(self) -> None:
        self._producer.flush()
        for write in self._writes:
            write.result(FLUSH_SECONDS)
        self._writes.clear()

    def _state_topic(self, letter: DeadLetter) -> str:
        topic = state_of(letter.origin.topic, letter.group)
        if topic not in self._ready:
            partitions = self._log.describe([letter.record.topic])[letter.record.topic].partitions
            self._log.create([Topic(name=topic, partitions=partitions, compacted=True)])
            self._ready.add(topic)
        return topic


def value_of(log: Log, letter: DeadLetter) -> bytes | None:
    """The value of the original record, fetched from its origin if it was too large for the dead letter.

    Raises:
        OriginGone: it is not there any more, or never was in the log.
    """
    if not letter.is_elided:
        return letter.record.value
    origin = letter.origin
    if origin.input:
        raise OriginGone(letter.id)
    reader = log.reader({TopicPartition(origin.topic, origin.partition): origin.offset})
    try:
        for record in reader.read(1, 5.0):
            if record.offset == origin.offset:
                return record.value
    finally:
        reader.close()
    raise OriginGone(letter.id)
