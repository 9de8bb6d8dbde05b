"""The records of the key topic, `sagalog.keys` (rule E4).

One partition, compacted, so that its order is the same for everybody. Keys begin with a letter, values with a version
byte; integers are big-endian:

    k subject 00 key id (16 bytes)    01 kind:u8  length:u8  master id in ASCII  wrapped key   a key
                                      nothing (a tombstone)                                    it was destroyed
    f subject                         01 count:u16  key ids (16 bytes each)                    the subject was forgotten
    r                                 01                                                       rolls the segment

Kinds: 0 a first key, which counts unless the subject was forgotten before; 1 a key that was asked for although the
subject was forgotten. A forgotten record ends all keys before it, and those that it names wherever they stand. A key
that is wrapped anew replaces its own record.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from eventstore.errors import EventStoreError
from schemas.sealing import KEY_ID_BYTES

_VERSION: Final = 1
_KEY = Struct(">BBB")
_FORGOTTEN = Struct(">BH")
ROLL: Final = (b"r", bytes([_VERSION]))
"""Key and value of a record that says nothing: its time lets the log close the segment before it."""


class KeysUnreadable(EventStoreError):
    """The key topic holds what this version cannot read: upgrade, or find out who writes there."""

    def __init__(self, topic: str, offset: int, why: str) -> None:
        super().__init__(
            f"{topic} holds an unreadable record at offset {offset} ({why}): a newer sagalog wrote it, so upgrade this "
            "one; or something else writes there, so take away its permission and delete the record by a tombstone"
        )
        self.topic, self.offset, self.why = topic, offset, why


class Kind(IntEnum):
    """Under which circumstances a key counts."""

    FIRST = 0
    RENEWED = 1


class KeyRecord(NamedTuple):
    """A key, wrapped; `wrapped` None: it was destroyed."""

    subject: str
    key_id: bytes
    kind: Kind
    master: str
    wrapped: bytes | None


class ForgottenRecord(NamedTuple):
    """A subject was forgotten, and these are the keys that it had."""

    subject: str
    key_ids: tuple[bytes, ...]


def key_of_key(subject: str, key_id: bytes) -> bytes:
    """The record key of a subject's key."""
    return b"k" + subject.encode() + b"\0" + key_id


def value_of_key(kind: Kind, master: str, wrapped: bytes) -> bytes:
    """The record value of a subject's key."""
    name = master.encode("ascii")
    return _KEY.pack(_VERSION, kind, len(name)) + name + wrapped


def key_of_forgotten(subject: str) -> bytes:
    """The record key that says that a subject was forgotten."""
    return b"f" + subject.encode()


def value_of_forgotten(key_ids: tuple[bytes, ...]) -> bytes:
    """The record value that says so."""
    return _FORGOTTEN.pack(_VERSION, len(key_ids)) + b"".join(key_ids)


def decode(key: bytes, value: bytes | None) -> KeyRecord | ForgottenRecord | None:
    """What a record says; None if nothing.

    Raises:
        ValueError: it is none of these.
    """
    if key == ROLL[0]:
        return None
    if value is not None and value[:1] != bytes([_VERSION]):
        raise ValueError(f"layout version {value[:1].hex() or 'none'}, this sagalog reads 01")
    if key[:1] == b"k" and len(key) > KEY_ID_BYTES + 2 and key[-KEY_ID_BYTES - 1] == 0:
        return _key(key[1 : -KEY_ID_BYTES - 1].decode(), key[-KEY_ID_BYTES:], value)
    if key[:1] == b"f" and len(key) > 1:
        return None if value is None else ForgottenRecord(key[1:].decode(), _ids(value))
    raise ValueError(f"its key {key[:20]!r} is none of ours")


def _key(subject: str, key_id: bytes, value: bytes | None) -> KeyRecord:
    if value is None:
        return KeyRecord(subject, key_id, Kind.FIRST, "", None)
    if len(value) < _KEY.size or len(value) <= _KEY.size + value[2]:
        raise ValueError("its end is missing")
    end = _KEY.size + value[2]
    return KeyRecord(subject, key_id, Kind(value[1]), value[_KEY.size : end].decode("ascii"), value[end:])


def _ids(value: bytes) -> tuple[bytes, ...]:
    if len(value) < _FORGOTTEN.size or len(value) != _FORGOTTEN.size + _FORGOTTEN.unpack_from(value)[1] * KEY_ID_BYTES:
        raise ValueError("its length is not what it says")
    return tuple(value[at : at + KEY_ID_BYTES] for at in range(_FORGOTTEN.size, len(value), KEY_ID_BYTES))
