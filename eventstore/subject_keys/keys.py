"""The keys of subjects, as one process holds them: found, made, destroyed (rule E4).

The keys of a log are in its topic `sagalog.keys`, and nowhere else: not in inboxes, replies, outcomes or state folders,
where they would outlive their end. The topic's one partition orders what happens, so no process needs to own a subject:

- Who needs a key writes one, reads up to its own record, and uses it only if it counts there: one that was written
  after its subject was forgotten does not, and its writer destroys it.
- Who forgets writes that first, reads up to it, and then a tombstone for each key that came before it. A process that
  starts finishes what one that died has begun.

Whoever reads a value finds its key in what it read of the topic; a key that is not known yet is waited for by reading
to the log's end. Unwrapped keys are kept in memory, `KEYS_KEPT` at most, and dropped when the record of their end is
read: at once where the topic is followed (see `eventstore.subject_keys.following`). A process that is cut off from the
log uses them for a minute at most (see `eventstore.subject_keys.ring`).
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog

from eventstore.clock import Clock
from eventstore.errors import EventStoreError
from eventstore.log.errors import OutcomeUnknown
from eventstore.log.port import Log, Producer
from eventstore.log.records import Topic
from eventstore.subject_keys.forgetting import told
from eventstore.subject_keys.masters import MasterKeys, WrappedKey, context_of
from eventstore.subject_keys.records import (
    Kind,
    key_of_forgotten,
    key_of_key,
    value_of_forgotten,
    value_of_key,
)
from eventstore.subject_keys.ring import KEYS_KEPT, TOPIC, KeyRing
from eventstore.subject_keys.subjects import check_subject
from schemas.personal_fields import M, map_personal, personal_values
from schemas.sealing import KEY_BYTES, KEY_ID_BYTES

if TYPE_CHECKING:
    from schemas.personal_data import Personal

SEGMENT_MS: Final = 10 * 60 * 1000
"""How long the topic's open segment may stay open: what is in it is not cleaned."""
LAG_MS: Final = 60 * 60 * 1000
"""How long after its segment was closed a destroyed key may wait for the log's cleaner."""
WRITE_SECONDS: Final = 30.0

log = structlog.get_logger()


class SubjectForgotten(EventStoreError):
    """Personal data of a subject that was forgotten is to be sealed: ask for a new key first, if that is right."""

    def __init__(self, subject: str) -> None:
        super().__init__(
            f"{subject} was forgotten, so nothing personal of {subject} is recorded any more: leave the data out, or, "
            "if the person came back and agrees, call `await store.remember(subject)` and try again"
        )
        self.subject = subject


def key_topic(*, segment_ms: int = SEGMENT_MS, lag_ms: int = LAG_MS) -> Topic:
    """The key topic, as it shall be."""
    settings = {
        "segment.ms": str(segment_ms),
        "max.compaction.lag.ms": str(lag_ms),
        "min.compaction.lag.ms": "0",
        "min.cleanable.dirty.ratio": "0.1",
        "file.delete.delay.ms": "1000",
    }
    return Topic(name=TOPIC, partitions=1, compacted=True, settings=settings)


class SubjectKeys(KeyRing):
    """The keys of one log. Any thread; what blocks says so."""

    def __init__(
        self, log: Log, masters: MasterKeys, *, topic: Topic | None = None, clock: Clock | None = None
    ) -> None:
        super().__init__(log, masters, clock=clock)
        self.topic = topic or key_topic()
        self._producer: Producer | None = None
        self._writing = threading.Lock()

    def open(self) -> None:
        """Make the topic unless it is there, read it, and finish what somebody began. Blocks.

        Raises:
            LogError: the topic cannot be made or read.
            KeysUnreadable: it holds what this version cannot read.
        """
        self.log.create([self.topic])
        self.catch_up()
        self._destroy(self._left(None))

    def close(self) -> None:
        """Forget all keys, and release the connection."""
        self.forget_unwrapped()
        with self._writing:
            if self._producer is not None:
                self._producer.close()
                self._producer = None

    async def protect(self, messages: Sequence[M]) -> list[M]:
        """The messages with everything sealed that is personal data in them; subjects without a key get one.

        Raises:
            SubjectForgotten: a subject was forgotten.
            MasterKeyNotSet: there is no master key here.
            ValueError: a subject's id cannot be one.
            LogError, OutcomeUnknown: a key could not be written.
        """
        subjects = {whose for one in messages for _, value, whose in personal_values(one) if not value.is_sealed}
        if not subjects:
            return list(messages)
        keys = self._at_hand(subjects)
        if keys is None:
            keys = await asyncio.to_thread(self.keys_for, subjects)
        sealing = keys

        def seal(value: Personal[Any], subject: str) -> Personal[Any]:
            if value.is_sealed:
                return value
            key_id, key = sealing[subject]
            return value.seal(subject=subject, key_id=key_id, key=key)

        return [map_personal(one, seal) for one in messages]

    def _at_hand(self, subjects: Iterable[str]) -> dict[str, tuple[bytes, bytes]] | None:
        """The keys that seal for these subjects, if all are in memory."""
        found: dict[str, tuple[bytes, bytes]] = {}
        with self._changed:
            for subject in subjects:
                key_ids = self._replica.key_ids(subject)
                if not key_ids or key_ids[0] not in self._unwrapped:
                    return None
                found[subject] = (key_ids[0], self._unwrapped[key_ids[0]])
        return found

    def keys_for(self, subjects: Iterable[str]) -> dict[str, tuple[bytes, bytes]]:
        """Id and key that seal for each subject; one is made if there is none. Blocks. Raises what `protect` raises."""
        wanted = list(subjects)
        self._make(wanted, Kind.FIRST)
        found: dict[str, tuple[bytes, bytes]] = {}
        for subject in wanted:
            with self._changed:
                key_ids = self._replica.key_ids(subject)
            key = self.find(subject, key_ids[0]) if key_ids else None
            if key is None:
                raise SubjectForgotten(subject)
            found[subject] = (key_ids[0], key)
        return found

    def remember(self, subject: str) -> None:
        """Let a forgotten subject have a key again. Blocks. What was sealed before stays unreadable.

        Raises:
            TypeError, ValueError: the subject's id cannot be one.
        """
        check_subject(subject)
        self.catch_up()
        self._make([subject], Kind.RENEWED)

    def _make(self, subjects: Iterable[str], kind: Kind) -> None:
        """Write a key for each subject that has none, and see whether it counts."""
        made: list[tuple[str, bytes]] = []
        records: list[tuple[bytes, bytes | None]] = []
        for subject in subjects:
            with self._changed:
                has_key, forgotten = bool(self._replica.key_ids(subject)), self._replica.is_forgotten(subject)
            if forgotten and kind is Kind.FIRST:
                raise SubjectForgotten(subject)
            if not has_key:
                check_subject(subject)
                key_id, key = os.urandom(KEY_ID_BYTES), os.urandom(KEY_BYTES)
                wrapped = self.masters.wrap(key, context_of(subject, key_id))
                made.append((subject, key_id))
                records.append((key_of_key(subject, key_id), value_of_key(kind, *wrapped)))
        if made:
            self._write(records)
            self._destroy([one for one in made if one in self._left(one[0])])

    def forget(self, subject: str) -> None:
        """Destroy the subject's keys: what was sealed by them can be read by nobody any more. Blocks.

        When it returns, the log says so: this process reads nothing more of the subject, others as soon as they have
        read it, within moments, or a minute after they were cut off from the log. The key's bytes leave the disks when
        the log is cleaned.

        Raises:
            TypeError, ValueError: the subject's id cannot be one.
            ForgetUnfinished: the log does not answer; it says what is known, and to call this again.
            NotAuthorized, KeysUnreadable: as they say; it is not done.
        """
        check_subject(subject)
        with told(subject, "nothing happened"):
            self.catch_up()
            self._writer()
        key_ids: tuple[bytes, ...] | None = None
        while key_ids is None or set(self._known(subject)) - set(key_ids):
            key_ids = self._known(subject)
            with told(subject, "outcome unknown"):
                self._send([(key_of_forgotten(subject), value_of_forgotten(key_ids))])
            with told(subject, "forgotten"):
                self.catch_up()
        with told(subject, "forgotten"):
            self._destroy(self._left(subject))
        log.info("subject_forgotten", keys=len(key_ids))

    def _known(self, subject: str) -> tuple[bytes, ...]:
        with self._changed:
            return tuple(dict.fromkeys((*self._replica.gone(subject), *self._replica.key_ids(subject))))

    def _left(self, subject: str | None) -> list[tuple[str, bytes]]:
        with self._changed:
            return self._replica.left(subject)

    def _destroy(self, keys: Iterable[tuple[str, bytes]]) -> None:
        if tombstones := [(key_of_key(subject, key_id), None) for subject, key_id in keys]:
            self._write(tombstones)

    def rewrap(self) -> int:
        """Wrap all keys by the current master; returns how many were not. Then other masters are needed no more.
        Blocks.

        Raises:
            MasterKeyUnknown, MasterKeyWrong: a key cannot be unwrapped; those before it are done.
            OutcomeUnknown, LogError: call it again.
        """
        self.catch_up()
        master = self.masters.current()
        with self._changed:
            old = list(self._replica.wrapped_by_others(master))
        for at in range(0, len(old), 500):
            self._rewrap(old[at : at + 500])
        return sum(wrapped.master != master for _, _, wrapped in old)

    def _rewrap(self, old: Sequence[tuple[str, bytes, WrappedKey]]) -> None:
        records: list[tuple[bytes, bytes | None]] = []
        for subject, key_id, wrapped in old:
            context = context_of(subject, key_id)
            anew = self.masters.wrap(self.masters.unwrap(wrapped, context), context)
            with self._changed:
                kind = Kind.RENEWED if self._replica.was_forgotten(subject) else Kind.FIRST
            records.append((key_of_key(subject, key_id), value_of_key(kind, *anew)))
        self._write(records)
        self._destroy([(subject, key_id) for subject, key_id, _ in old if (subject, key_id) in self._left(subject)])

    def write(self, key: bytes, value: bytes) -> None:
        """Write a record, and wait until it is there. Blocks."""
        self._write([(key, value)])

    def _write(self, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Write records, and read up to them."""
        self._send(records)
        self.catch_up()

    def _send(self, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Write records, and wait until they are there."""
        producer = self._writer()
        with self._writing:
            sent = [producer.send(TOPIC, 0, key, value) for key, value in records]
        for one in sent:
            try:
                one.result(WRITE_SECONDS)
            except TimeoutError:
                why = f"a record for {TOPIC} was not acknowledged within {WRITE_SECONDS:g} s: call it again"
                raise OutcomeUnknown(why) from None

    def _writer(self) -> Producer:
        with self._writing:
            if self._producer is None:
                self._producer = self.log.producer()
            return self._producer


__all__ = [
    "KEYS_KEPT",
    "LAG_MS",
    "SEGMENT_MS",
    "TOPIC",
    "SubjectForgotten",
    "SubjectKeys",
    "key_topic",
]
