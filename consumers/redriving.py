"""Send dead letters back to the group that failed, and mark what became of them.

A redriven record has key, bytes and metadata of the original. It is marked after the log has it, also when the redrive
ends by an error or is interrupted; a kill in between redrives it twice. A mark is a record of the dead letters' state
topic: its key is the dead letter's id, its value JSON:

    {"v":1,"state":"redriven","at_ms":1700000000000}
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, wait
from typing import Literal, Self, TypeAlias

import msgspec

from consumers.dead_letters import DeadLetter, redrive_partition, redriven_headers, state_of
from consumers.errors import CannotRedrive, OriginGone
from eventstore.clock import Clock
from eventstore.log.port import Log, Producer
from eventstore.log.records import Topic, TopicPartition

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
        self._sent: list[tuple[DeadLetter, Future[int]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.mark_sent()
        finally:
            self._producer.close()

    @property
    def unmarked(self) -> int:
        """How many were sent and are not noted yet."""
        return len(self._sent)

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
        self._sent.append((letter, self._producer.send(topic, partition, letter.record.key, value, headers)))

    def mark_sent(self) -> None:
        """Note what the log has of what was sent.

        Raises:
            LogError: the log did not take the others, or did not say so in time. They are not noted.
        """
        sent, self._sent = self._sent, []
        try:
            self._producer.flush()
        finally:
            wait((write for _, write in sent), FLUSH_SECONDS)
            self.mark([letter for letter, write in sent if write.done() and write.exception() is None], "redriven")
        for _, write in sent:
            write.result(0)

    def mark(self, letters: Sequence[DeadLetter], state: State) -> None:
        """Note what became of these."""
        mark = msgspec.json.encode(Mark(1, state, self._clock.now_ms()))
        writes = [
            self._producer.send(self._state_topic(letter), letter.record.partition, letter.id.encode(), mark)
            for letter in letters
        ]
        self._producer.flush()
        for write in writes:
            write.result(FLUSH_SECONDS)

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
    if origin.topic not in log.describe([origin.topic]):
        raise OriginGone(letter.id)
    reader = log.reader({TopicPartition(origin.topic, origin.partition): origin.offset})
    try:
        for record in reader.read(1, 5.0):
            if record.offset == origin.offset:
                return record.value
    finally:
        reader.close()
    raise OriginGone(letter.id)
