"""Personal data in one process: sealed where messages enter, readable while the process runs, forgotten on request.

The keys are opened when they are first needed: at start, if a master key is given or a message type holds personal
data.
"""

from __future__ import annotations

import asyncio
import hmac
import threading
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Any

import structlog

from eventstore.component import Host
from eventstore.loops import LoopThread
from eventstore.subject_keys.following import Following
from eventstore.subject_keys.forgetting import told
from eventstore.subject_keys.keys import SubjectKeys
from eventstore.subject_keys.masters import VARIABLE, LocalMasterKeys, MasterKeys
from eventstore.subject_keys.ring import KeysNotFollowed
from schemas import Message
from schemas.personal_data import Personal, drop_keyring, use_keyring
from schemas.personal_fields import M, holds_personal, map_personal, personal_values
from schemas.sealing import parse, unseal

OPEN_SECONDS = 30.0
log = structlog.get_logger()


class Protection:
    """Seals, forgets, and lets values be revealed."""

    def __init__(self, host: Host, started: Callable[[LoopThread], None]) -> None:
        """`started` is given the thread that follows the keys, once it runs."""
        self._host, self._started = host, started
        self._lock = threading.Lock()
        self._keys: SubjectKeys | None = None

    def open_for(self, messages: Iterable[type[Message]]) -> None:
        """Open the keys if they will be needed. Blocks.

        Raises:
            MasterKeyInvalid: the variable holds something else than master keys.
            KeysUnreadable, KeysNotFollowed, LogError: the keys cannot be read.
        """
        is_personal = any(map(holds_personal, messages))
        if is_personal or LocalMasterKeys.from_environment() or self._provided() is not None:
            keys = self.keys()
            if is_personal and isinstance(keys.masters, LocalMasterKeys) and not keys.masters:
                log.warning("master_key_not_set", service=self._host.service, variable=VARIABLE)

    def keys(self) -> SubjectKeys:
        """The keys, opened. Blocks the first time. Raises what `open_for` raises."""
        with self._lock:
            if self._keys is None:
                self._keys = self._open()
            return self._keys

    def _provided(self) -> MasterKeys | None:
        try:
            provided: MasterKeys = self._host.resource(MasterKeys)
        except LookupError:
            return None
        return provided

    def _open(self) -> SubjectKeys:
        masters = self._provided() or LocalMasterKeys.from_environment()
        keys = SubjectKeys(self._host.log, masters, clock=self._host.clock)
        keys.open()
        thread = LoopThread(lambda: Following(keys, self._host.clock), self._host.clock)
        thread.start()
        if not thread.wait_opened(OPEN_SECONDS):
            thread.ask_to_stop(self._host.clock.monotonic())
            keys.close()
            raise KeysNotFollowed(str(thread.error or "it does not open")) from thread.error
        self._started(thread)
        use_keyring(keys)
        return keys

    async def protect(self, messages: Sequence[M]) -> list[M]:
        """The messages with their personal data sealed; those without any at no cost (see `SubjectKeys.protect`)."""
        if not any(holds_personal(type(one)) for one in messages):
            return list(messages)
        keys = await self._opened()
        return await keys.protect(messages)

    async def fixed(self, messages: Sequence[M]) -> list[M]:
        """Messages that are equal whenever these are, to compare them by: the same value is sealed differently each
        time.

        In place of a value stands its HMAC-SHA256 under its subject's key, of which nothing can be learned without it.
        """
        if not any(holds_personal(type(one)) for one in messages):
            return list(messages)
        keys = await self._opened()

        def fix(value: Personal[Any], _: str) -> Personal[Any]:
            sealed = parse(value.sealed)
            key = keys.find(sealed.subject, sealed.key_id)
            if key is None:
                return value
            digest = hmac.digest(key, b"sagalog fingerprint\0" + unseal(sealed, key), sha256)
            return Personal[Any].from_sealed(sealed.head + bytes(12) + digest)

        return await asyncio.to_thread(lambda: [map_personal(one, fix) for one in messages])

    async def has_lost(self, messages: Sequence[M]) -> bool:
        """Whether they hold something sealed whose key was destroyed, or is of another log."""
        sealed = [parse(value.sealed) for one in messages for _, value, _ in personal_values(one)]
        keys = await self._opened()
        return await asyncio.to_thread(lambda: any(keys.find(one.subject, one.key_id) is None for one in sealed))

    async def _opened(self) -> SubjectKeys:
        return await asyncio.to_thread(self.keys) if self._keys is None else self._keys

    async def forget(self, subject: str) -> None:
        """Destroy a subject's keys (see `SubjectKeys.forget`)."""
        with told(subject, "nothing happened"):
            keys = await self._opened()
        await asyncio.to_thread(keys.forget, subject)

    async def remember(self, subject: str) -> None:
        """Let a forgotten subject have a key again (see `SubjectKeys.remember`)."""
        keys = await self._opened()
        await asyncio.to_thread(keys.remember, subject)

    async def rotate(self) -> int:
        """Wrap all keys by the current master (see `SubjectKeys.rewrap`)."""
        keys = await self._opened()
        return await asyncio.to_thread(keys.rewrap)

    def close(self) -> None:
        """Nothing is revealed any more. The thread was stopped before."""
        with self._lock:
            keys, self._keys = self._keys, None
        if keys is not None:
            drop_keyring(keys)
            keys.close()
