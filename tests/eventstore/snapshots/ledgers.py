"""An aggregate that stores load with snapshots, and counts of what that folds."""

from __future__ import annotations

from typing import Any

from eventstore.aggregate import Aggregate, evolve
from eventstore.expected import ANY
from eventstore.loading import load
from eventstore.processor.snapshots import Snapshots
from eventstore.reading import Streams
from eventstore.store import EventStore
from tests.eventstore.streams.accounts import Deposited, Opened, deposits

FOLDED: list[int] = []
"""What was evolved by, here."""


class Ledger(Aggregate[Opened | Deposited], name="ledger", snapshot=Snapshots(every=100)):
    owner: str = ""
    cents: int = 0

    @evolve
    def opened(self, event: Opened) -> None:
        FOLDED.append(0)
        self.owner = event.owner

    @evolve
    def deposited(self, event: Deposited) -> None:
        FOLDED.append(event.cents)
        self.cents += event.cents


async def loaded(streams: Streams[Any], **how: Any) -> tuple[int, int, int]:
    """Balance and version of stream `a`, and how many events were folded for that."""
    FOLDED.clear()
    found = await load(streams, Ledger, "a", how.pop("as_of", None), **how)
    assert found.key == "a"
    return found.cents, found.version, len(FOLDED)


async def fill(store: EventStore[Any], count: int, stream: str = "a") -> None:
    """Append so many events of one cent."""
    for start in range(0, count, 500):
        await store.append(stream, deposits(*[1] * min(500, count - start)), expected=ANY)
