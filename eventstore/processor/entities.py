"""Decoded entities of a partition: folded from their events when they are needed, kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, TypeVar

from eventstore.processor.index import StreamIndex
from eventstore.processor.port import Processor, Stateless
from eventstore.processor.tombstones import Erasures
from eventstore.processor.topics import events_of
from schemas import Event, Serde

S = TypeVar("S")

ENTITIES_KEPT = 20_000
"""Decoded entities kept per partition."""


class Entity(Generic[S]):
    """A decoded entity: its state, the version of its last event, and that of the first one that is not erased."""

    __slots__ = ("first", "state", "version")

    def __init__(self, state: S, version: int, first: int) -> None:
        self.state, self.version, self.first = state, version, first


class Entities(Generic[S]):
    """The entities of one partition of one processor, the least recently used one first."""

    def __init__(self, processor: Processor[S], serde: Serde, index: StreamIndex, erasures: Erasures) -> None:
        self._processor, self._serde, self._index, self._erasures = processor, serde, index, erasures
        self._is_stateless = isinstance(processor, Stateless)
        self._kept: OrderedDict[str, Entity[S]] = OrderedDict()

    def get(self, key: str, pending: Sequence[Event | None]) -> Entity[S]:
        """The entity of a key. `pending`: its events of the batch under way, which the index does not have yet."""
        entity = self._kept.get(key)
        if entity is None:
            entity = self._kept[key] = self._load(key, pending)
        else:
            self._kept.move_to_end(key)
        return entity

    def forget(self, key: str) -> None:
        """Fold the entity anew when it is needed again: what is kept of it may hold what never happened."""
        self._kept.pop(key, None)

    def trim(self) -> None:
        """Forget those that were not used for longest. Only between batches."""
        while len(self._kept) > ENTITIES_KEPT:
            self._kept.popitem(last=False)

    def _load(self, key: str, pending: Sequence[Event | None]) -> Entity[S]:
        """Fold the entity's events that are not erased: those of the index, then those of the batch under way."""
        state, evolve, first = self._processor.initial(key), self._processor.evolve, self._erasures.find(key).first
        head = self._erasures.head(key, self._index.head(key))
        if self._is_stateless:
            return Entity(state, head + len(pending), first)
        for stored in self._index.rows(key, first):
            event = self._serde.decode(stored.value)
            topic = events_of(self._processor.name)
            assert isinstance(event, Event), f"{topic} holds {type(event).__name__}, which is no event"
            state = evolve(state, event)
        for version, happened in enumerate(pending, head + 1):
            assert happened is not None, "only stateless processors append encoded events"
            if version >= first:
                state = evolve(state, happened)
        return Entity(state, head + len(pending), first)
