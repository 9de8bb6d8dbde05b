"""Follow the key topic: keys that end are dropped at once, and leave the disk.

Kafka's cleaner leaves the open segment alone, so a destroyed key would stay in it until the next append. Once the
segment may be closed, whoever follows the topic appends a record that says nothing: the segment is rolled, and cleaned.
All processes watch for that, so it happens also if the one that destroyed the key died; a random delay keeps them from
doing it together. The engines of this package erase at once.

A reader that hears nothing cannot tell a quiet topic from a lost connection. So the log is asked for the topic's end
every few seconds, and reaching that is what keeps the keys trusted (see `eventstore.subject_keys.ring`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Final, Protocol, runtime_checkable

import structlog

from eventstore.clock import Clock
from eventstore.log.errors import LogError
from eventstore.log.port import Reader
from eventstore.subject_keys.keys import SubjectKeys
from eventstore.subject_keys.records import ROLL
from eventstore.subject_keys.ring import AT, TOPIC

MARGIN_MS: Final = 1_000
"""How much longer than the segment's time to wait: clocks differ."""
CONFIRM_SECONDS: Final = 10.0
"""How often the log is asked for the topic's end."""
RETRY_SECONDS: Final = 1.0
"""The same while keys are not trusted."""
_AT_ONCE: Final = 1_000

log = structlog.get_logger()


@runtime_checkable
class Erasing(Protocol):
    """A log that erases on demand what was superseded."""

    def erase(self, topic: str) -> None:
        """Remove what later records of the same key replace, from the disk too."""
        ...


class Following:
    """A loop that follows the key topic (see `Loop`)."""

    name = "keys"

    def __init__(self, keys: SubjectKeys, clock: Clock) -> None:
        self._keys, self._clock = keys, clock
        self._reader: Reader | None = None
        self._segment_ms = int(keys.topic.settings["segment.ms"])
        self._delay_ms = MARGIN_MS + random.randrange(max(1, self._segment_ms // 10))
        self._erased = 0
        """How many superseding records were seen to."""
        self._confirm_at = -math.inf
        self._asked: tuple[float, int] | None = None
        """When the log was asked for the topic's end that is still to be reached, and the end."""

    def open(self) -> None:
        """Follow from where it was read to."""
        self._reader = self._keys.log.reader({AT: self._keys.position})
        self._keys.is_followed = True

    def step(self, timeout: float) -> bool:
        """Read on; see to what was destroyed."""
        assert self._reader is not None, "open() comes first"
        records = self._reader.read(_AT_ONCE, timeout)
        self._keys.apply(records, self._reader.position(AT))
        self._confirm(self._reader.position(AT))
        self._erase()
        return bool(records)

    def _confirm(self, position: int) -> None:
        """Tell the keys that all of the topic was read, as far as the log knows itself."""
        now = self._clock.monotonic()
        if self._asked is None and now >= self._confirm_at:
            try:
                self._asked = now, self._keys.log.end_positions([AT], isolation="uncommitted")[AT]
            except LogError as error:
                log.warning("keys_not_confirmed", topic=TOPIC, error=type(error).__name__, detail=str(error))
            self._confirm_at = now + (CONFIRM_SECONDS if self._keys.is_trusted() else RETRY_SECONDS)
        if self._asked is not None and position >= self._asked[1]:
            self._keys.confirm(self._asked[0])
            self._asked = None

    def _erase(self) -> None:
        keys = self._keys
        superseded = keys.superseded
        if self._erased == superseded:
            return
        if isinstance(keys.log, Erasing):
            self._erased = superseded
            keys.log.erase(TOPIC)
            return
        if keys.newest_ms > keys.superseded_ms + self._segment_ms:
            self._erased = superseded
        elif self._clock.now_ms() > keys.superseded_ms + self._segment_ms + self._delay_ms:
            log.info("key_segment_rolled", topic=TOPIC)
            keys.write(*ROLL)

    def is_ready(self) -> bool:
        """Whether it follows, and has heard from the log lately."""
        return self._reader is not None and self._keys.is_trusted()

    def is_settled(self) -> bool:
        """Nothing waits for it."""
        return True

    def metrics(self) -> Mapping[str, float]:
        """How many subjects have keys, and whether those can be relied on."""
        return {"subjects_with_keys": float(len(self._keys)), "keys_trusted": float(self._keys.is_trusted())}

    def stop(self, deadline: float) -> None:
        """Follow no more."""
        self._keys.is_followed = False
        if self._reader is not None:
            self._reader.close()
            self._reader = None
