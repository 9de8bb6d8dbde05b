"""What callers store: events that name the append they came with, and aggregates that remember their order."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from eventstore.aggregate import Aggregate, evolve
from eventstore.processor.snapshots import Snapshots
from eventstore.store import EventStore
from schemas import Event

STORE = "chaos"
PARTITIONS = 4
SNAPSHOT_EVERY = 10


class Noted(Event, name="chaos.noted"):
    """The event number `place` of `of` events with this content."""

    content: str
    place: int
    of: int


class Notes(Aggregate[Noted], name="chaos_notes"):
    """All events of a stream, as a number and a digest."""

    count: int = 0
    digest: str = ""

    @evolve
    def noted(self, event: Noted) -> None:
        self.count += 1
        self.digest = chained(self.digest, label(event))


class KeptNotes(Aggregate[Noted], name="chaos_kept_notes", snapshot=Snapshots(every=SNAPSHOT_EVERY)):
    """The same, with snapshots."""

    count: int = 0
    digest: str = ""

    @evolve
    def noted(self, event: Noted) -> None:
        self.count += 1
        self.digest = chained(self.digest, label(event))


AGGREGATES: dict[str, type[Notes | KeptNotes]] = {"notes": Notes, "kept": KeptNotes}
"""By the names that histories have."""


def label(event: Noted) -> str:
    """An event's name in histories."""
    return f"{event.content}#{event.place}/{event.of}"


def labels(content: str, count: int) -> list[str]:
    """The names of an append's events."""
    return [f"{content}#{place}/{count}" for place in range(count)]


def content_of(name: str) -> str:
    """The append that an event came with."""
    return name.rpartition("#")[0]


def chained(digest: str, name: str) -> str:
    """The digest of a stream with one more event."""
    return blake2b(f"{digest} {name}".encode(), digest_size=12).hexdigest()


def digests(names: Iterable[str]) -> list[str]:
    """The digest of a stream's first 0, 1, 2, … events."""
    found = [""]
    for name in names:
        found.append(chained(found[-1], name))
    return found


def make_store(name: str = STORE) -> EventStore[Noted]:
    """The store that all processes serve or use."""
    return EventStore[Noted](name, events=[Noted], partitions=PARTITIONS)
