"""What the partitions of a unit count of their entities: found decoded or folded, and what became of snapshots."""

from __future__ import annotations

from collections import Counter
from threading import Lock

from eventstore.processor.snapshots import Ignored, NotTaken
from eventstore.raised import Raised


class EntityCounts:
    """Counts of one unit. `hits` and `misses` are counted by its loop, the others by any thread."""

    __slots__ = ("_lock", "_snapshots", "hits", "misses", "raised")

    def __init__(self) -> None:
        self.hits = 0
        """Entities that were decoded already when they were needed."""
        self.misses = 0
        """Entities that had to be folded."""
        self.raised = Raised()
        """What their decisions raised."""
        self._lock = Lock()
        names = ["taken_total", "used_total", *map(_ignored, Ignored), *map(_not_taken, NotTaken)]
        self._snapshots = Counter(dict.fromkeys(names, 0))

    def taken(self) -> None:
        """A snapshot was made part of a batch."""
        self._count("taken_total")

    def used(self) -> None:
        """An entity was folded from a snapshot on."""
        self._count("used_total")

    def ignored(self, why: Ignored) -> None:
        """A snapshot was there and not used."""
        self._count(_ignored(why))

    def not_taken(self, why: NotTaken) -> None:
        """A snapshot was due and not taken."""
        self._count(_not_taken(why))

    def metrics(self) -> dict[str, float]:
        """All counts, by the metric's name."""
        found = {"processor_entity_hits_total": float(self.hits), "processor_entity_misses_total": float(self.misses)}
        return found | {f"processor_snapshots_{name}": float(count) for name, count in self._snapshots.items()}

    def _count(self, name: str) -> None:
        with self._lock:
            self._snapshots[name] += 1


def _ignored(why: Ignored) -> str:
    return f'ignored_total{{reason="{why.value}"}}'


def _not_taken(why: NotTaken) -> str:
    return f'not_taken_total{{reason="{why.value}"}}'
