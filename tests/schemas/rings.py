"""Keys for tests of personal data."""

from __future__ import annotations

import os
from typing import Any

from schemas.personal_data import Personal


class Ring:
    """Keys in a dictionary; `forget` destroys one."""

    def __init__(self) -> None:
        self.keys: dict[str, tuple[bytes, bytes]] = {}
        self.made: set[bytes] = set()

    def find(self, subject: str, key_id: bytes) -> bytes | None:
        """The key, while there is one."""
        known, key = self.keys.get(subject, (b"", b""))
        return key if known == key_id else None

    def knows(self, subject: str, key_id: bytes) -> bool:
        """Whether it made the key."""
        return key_id in self.made

    def seal(self, value: Personal[Any], subject: str) -> Personal[Any]:
        """Seal under the subject's key, a new one if it has none."""
        key_id, key = self.keys.setdefault(subject, (os.urandom(16), os.urandom(32)))
        self.made.add(key_id)
        return value.seal(subject=subject, key_id=key_id, key=key)
