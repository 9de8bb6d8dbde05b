"""Decoded entities of a partition: folded from their events when they are needed, kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, TypeVar

from eventstore.processor.index import StreamIndex
from eventstore.processor.port import Processor, Stateless
from eventstore.processor.topics import events_of
from schemas import Event, Serde

S = TypeVar("S")

ENTITIES_KEPT = 20_000
"""Decoded entities kept per partition."""


class Entity(Generic[S]):
    """A decoded entity: its state and the version of its last event."""

    __slots__ = ("state", "version")

    def __init__(self, state: S, version: int) -> None:
        self.state, self.version = state, version


class Entities(Generic[S]):
    """The entities of one partition of one processor, the least recently used one first."""

    def __init__(self, processor: Processor[S], serde: Serde, index: StreamIndex) -> None:
        self._processor, self._serde, self._index = processor, serde, index
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
        """Fold the entity's events: those of the index, then those of the batch under way."""
        state, version, evolve = self._processor.initial(key), -1, self._processor.evolve
        if self._is_stateless:
            return Entity(state, self._index.head(key) + len(pending))
        for stored in self._index.read(key):
            event = self._serde.decode(stored.value)
            topic = events_of(self._processor.name)
            assert isinstance(event, Event), f"{topic} holds {type(event).__name__}, which is no event"
            state, version = evolve(state, event), stored.version
        for happened in pending:
            assert happened is not None, "only stateless processors append encoded events"
            state, version = evolve(state, happened), version + 1
        return Entity(state, version)
