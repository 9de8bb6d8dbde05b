"""Which events of a stream a read returns.

`as_of` an instant means the stream as it was then: the events before the first one that was recorded later. Owners'
clocks may differ by a little, so the time of an event may lie before that of its predecessor; the first later one ends
it all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile
from typing import Self

from eventstore.processor.index import StoredEvent
from eventstore.versions import within_versions

PAGE_EVENTS = 256
PAGE_BYTES = 256 * 1024
"""A page is full when it has so many events, or bytes; one event is always taken."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """after < version ≤ until, recorded up to an instant, in version order or against it, at most `limit` events."""

    after: int = -1
    until: int | None = None
    backwards: bool = False
    limit: int | None = None
    instant_ms: int | None = None

    @classmethod
    def of(
        cls,
        *,
        after: int | None = None,
        until: int | None = None,
        backwards: bool = False,
        limit: int | None = None,
        as_of: int | datetime | None = None,
    ) -> Self:
        """The bounds that a caller gives. Those outside the versions that there can be mean the nearest ones.

        Raises:
            TypeError: something is no version, number or instant.
            ValueError: a negative limit, or an instant without a time zone.
        """
        _check_numbers(after=after, until=until, limit=limit, as_of=None if isinstance(as_of, datetime) else as_of)
        if limit is not None and limit < 0:
            raise ValueError(f"limit={limit}: give the greatest number of events to read, or None")
        instant_ms: int | None = None
        if isinstance(as_of, datetime):
            instant_ms = _milliseconds(as_of)
        elif as_of is not None:
            until = as_of if until is None else min(until, as_of)
        until = None if until is None else within_versions(until)
        return cls(-1 if after is None else within_versions(after), until, backwards, limit, instant_ms)

    def holds(self, version: int) -> bool:
        """Whether the version lies within them."""
        return version > self.after and (self.until is None or version <= self.until)

    @property
    def page(self) -> int:
        """How many events to read next."""
        return PAGE_EVENTS if self.limit is None else min(PAGE_EVENTS, self.limit)

    @property
    def are_empty(self) -> bool:
        """Whether nothing can lie within them."""
        return (self.limit is not None and self.limit <= 0) or (self.until is not None and self.until <= self.after)

    @property
    def need_search(self) -> bool:
        """Whether the last version before their instant has to be found first: earlier events decide on it."""
        return self.instant_ms is not None and (self.backwards or self.after >= 0)

    def search(self) -> Bounds:
        """What has to be read to find that version."""
        return Bounds(instant_ms=self.instant_ms, until=self.until)

    def up_to(self, version: int) -> Bounds:
        """No later version either."""
        return replace(self, until=version if self.until is None else min(self.until, version))

    def from_version(self, version: int) -> Bounds:
        """No earlier version either."""
        return replace(self, after=max(self.after, version - 1))

    def found(self, version: int) -> Bounds:
        """The same without the instant, whose last version was found; −1 if there is none."""
        return replace(self.up_to(version), instant_ms=None)

    def beyond(self, version: int, count: int) -> Bounds:
        """What is left to read after `count` events, the last of this version."""
        limit = None if self.limit is None else self.limit - count
        if self.backwards:
            return replace(self, until=version - 1, limit=limit)
        return replace(self, after=version, limit=limit)

    def cut(self, rows: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
        """The rows before the first one that was recorded after the instant."""
        instant_ms = self.instant_ms
        if instant_ms is None or self.backwards:
            return rows
        return list(takewhile(lambda row: row.timestamp_ms <= instant_ms, rows))


def _check_numbers(**numbers: object) -> None:
    for name, given in numbers.items():
        if given is not None and not isinstance(given, int):
            kind = "a version or an aware datetime" if name == "as_of" else "an int"
            raise TypeError(f"{name}={given!r}: give {kind}, or None")


def _milliseconds(instant: datetime) -> int:
    if instant.tzinfo is None:
        raise ValueError(f"as_of={instant!r} has no time zone: give an aware datetime")
    return int(instant.timestamp() * 1000)
