"""What is measured of another event store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class PeerStore(Protocol):
    """An event store, open."""

    synced: str
    """What it has synced to disk when an append returns."""

    def writer(self, stream: str) -> Callable[[], None]:
        """What appends the next event to this new stream, expecting the version that it left."""
        ...

    def fill(self, stream: str, events: int, *, since: int = 0) -> None:
        """Append so many events of five cents to a stream that has `since` events."""
        ...

    def load(self, stream: str) -> int:
        """The stream's cents."""
        ...

    def take_snapshot(self, stream: str) -> bool:
        """Make loads of the stream start here. False: it has no snapshots."""
        ...

    def reopen(self) -> None:
        """Drop connections and whatever they remember."""
        ...
