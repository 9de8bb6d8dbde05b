"""Whence a read got its events: an index of this process, the owner elsewhere, or the topic.

What a read may show depends on it (K15), and the store does not tell. So the store's parts are watched here: a read
that asked an owner or went through the topic leaves a mark in a variable of its task. If neither happened, it read the
process's own index: the one that was there at its begin, if it is the same at its end.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from eventstore.loading import Fold
from eventstore.processor.index import StreamIndex
from eventstore.processor.snapshots import Snapshot
from eventstore.reading import Streams
from eventstore.remote_reading import Owners
from eventstore.store import EventStore


@dataclass
class Way:
    """What one read did."""

    marks: set[str] = field(default_factory=set[str])
    found: str = ""
    is_from_snapshot: bool = False


_current: ContextVar[Way | None] = ContextVar("way", default=None)


class Ways:
    """Watches the reads of one process."""

    def __init__(self, store: EventStore[Any]) -> None:
        self._store = store
        self._indexes: list[StreamIndex] = []

    @contextmanager
    def watched(self, stream: str) -> Generator[Way]:
        """Tell the way of the read inside, once it has ended."""
        way, index = Way(), self._index(stream)
        token = _current.set(way)
        try:
            yield way
        finally:
            _current.reset(token)
            way.found = self._found(way, index, self._index(stream))

    def _found(self, way: Way, before: StreamIndex | None, after: StreamIndex | None) -> str:
        if way.marks:
            return "topic" if "topic" in way.marks else "owner"
        if before is None or before is not after:
            return "owner"
        if not any(before is known for known in self._indexes):
            self._indexes.append(before)
        return f"index:{next(number for number, known in enumerate(self._indexes) if known is before)}"

    def _index(self, stream: str) -> StreamIndex | None:
        runtime = self._store._runtime
        return None if runtime is None else runtime.index(self._store.name, stream)


def _mark(what: str) -> None:
    way = _current.get()
    if way is not None:
        way.marks.add(what)


@cache
def watch() -> None:
    """Have the store's parts leave marks, in this process, from now on."""
    page, fenced, from_topic, begin = Owners.page, Owners.fenced, Streams._topic_pages, Fold.begin

    async def marked_page(self: Owners, *arguments: Any) -> Any:
        _mark("owner")
        return await page(self, *arguments)

    async def marked_fenced(self: Owners, *arguments: Any, **options: Any) -> Any:
        _mark("owner")
        return await fenced(self, *arguments, **options)

    async def marked_topic_pages(self: Streams[Any], *arguments: Any) -> AsyncGenerator[Any, None]:
        _mark("topic")
        async for rows in from_topic(self, *arguments):
            yield rows

    def marked_begin(self: Fold, snapshot: Snapshot) -> bool:
        has_begun, way = begin(self, snapshot), _current.get()
        if way is not None:
            way.is_from_snapshot = way.is_from_snapshot or has_begun
        return has_begun

    Fold.begin = marked_begin  # type: ignore[method-assign]
    Owners.page = marked_page  # type: ignore[assignment, method-assign]
    Owners.fenced = marked_fenced  # type: ignore[method-assign]
    Streams._topic_pages = marked_topic_pages  # type: ignore[assignment, method-assign]
