"""Master keys: what the keys of subjects are wrapped by, so that whoever has the log alone can read no personal data.

By default they come from the variable SAGALOG_MASTER_KEY: `id:key`, the key 256 bits in base64, as `sagalog keys
generate` prints it. Several are separated by commas; the first one wraps, all unwrap. A key-management service takes
their place if a service provides a `MasterKeys`.

A key wrapped by a local master: nonce (12 bytes), then ciphertext and tag of AES-256-GCM over the key, with the subject
and key id as associated data.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from eventstore.errors import EventStoreError
from schemas.sealing import KEY_BYTES, aes

VARIABLE: Final = "SAGALOG_MASTER_KEY"
_NONCE_BYTES: Final = 12
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}", re.ASCII)


class MasterKeyNotSet(EventStoreError):
    """Personal data is to be sealed, and no master key is given."""

    def __init__(self) -> None:
        super().__init__(
            f"personal data needs a master key: set {VARIABLE} to what `sagalog keys generate` prints, the same in all "
            "processes, or provide a MasterKeys to the service"
        )


class MasterKeyInvalid(EventStoreError):
    """The variable does not hold master keys."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"{VARIABLE} holds no master keys ({why}): give id:base64, as `sagalog keys generate` prints it"
        )
        self.why = why


class MasterKeyUnknown(EventStoreError):
    """A subject's key is wrapped by a master key that this process does not have."""

    def __init__(self, master: str, subject: str) -> None:
        super().__init__(
            f"the key of {subject} is wrapped by the master key {master!r}, which this process does not have: add it "
            f"to {VARIABLE}, behind the current one; if it is that of a MasterKeys which a service provides, only that "
            "service has it, and rotates by `await service.rotate_keys()`"
        )
        self.master, self.subject = master, subject


class MasterKeyWrong(EventStoreError):
    """The master key of this id is another one than wrapped the subject's key."""

    def __init__(self, master: str, subject: str) -> None:
        super().__init__(
            f"the master key {master!r} of this process does not open the key of {subject}: it is not the one that "
            f"wrapped it; correct {VARIABLE}, and give each master key an id of its own"
        )
        self.master, self.subject = master, subject


class WrappedKey(NamedTuple):
    """A key that only its master opens."""

    master: str
    """The master's id, up to 200 ASCII characters."""
    data: bytes


@runtime_checkable
class MasterKeys(Protocol):
    """Wraps the keys of subjects: the hook for a key-management service. Called on threads where it may block.

    `context` is the same for wrapping and unwrapping a key, and should be authenticated with it. An error that is
    raised reaches whoever wanted to read or write.
    """

    def current(self) -> str:
        """The id of the master that wraps now."""
        ...

    def wrap(self, key: bytes, context: bytes) -> WrappedKey:
        """The key, wrapped by the current master."""
        ...

    def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        """The key."""
        ...


class LocalMasterKeys:
    """Master keys in memory, by id; the first one wraps."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """Raises MasterKeyInvalid: an id or key cannot be one."""
        for id_, key in keys.items():
            if why := _unfit(id_):
                raise MasterKeyInvalid(why)
            if len(key) != KEY_BYTES:
                raise MasterKeyInvalid(f"the key {id_!r} has {len(key)} bytes, not {KEY_BYTES}")
        self._keys = dict(keys)

    @classmethod
    def parse(cls, text: str) -> LocalMasterKeys:
        """Those that the text lists: `id:base64,id:base64`. Errors never show a key.

        Raises:
            MasterKeyInvalid: it lists none, or one twice.
        """
        found: dict[str, bytes] = {}
        for number, entry in enumerate(filter(None, (each.strip() for each in text.split(","))), 1):
            id_, colon, key = entry.partition(":")
            if not colon:
                raise MasterKeyInvalid(f"entry {number} has no id")
            if id_ in found:
                raise MasterKeyInvalid(f"the id {id_!r} is there twice")
            try:
                found[id_] = base64.b64decode(key, validate=True)
            except ValueError:  # also what is not ASCII
                raise MasterKeyInvalid(f"the key {id_!r} is no base64") from None
        return cls(found)

    @classmethod
    def from_environment(cls) -> LocalMasterKeys:
        """Those of SAGALOG_MASTER_KEY; none if it is not set.

        Raises:
            MasterKeyInvalid: it holds something else.
        """
        return cls.parse(os.environ.get(VARIABLE, ""))

    def __bool__(self) -> bool:
        return bool(self._keys)

    def current(self) -> str:
        """See `MasterKeys`.

        Raises:
            MasterKeyNotSet: there is none.
        """
        if not self._keys:
            raise MasterKeyNotSet
        return next(iter(self._keys))

    def wrap(self, key: bytes, context: bytes) -> WrappedKey:
        """See `MasterKeys`.

        Raises:
            MasterKeyNotSet: there is none.
        """
        master, nonce = self.current(), os.urandom(_NONCE_BYTES)
        return WrappedKey(master, nonce + aes(self._keys[master]).encrypt(nonce, key, context))

    def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        """See `MasterKeys`.

        Raises:
            MasterKeyUnknown, MasterKeyWrong: the key cannot be had with what is here.
        """
        subject = context[:-17].decode(errors="replace")
        master = self._keys.get(wrapped.master)
        if master is None:
            raise MasterKeyUnknown(wrapped.master, subject)
        cipher: Any = aes(master)
        from cryptography.exceptions import InvalidTag

        try:
            return bytes(cipher.decrypt(wrapped.data[:_NONCE_BYTES], wrapped.data[_NONCE_BYTES:], context))
        except (InvalidTag, ValueError):
            raise MasterKeyWrong(wrapped.master, subject) from None


def context_of(subject: str, key_id: bytes) -> bytes:
    """What a wrapped key is bound to."""
    return subject.encode() + b"\0" + key_id


def generate(id_: str) -> str:
    """A new master key, as SAGALOG_MASTER_KEY takes it.

    Raises:
        ValueError: the id cannot be one.
    """
    check_master_id(id_)
    return f"{id_}:{base64.b64encode(os.urandom(KEY_BYTES)).decode()}"


def check_master_id(id_: str) -> None:
    """Refuse what cannot name a master key.

    Raises:
        ValueError: it is none.
    """
    if why := _unfit(id_):
        raise ValueError(why)


def _unfit(id_: str) -> str:
    """Why it cannot name a master key; empty: it can."""
    return "" if _ID.fullmatch(id_) else f"{id_!r} names no master key: give up to 200 letters, digits and . _ / -"
