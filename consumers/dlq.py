"""Look into dead letters, send them back to the group that failed, or lay them aside.

All of it works on a log alone, beside running services. A dead letter that was redriven or discarded stays in its
topic and is marked in the state topic; listings leave it out. It is marked after the log has its redriven record, also
when the redrive ends by an error or is interrupted: only a kill in between redrives it twice.

A redriven record goes to the failing group only (see `consumers.dead_letters`), with key, bytes and metadata of the
original, and counts: one that has been redriven `cap` times is left alone, so that a poison record does not run in
circles.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import structlog

from consumers.dead_letters import DeadLetter, dead_letter_of, dead_letter_topics
from consumers.delivery import entity_key, metadata_of
from consumers.errors import DeadLetterMissing, NoDeadLetters, NotADeadLetter, OriginGone
from consumers.rate import Bucket, Rate
from consumers.redriving import Redriving
from eventstore.clock import Clock, SystemClock
from eventstore.log.port import Log
from eventstore.log.records import Record, TopicPartition
from schemas.errors import SchemaError

logger = structlog.get_logger(__name__)

CHUNK = 200
"""So many are sent before they are marked."""
DEFAULT_CAP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which dead letters; what is None does not matter."""

    topic: str | None = None
    """Where the record was read."""
    group: str | None = None
    error: str | None = None
    """The class of the error, such as `Timeout`."""
    type: str | None = None
    """The message's type name."""
    key: str | None = None
    """The entity's key; for events the stream."""
    ids: Sequence[str] = ()

    def takes(self, letter: DeadLetter) -> bool:
        """Whether this dead letter is chosen."""
        return (
            self.topic in (None, letter.origin.topic)
            and self.group in (None, letter.group)
            and self.error in (None, letter.error)
            and (not self.ids or letter.id in self.ids)
            and self.key in (None, entity_of(letter))
            and self.type in (None, type_of(letter))
        )

    def _may_be_in(self, topic: str) -> bool:
        starts = self.topic is None or topic.startswith(f"{self.topic}.")
        return starts and (self.group is None or topic.endswith(f".{self.group}.dlq"))

    def topics(self, log: Log) -> dict[str, int]:
        """The dead-letter topics that may hold some of these.

        Raises:
            NoDeadLetters: topic or group were named, and there is none.
        """
        known = dead_letter_topics(log)
        chosen = {name: partitions for name, partitions in known.items() if self._may_be_in(name)}
        if not chosen and (self.topic or self.group):
            raise NoDeadLetters(f"topic {self.topic or '(any)'}, group {self.group or '(any)'}", list(known))
        return chosen


ALL = Choice()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a redrive or discard did, or would do."""

    done: list[DeadLetter] = field(default_factory=list[DeadLetter])
    capped: list[DeadLetter] = field(default_factory=list[DeadLetter])
    """Left alone: redriven too often."""
    gone: list[DeadLetter] = field(default_factory=list[DeadLetter])
    """Left alone: their values were too large for the dead letter, and are not in the log any more. Discard them."""


def entity_of(letter: DeadLetter) -> str:
    """The key of the entity that a dead letter is about."""
    return entity_key(letter.record.key or b"", letter.origin.topic.endswith(".events")).decode(errors="replace")


def type_of(letter: DeadLetter) -> str:
    """The type name of its message; empty if its metadata cannot be read."""
    try:
        return metadata_of(letter.record).type
    except SchemaError:
        return ""


def find(log: Log, choice: Choice = ALL) -> Iterator[DeadLetter]:
    """The dead letters that are neither redriven nor discarded, each once, oldest of each partition first.

    Records that others write to a topic of such a name are passed over, with one warning a topic.

    Raises:
        NoDeadLetters: there is no such topic.
    """
    for topic, partitions in choice.topics(log).items():
        seen = set(_marks(log, topic, partitions))
        for letter in _letters(log, topic, partitions):
            if letter.id not in seen and choice.takes(letter):
                seen.add(letter.id)
                yield letter


def show(log: Log, id: str) -> DeadLetter:
    """One dead letter.

    Raises:
        DeadLetterMissing: none of this id waits.
    """
    for letter in find(log, Choice(ids=(id,))):
        return letter
    raise DeadLetterMissing(id)


def redrive(
    log: Log,
    choice: Choice,
    *,
    limit: int | None = None,
    rate: Rate | None = None,
    cap: int = DEFAULT_CAP,
    dry_run: bool = False,
    clock: Clock | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Send dead letters back to the groups that failed on them.

    Args:
        log: where they are.
        choice: which.
        limit: at most so many, the oldest first.
        rate: at most so fast.
        cap: leave alone what was redriven so often already.
        dry_run: only say what would be done.
        clock: for the marks and the rate.
        wait: waits so many seconds.

    Raises:
        CannotRedrive: the group of one does not read what would be sent; those before it were sent, and are marked.
    """
    outcome = Outcome()
    chosen = islice(_uncapped(find(log, choice), cap, outcome), limit)
    if dry_run:
        outcome.done.extend(chosen)
        return outcome
    time_of = clock or SystemClock()
    bucket = Bucket(rate) if rate is not None else None
    with Redriving(log, time_of) as redriving:
        for letter in chosen:
            if bucket is not None:
                _pace(bucket, time_of, wait)
            try:
                redriving.send(letter)
            except OriginGone:
                outcome.gone.append(letter)
                continue
            outcome.done.append(letter)
            if redriving.unmarked >= CHUNK or bucket is not None:
                redriving.mark_sent()
    return outcome


def discard(
    log: Log, choice: Choice, *, limit: int | None = None, dry_run: bool = False, clock: Clock | None = None
) -> Outcome:
    """Lay dead letters aside for good: they stay in their topic, and no listing or redrive sees them any more."""
    outcome = Outcome(done=list(islice(find(log, choice), limit)))
    if not dry_run and outcome.done:
        with Redriving(log, clock or SystemClock()) as redriving:
            redriving.mark(outcome.done, "discarded")
    return outcome


def _uncapped(letters: Iterable[DeadLetter], cap: int, outcome: Outcome) -> Iterator[DeadLetter]:
    for letter in letters:
        if letter.origin.redrives >= cap:
            outcome.capped.append(letter)
        else:
            yield letter


def _pace(bucket: Bucket, clock: Clock, wait: Callable[[float], None]) -> None:
    while (delay := bucket.delay(clock.monotonic())) > 0:
        wait(delay)
    bucket.take(clock.monotonic())


def _letters(log: Log, topic: str, partitions: int) -> Iterator[DeadLetter]:
    is_told = False
    for record in _read(log, topic, partitions):
        try:
            letter = dead_letter_of(record)
        except NotADeadLetter as error:
            if not is_told:
                logger.warning("not_a_dead_letter", topic=topic, why=str(error))
            is_told = True
            continue
        yield letter


def _marks(log: Log, topic: str, partitions: int) -> Iterator[str]:
    state = f"{topic}.state"
    if state in log.describe([state]):
        for record in _read(log, state, partitions):
            yield (record.key or b"").decode(errors="replace")


def _read(log: Log, topic: str, partitions: int) -> Iterator[Record]:
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    ends = log.end_positions(places)
    reader = log.reader(dict.fromkeys(places, 0))
    try:
        while any(reader.position(place) < end for place, end in ends.items()):
            for record in reader.read(1_000, 1.0):
                if record.offset < ends[TopicPartition(topic, record.partition)]:
                    yield record
    finally:
        reader.close()
