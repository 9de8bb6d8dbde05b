"""The key topic as one process has read it: which keys there are, and the unwrapped ones that were used last.

A key that is not known yet is waited for by reading to the log's end, so that a value is never taken for a redacted one
because the reader was late.

A process that is cut off from the log does not learn who is forgotten. So keys are used for `TRUSTED_SECONDS` after the
topic is known to have been read to its end; then finding one is `KeysNotFollowed` until it was read again. It is no
redaction: nobody may have been forgotten, and what is made of a redaction stays.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, TypeVar

from eventstore.clock import Clock, SystemClock
from eventstore.errors import EventStoreError
from eventstore.log.port import Log
from eventstore.log.records import Record, TopicPartition
from eventstore.scanning import Scan
from eventstore.subject_keys.masters import MasterKeys, WrappedKey, context_of
from eventstore.subject_keys.records import ForgottenRecord, KeyRecord, KeysUnreadable, decode
from eventstore.subject_keys.replica import Replica

TOPIC: Final = "sagalog.keys"
AT: Final = TopicPartition(TOPIC, 0)
KEYS_KEPT: Final = 10_000
"""Unwrapped keys, and ids of keys that are gone, in memory."""
FOLLOWED_SECONDS: Final = 1.0
"""How long to wait for the one that follows the topic, before reading it oneself."""
TRUSTED_SECONDS: Final = 60.0
"""How long keys are used after the topic was last known to be read to its end."""
ASK_AGAIN_SECONDS: Final = 5.0
"""How long a log that could not be read is not asked again, by those who find keys."""

T = TypeVar("T")


class KeysNotFollowed(EventStoreError):
    """The key topic cannot be followed, so nobody may rely on what was read of it: see to the log, and try again."""

    is_retryable = True

    def __init__(self, why: str) -> None:
        super().__init__(f"the key topic cannot be followed ({why}): see to the log, and try again")
        self.why = why


class KeyRing:
    """Finds keys. Any thread; what blocks says so."""

    def __init__(self, log: Log, masters: MasterKeys, *, clock: Clock | None = None) -> None:
        self.log, self.masters = log, masters
        self._clock = clock or SystemClock()
        self._read_at, self._ask_at = -math.inf, -math.inf
        self.is_followed = False
        """Whether a loop of this process reads the topic as it grows."""
        self.superseded: int = 0
        """How many records destroyed or replaced keys."""
        self.superseded_ms = self.newest_ms = 0
        """When the last of them was written, and when the last record was."""
        self._replica = Replica()
        self._changed = threading.Condition()
        self._next = 0
        self._unwrapped: OrderedDict[bytes, bytes] = OrderedDict()
        self._gone: OrderedDict[bytes, None] = OrderedDict()

    @property
    def position(self) -> int:
        """How far the topic was read."""
        return self._next

    def find(self, subject: str, key_id: bytes) -> bytes | None:
        """A key; None if it was destroyed, or never was here. Blocks if it must be read or unwrapped.

        Raises:
            KeysNotFollowed: it was there, but the topic was not read to its end for `TRUSTED_SECONDS`.
            MasterKeyUnknown, MasterKeyWrong: it is there, and cannot be unwrapped here.
            ReadStalled, LogError: the log cannot be read.
        """
        with self._changed:
            wrapped, key = self._replica.wrapped(subject, key_id), self._unwrapped.get(key_id)
            if wrapped is None and (key_id in self._gone or key_id in self._replica.gone(subject)):
                return None
        if wrapped is None:
            self.catch_up()
        elif not self.is_trusted():
            self._regain_trust()
        elif key is not None:
            return key
        with self._changed:
            wrapped, key = self._replica.wrapped(subject, key_id), self._unwrapped.get(key_id)
            if wrapped is None:
                _remember(self._gone, key_id, None)
                return None
        return key or self._unwrap(subject, key_id, wrapped)

    def knows(self, subject: str, key_id: bytes) -> bool:
        """Whether the topic, as far as it was read, has this key, or says that it was destroyed."""
        with self._changed:
            return key_id in self._replica.key_ids(subject) or key_id in self._replica.gone(subject)

    def is_trusted(self) -> bool:
        """Whether it is recent enough that the topic was read to its end. Any thread."""
        return self._clock.monotonic() - self._read_at <= TRUSTED_SECONDS

    def confirm(self, asked_at: float) -> None:
        """What was written before `asked_at`, on the monotonic clock, was read."""
        with self._changed:
            self._read_at = max(self._read_at, asked_at)
            self._changed.notify_all()

    def _regain_trust(self) -> None:
        """Wait for the one that follows the topic, or read it. Blocks, unless that has just been in vain."""
        if self._clock.monotonic() < self._ask_at:
            raise self._not_followed()
        with self._changed:
            is_followed = self.is_followed
            if is_followed and self._changed.wait_for(self.is_trusted, FOLLOWED_SECONDS):
                return
        if is_followed:
            raise self._not_followed()
        try:
            self.catch_up()
        except EventStoreError as error:
            raise self._not_followed() from error

    def _not_followed(self) -> KeysNotFollowed:
        now = self._clock.monotonic()
        if now >= self._ask_at:
            self._ask_at = now + ASK_AGAIN_SECONDS
        seconds = now - self._read_at
        return KeysNotFollowed(f"what it said {seconds:.0f} s ago is the last that is known")

    def _unwrap(self, subject: str, key_id: bytes, wrapped: WrappedKey) -> bytes | None:
        key = self.masters.unwrap(wrapped, context_of(subject, key_id))
        with self._changed:
            if self._replica.wrapped(subject, key_id) is None:
                return None
            _remember(self._unwrapped, key_id, key)
        return key

    def __len__(self) -> int:
        """How many subjects have keys."""
        with self._changed:
            return len(self._replica)

    def catch_up(self) -> None:
        """Know everything that was written before this call. Blocks.

        Raises:
            ReadStalled, LogError: the log cannot be read.
            KeysUnreadable: the topic holds what this version cannot read.
        """
        asked_at = self._clock.monotonic()
        end = self.log.end_positions([AT], isolation="uncommitted")[AT]
        with self._changed:
            if self.is_followed:
                self._changed.wait_for(lambda: self._next >= end, FOLLOWED_SECONDS)
            is_read, start = self._next >= end, self._next
        if not is_read:
            self._scan(start)
        self.confirm(asked_at)

    def _scan(self, start: int) -> None:
        scan = Scan(self.log, TOPIC, {0: start})
        try:
            while not scan.is_done:
                self.apply(scan.page(), scan.position(0))
            self.apply((), scan.position(0))
        finally:
            scan.close()

    def apply(self, records: Iterable[Record], position: int) -> None:
        """Take in records, and that everything before `position` was read. Those known already are passed over.

        Raises:
            KeysUnreadable: one cannot be read.
        """
        with self._changed:
            for record in records:
                if record.offset >= self._next:
                    self._apply(record)
                    self._next = record.offset + 1
            self._next = max(self._next, position)
            self._changed.notify_all()

    def _apply(self, record: Record) -> None:
        try:
            said = decode(record.key or b"", record.value)
        except ValueError as error:
            raise KeysUnreadable(TOPIC, record.offset, str(error)) from error
        self.newest_ms = max(self.newest_ms, record.timestamp_ms)
        if said is None:
            return
        left, is_replacing = self._replica.left_over, self._replaces(said)
        for key_id in self._replica.apply(said):
            self._unwrapped.pop(key_id, None)
        if record.value is None or self._replica.left_over != left or is_replacing:
            self.superseded += 1
            self.superseded_ms = max(self.superseded_ms, record.timestamp_ms)

    def _replaces(self, said: KeyRecord | ForgottenRecord) -> bool:
        """Whether it is a key that is there, wrapped by another master."""
        if isinstance(said, ForgottenRecord) or said.wrapped is None:
            return False
        return self._replica.wrapped(said.subject, said.key_id) is not None

    def is_forgotten(self, subject: str) -> bool:
        """Whether the subject was forgotten, as far as the topic was read."""
        with self._changed:
            return self._replica.is_forgotten(subject)

    def forget_unwrapped(self) -> None:
        """Keep no unwrapped key in memory."""
        with self._changed:
            self._unwrapped.clear()


def _remember(cache: OrderedDict[bytes, T], key_id: bytes, value: T) -> None:
    cache[key_id] = value
    if len(cache) > KEYS_KEPT:
        cache.popitem(last=False)
