"""Decoded entities of a partition: folded from their events when they are needed, kept while there is room.

Room is counted in entities, not in bytes: how large a decoded state is, Python does not tell. A processor whose states
are large keeps fewer of them (`Caching`). Folding begins at the entity's snapshot, if it has one (E3).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar, runtime_checkable

from eventstore.processor.counts import EntityCounts
from eventstore.processor.index import StreamIndex
from eventstore.processor.port import Processor, Stateless
from eventstore.processor.snapshots import NEVER, Snapshotting
from eventstore.processor.snapshotting import PartitionSnapshots
from eventstore.processor.tombstones import Erasures
from eventstore.processor.topics import events_of
from schemas import Event, Serde

S = TypeVar("S")

ENTITIES_KEPT = 20_000
"""Decoded entities kept per partition, unless the processor says how many."""


class Entity(Generic[S]):
    """A decoded entity: its state, the version of its last event, and that of the first one that is not erased."""

    __slots__ = ("due", "first", "state", "version")

    def __init__(self, state: S, version: int, first: int, due: int = NEVER) -> None:
        """`due`: the version from which on a snapshot of it is to be taken."""
        self.state, self.version, self.first, self.due = state, version, first, due


@runtime_checkable
class Caching(Protocol):
    """Mixed into a processor that says how many of its entities are kept decoded, per partition."""

    cached: int


class Entities(Generic[S]):
    """The entities of one partition of one processor, the least recently used one first."""

    def __init__(
        self,
        processor: Processor[S],
        serde: Serde,
        index: StreamIndex,
        erasures: Erasures,
        snapshots: PartitionSnapshots,
        counts: EntityCounts,
    ) -> None:
        self._processor, self._serde, self._index, self._erasures = processor, serde, index, erasures
        self._snapshots, self._counts = snapshots, counts
        self._is_stateless = isinstance(processor, Stateless)
        self._has_snapshots = isinstance(processor, Snapshotting) and processor.snapshots is not None
        self._limit = processor.cached if isinstance(processor, Caching) else ENTITIES_KEPT
        self._kept: OrderedDict[str, Entity[S]] = OrderedDict()

    def get(self, key: str, pending: Sequence[Event | None]) -> Entity[S]:
        """The entity of a key. `pending`: its events of the batch under way, which the index does not have yet."""
        entity = self._kept.get(key)
        if entity is None:
            self._counts.misses += 1
            entity = self._kept[key] = self._load(key, pending)
        else:
            self._counts.hits += 1
            self._kept.move_to_end(key)
        return entity

    def find(self, key: str) -> Entity[S] | None:
        """The entity of a key, if it is decoded now."""
        return self._kept.get(key)

    def forget(self, key: str) -> None:
        """Fold the entity anew when it is needed again: what is kept of it may hold what never happened."""
        self._kept.pop(key, None)

    def trim(self) -> None:
        """Forget those that were not used for longest. Only between batches."""
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)

    def _load(self, key: str, pending: Sequence[Event | None]) -> Entity[S]:
        """Fold the entity's events that are not erased: those of the index, then those of the batch under way."""
        first, head = self._erasures.find(key).first, self._erasures.head(key, self._index.head(key))
        version = head + len(pending)
        if self._is_stateless:
            return Entity(self._processor.initial(key), version, first)
        began = self._snapshots.monotonic() if self._has_snapshots else 0.0
        state, after = (self._snapshots.begin(key) if self._has_snapshots else None) or (
            self._processor.initial(key),
            first - 1,
        )
        state = self._folded(key, state, after, pending, head)
        due = self._snapshots.due_at(after, version, began) if self._has_snapshots else NEVER
        return Entity(state, version, first, due)

    def _folded(self, key: str, state: S, after: int, pending: Sequence[Event | None], head: int) -> S:
        """The state that the events beyond the version `after` lead to. `head`: that before the pending ones."""
        decode, evolve = self._serde.decode, self._processor.evolve
        kept = self._index.rows(key, after + 1) if head > after else ()  # a look costs more than most decisions
        for stored in kept:
            event = decode(stored.value)
            topic = events_of(self._processor.name)
            assert isinstance(event, Event), f"{topic} holds {type(event).__name__}, which is no event"
            state = evolve(state, event)
        for version, happened in enumerate(pending, head + 1):
            assert happened is not None, "only stateless processors append encoded events"
            if version > after:
                state = evolve(state, happened)
        return state
