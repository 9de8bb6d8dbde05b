"""Import streams from a file into a store, through the owners of its partitions.

Events keep stream, version, time, bytes and metadata; their schemas are registered in the target's registry, where the
ids may be others. The file is checked to its end before anything is written, and which types the owner takes before
(`eventstore.transfer.serving`).

An import can be repeated: what the target has already is compared and left as it is, so that one which was interrupted
goes on. The first event that the target has otherwise, or that would leave a gap, ends it with `ImportConflict`.

A stream whose first events were erased begins with the version that it begins with in the file. Memory is bounded by a
window of the file; a dry run also keeps the last version of each stream, and the ids of those the target erased.

Not promised: that other streams of the window are untouched when one fails. Timers and outcomes of inputs are not
imported. Workers, reactors and views of the target take the events for new ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import cast
from uuid import uuid4

from eventstore.bounds import Bounds
from eventstore.component import Runtime
from eventstore.erased import ErasedStreams
from eventstore.errors import AskTimedOut
from eventstore.log.errors import TopicMissing
from eventstore.processor.importing import ImportDone, ImportEvents, ImportLost
from eventstore.processor.index import StoredEvent
from eventstore.processor.topics import events_of
from eventstore.reading import Streams
from eventstore.transfer.entries import EventEntry
from eventstore.transfer.errors import ImportConflict
from eventstore.transfer.exporting import kept_metadata
from eventstore.transfer.files import Whole, reading
from eventstore.transfer.personal import MissingKeys
from eventstore.transfer.target_schemas import known, registered
from schemas import Registry

WINDOW_EVENTS, WINDOW_BYTES = 4_000, 8 * 1024 * 1024
"""How much of the file is under way at once."""
CHUNK_EVENTS, CHUNK_BYTES = 1_000, 512 * 1024
"""How much of a stream is appended at once."""
ASK_SECONDS = timedelta(seconds=10)
ATTEMPTS = 6


@dataclass(slots=True)
class Imported:
    """What an import did, or, if it was dry, would have done."""

    path: Path
    added: int = 0
    skipped: int = 0
    """How many events the target had already."""
    schemas: int = 0
    """How many schemas the events were written with."""
    checksum: str = ""
    """That of the file."""
    without_keys: int = 0
    """How many events of the file hold personal data whose keys are not in the target, where nobody can read it."""
    subjects_without_keys: int = 0
    """How many people it is about."""


@dataclass(slots=True)
class Chunk:
    """Consecutive events of one stream."""

    events: list[EventEntry] = field(default_factory=list[EventEntry])
    bytes: int = 0

    @property
    def first(self) -> int:
        """The version of the first one."""
        return self.events[0].version

    @property
    def last(self) -> int:
        """The version of the last one."""
        return self.events[-1].version

    def takes(self, event: EventEntry) -> bool:
        """Whether the event may be added."""
        is_next = not self.events or (event.version == self.last + 1 and not event.begins)
        return is_next and len(self.events) < CHUNK_EVENTS and self.bytes < CHUNK_BYTES

    def add(self, event: EventEntry) -> None:
        """Add the next event."""
        self.events.append(event)
        self.bytes += len(event.payload) + len(bytes(event.meta))


Window = dict[str, list[Chunk]]


class Importing:
    """One import, over a runtime that reaches the owners of the store's partitions."""

    def __init__(self, runtime: Runtime, registry: Registry, store: str, path: Path, whole: Whole) -> None:
        """`registry`: the one that the owners read. `whole`: what checking the file gave."""
        self._runtime, self._registry, self._store = runtime, registry, store
        self._path, self._whole, self._run = path, whole, uuid4().hex
        self._streams: Streams = Streams(store, runtime)
        self._headers: dict[int, bytes] = {}
        self._heads: dict[str, int] = {}
        self._erased: ErasedStreams | None = None
        self.done = Imported(path, schemas=len(whole.schemas), checksum=whole.end.checksum)

    async def run(self, *, dry_run: bool, progress: Callable[[int], object]) -> Imported:
        """Take window after window; the next one is read meanwhile."""
        self._headers = await asyncio.to_thread(known if dry_run else registered, self._registry, self._whole.schemas)
        missing = await asyncio.to_thread(MissingKeys, self._runtime.host.log, self._whole.schemas)
        self._erased = await asyncio.to_thread(self._erasures) if dry_run else None
        take = self._compare if dry_run else self._append
        with reading(self._path) as file:
            windows = _windows(missing.looked(entry for entry, _ in file.entries()))
            window = await asyncio.to_thread(next, windows, None)
            while window is not None:
                coming = asyncio.create_task(asyncio.to_thread(next, windows, None))
                try:
                    async with asyncio.TaskGroup() as group:
                        for stream, chunks in window.items():
                            group.create_task(self._each(take, stream, chunks))
                except BaseExceptionGroup as several:
                    raise several.exceptions[0] from None
                finally:
                    following = await coming
                progress(sum(len(chunk.events) for chunks in window.values() for chunk in chunks))
                window = following
        self.done.without_keys, self.done.subjects_without_keys = missing.events, len(missing.subjects)
        return self.done

    async def _each(self, take: Callable[[str, Chunk], Awaitable[None]], stream: str, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            await take(stream, chunk)

    # Appending

    async def _append(self, stream: str, chunk: Chunk) -> None:
        """Append a chunk, or the rest of it that the target does not have."""
        events = chunk.events
        while events:
            answer = await self._ask(stream, events)
            if isinstance(answer, ImportDone):
                self.done.added += len(events)
                return
            events = await self._rest(stream, events, answer.head, answer.first)

    async def _ask(self, stream: str, events: list[EventEntry]) -> ImportDone | ImportLost:
        first = events[0]
        message = ImportEvents(
            first=first.version,
            begins=first.begins,
            timestamps_ms=[event.timestamp_ms for event in events],
            metas=[bytes(event.meta) for event in events],
            values=[self._headers[event.schema] + event.payload for event in events],
        )
        id_ = f"{self._run}/{stream}/{first.version}"
        for attempt in range(ATTEMPTS):
            try:
                answer, _ = await self._runtime.ask_positioned(
                    self._store, stream, message, id=id_, timeout=ASK_SECONDS
                )
            except AskTimedOut:
                if attempt == ATTEMPTS - 1:
                    raise
            else:
                return cast("ImportDone | ImportLost", answer)
        raise AssertionError("the last attempt returns or raises")

    async def _compare(self, stream: str, chunk: Chunk) -> None:
        """What `_append` would do."""
        head, first = await self._extent(stream)
        head = max(head, self._heads.get(stream, -1))
        begins_here = chunk.events[0].begins and head == -1
        events = chunk.events
        if head != chunk.first - 1 and not begins_here:
            events = await self._rest(stream, events, head, first)
        self._heads[stream] = max(head, chunk.last)
        self.done.added += len(events)

    async def _extent(self, stream: str) -> tuple[int, int]:
        """The versions of the last event of a stream, and of its first one that is not erased, as owners know them."""
        try:
            async for page in self._streams.pages(stream, Bounds(backwards=True, limit=1), lambda row: row.version):
                last = page[0]
                async for found in self._streams.pages(stream, Bounds(limit=1), lambda row: row.version):
                    return last, found[0]
        except TopicMissing:
            pass
        first = 0 if self._erased is None else self._erased.first(stream)
        return first - 1, first

    def _erasures(self) -> ErasedStreams | None:
        """What the target erased: a deleted stream has no events that would say where it ended."""
        log, topic = self._runtime.host.log, events_of(self._store)
        found = log.describe([topic]).get(topic)
        return None if found is None else ErasedStreams(log, topic, range(found.partitions))

    async def _rest(self, stream: str, events: list[EventEntry], head: int, kept: int) -> list[EventEntry]:
        """Compare the events that the target has with those of the file; those that it does not have.

        Raises:
            ImportConflict: it has others, or the file's do not follow its last one.
        """
        first = events[0].version
        if head < first - 1:
            raise ImportConflict(stream, first, _gap(events[0], head))
        if first < kept:
            raise ImportConflict(stream, first, f"the target erased its versions below {kept}, and none is used again")
        here = [event for event in events if event.version <= head]
        wanted, found = iter(here), 0
        bounds = Bounds(after=first - 1, until=here[-1].version)
        async for page in self._streams.pages(stream, bounds, lambda row: row):
            for row, event in zip(page, wanted, strict=False):
                if not self._is_same(row, event):
                    raise ImportConflict(stream, event.version, "the target has another event there")
                found += 1
        if found < len(here):
            raise ImportConflict(stream, first + found, "the target erased it meanwhile")
        self.done.skipped += found
        return events[found:]

    def _is_same(self, row: StoredEvent, event: EventEntry) -> bool:
        value = self._headers[event.schema] + event.payload
        is_same = (row.version, row.timestamp_ms, row.value) == (event.version, event.timestamp_ms, value)
        return is_same and bytes(kept_metadata(row.meta)) == bytes(event.meta)


def _gap(first: EventEntry, head: int) -> str:
    """Why an event does not follow the target's last one, and whether anything can lead there."""
    ends = "has no such stream" if head == -1 else f"ends at version {head}"
    if first.begins:
        return f"the target {ends}, and what lies between was erased where the file comes from, so nothing leads there"
    return f"the target {ends}: import first what lies before"


def _windows(events: Iterator[EventEntry]) -> Iterator[Window]:
    """Consecutive parts of the file, by stream."""
    window: Window = {}
    count = size = 0
    for event in events:
        chunks = window.setdefault(event.stream, [Chunk()])
        if not chunks[-1].takes(event):
            chunks.append(Chunk())
        chunks[-1].add(event)
        count, size = count + 1, size + len(event.payload)
        if count == WINDOW_EVENTS or size >= WINDOW_BYTES:
            yield window
            window, count, size = {}, 0, 0
    if window:
        yield window
