"""What the key topic says, read in its order: which keys a subject has, and who was forgotten.

Everybody who reads the topic comes to the same: a first key that comes after its subject was forgotten is void, whoever
wrote it. Keys are kept as they are wrapped, about 400 bytes of memory per subject.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from eventstore.subject_keys.masters import WrappedKey
from eventstore.subject_keys.records import ForgottenRecord, KeyRecord, Kind

_NONE: tuple[bytes, ...] = ()


class Replica:
    """Takes in records, in order. One thread at a time."""

    def __init__(self) -> None:
        self._wrapped: dict[bytes, WrappedKey] = {}
        self._live: dict[str, tuple[bytes, ...]] = {}
        self._forgotten: dict[str, tuple[bytes, ...]] = {}
        self._left: dict[bytes, str] = {}

    def __len__(self) -> int:
        """How many subjects have keys."""
        return len(self._live)

    def apply(self, record: KeyRecord | ForgottenRecord) -> tuple[bytes, ...]:
        """Take in a record; returns the ids of keys that ended by it."""
        if isinstance(record, ForgottenRecord):
            return self._forget(record)
        if record.wrapped is None:
            return self._destroyed(record)
        self._keep(record, record.wrapped)
        return _NONE

    def key_ids(self, subject: str) -> tuple[bytes, ...]:
        """The ids of the subject's keys, the first one first: that one seals."""
        return self._live.get(subject, _NONE)

    def wrapped(self, subject: str, key_id: bytes) -> WrappedKey | None:
        """A key of the subject; None if it has none of this id."""
        return self._wrapped[key_id] if key_id in self.key_ids(subject) else None

    def is_forgotten(self, subject: str) -> bool:
        """Whether the subject was forgotten and no key was asked for since."""
        return subject in self._forgotten and subject not in self._live

    def was_forgotten(self, subject: str) -> bool:
        """Whether the subject ever was."""
        return subject in self._forgotten

    def gone(self, subject: str) -> tuple[bytes, ...]:
        """The ids of keys that the subject had."""
        return self._forgotten.get(subject, _NONE)

    def left(self, subject: str | None = None) -> list[tuple[str, bytes]]:
        """Keys that count no more and whose records have no tombstone yet; of one subject, or all."""
        return [(whose, key_id) for key_id, whose in self._left.items() if subject in (None, whose)]

    @property
    def left_over(self) -> int:
        """How many `left` lists."""
        return len(self._left)

    def wrapped_by_others(self, master: str) -> Iterator[tuple[str, bytes, WrappedKey]]:
        """Keys that another master wraps.

        Of a subject that was forgotten all its keys, the last one first: written anew, a key moves behind the others,
        and compaction must not leave a first key where none is live, which would be void.
        """
        for subject, key_ids in self._live.items():
            others = [key_id for key_id in key_ids if self._wrapped[key_id].master != master]
            if others and self.was_forgotten(subject):
                others = list(reversed(key_ids))
            for key_id in others:
                yield subject, key_id, self._wrapped[key_id]

    def _keep(self, record: KeyRecord, data: bytes) -> None:
        subject, key_id = record.subject, record.key_id
        live = self.key_ids(subject)
        may_count = record.kind is Kind.RENEWED or not self.is_forgotten(subject)
        if key_id in live:
            self._wrapped[key_id] = WrappedKey(sys.intern(record.master), data)
        elif may_count and key_id not in self.gone(subject):
            self._live[subject] = (*live, key_id)
            self._wrapped[key_id] = WrappedKey(sys.intern(record.master), data)
        else:
            self._left[key_id] = subject

    def _forget(self, record: ForgottenRecord) -> tuple[bytes, ...]:
        ended = self._live.pop(record.subject, _NONE)
        for key_id in ended:
            del self._wrapped[key_id]
            self._left[key_id] = record.subject
        self._forgotten[record.subject] = tuple(dict.fromkeys((*self.gone(record.subject), *record.key_ids, *ended)))
        return ended

    def _destroyed(self, record: KeyRecord) -> tuple[bytes, ...]:
        self._left.pop(record.key_id, None)
        live = self.key_ids(record.subject)
        if record.key_id not in live:
            return _NONE
        del self._wrapped[record.key_id]
        kept = tuple(each for each in live if each != record.key_id)
        self._live[record.subject] = kept
        if not kept:
            del self._live[record.subject]
        return (record.key_id,)
