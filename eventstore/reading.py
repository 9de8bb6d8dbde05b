"""Read the streams of one store, by the shortest way there is.

1. A process that owns the stream's partition reads its local index.
2. Any other asks the owner, page by page, over the inbox and the reply path (`eventstore.remote_reading`).
3. Where no owner answers, it reads the partition of the topic from its start: the same events in the same order, in
   time proportional to the partition. That is logged (`owner_silent`) and counted (`unanswered`).

Ownership may move during a read, which then goes on by another way. All see every event that was acknowledged before
the read began, except that an owner that was stopped and replaced without knowing it may answer as of before (K15). A
consistent read begins with a question that is answered after a fenced commit; it returns what was there then.

Memory is bounded by the page. Pages that block run on other threads; the first one of the local index is small and is
read at once, because to change threads costs more.

Not promised: that a deletion during a read is seen by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from typing_extensions import TypeVar as DefaultTypeVar

from eventstore.bounds import PAGE_BYTES, Bounds
from eventstore.component import Runtime
from eventstore.errors import EventStoreError
from eventstore.log.errors import TopicMissing
from eventstore.log.partition import partition_of
from eventstore.log.records import TopicPartition
from eventstore.processor.index import StoredEvent, StreamIndex
from eventstore.processor.pages import ErasedMeanwhile, Page, read_page
from eventstore.processor.snapshots import Snapshot, Wanted
from eventstore.processor.snapshotting import OfferSnapshot
from eventstore.processor.topics import events_of
from eventstore.recorded import position_after, recorded
from eventstore.remote_reading import Owners
from eventstore.streams import Position, Recorded, check_stream_id
from eventstore.subscribing import Subscription
from eventstore.threads import OwnThread
from eventstore.topic_reading import TopicStream
from schemas import Event

E = DefaultTypeVar("E", bound=Event, default=Event)
T = TypeVar("T")

FIRST_EVENTS = 128
"""How many events of the local index are read without changing threads: less than a millisecond's."""
FIRST_BYTES = 64 * 1024


class Beginning(Protocol):
    """Where a read of a stream may begin instead of at its first event."""

    wanted: Wanted | None
    """Which snapshot can be used; None: none."""

    def begin(self, snapshot: Snapshot) -> bool:
        """Take the snapshot that the next page goes on from. False: it cannot be used."""
        ...


class Streams(Generic[E]):
    """Reads the streams of the processor `name`."""

    def __init__(self, name: str, runtime: Runtime) -> None:
        self.name, self._runtime = name, runtime
        self.topic = events_of(name)
        self.owners = Owners(name, self.topic, runtime)
        self._partitions, self._generation = 0, ""

    def read(
        self,
        stream: str,
        *,
        after: int | None = None,
        until: int | None = None,
        backwards: bool = False,
        limit: int | None = None,
        as_of: int | datetime | None = None,
        consistent: bool = False,
    ) -> AsyncGenerator[Recorded[E], None]:
        """The events of a stream within the bounds, none if there is no such stream; see `EventStore.read`."""
        check_stream_id(stream)
        bounds = Bounds.of(after=after, until=until, backwards=backwards, limit=limit, as_of=as_of)
        return self._flat(stream, bounds, consistent)

    async def _flat(self, stream: str, bounds: Bounds, consistent: bool) -> AsyncGenerator[Recorded[E], None]:
        partition, serde, generation = await self.partition(stream), self._runtime.host.serde, self._generation

        def make(row: StoredEvent) -> Recorded[E]:
            return recorded(row, stream, position_after(row, partition, generation), serde)

        async with aclosing(self.pages(stream, bounds, make, consistent=consistent)) as pages:
            async for page in pages:
                for each in page:
                    yield each

    async def pages(
        self,
        stream: str,
        bounds: Bounds,
        make: Callable[[StoredEvent], T],
        *,
        consistent: bool = False,
        beginning: Beginning | None = None,
        is_whole: bool = False,
    ) -> AsyncGenerator[list[T], None]:
        """What `make` gives of the events within the bounds, in pages, none of them empty.

        `beginning` may take the stream's snapshot before the first page, which then goes on from it.

        Raises:
            ErasedMeanwhile: with `is_whole`, for reads that begin at the first event: an erasure came between pages.
        """
        partition, least_head = await self.partition(stream), -1
        if consistent:
            first = 0 if bounds.need_search or bounds.are_empty else bounds.page
            page = await self.owners.fenced(stream, partition, bounds, events=first, wanted=_wanted(beginning))
            if page.snapshot is not None and not _begun(beginning, page.snapshot):
                page = await self.owners.fenced(stream, partition, bounds, events=first)
            least_head, bounds, beginning = page.head, _after(page, bounds.up_to(page.head)), None
            if first:
                rows = bounds.cut(page.rows)
                if rows:
                    yield list(map(make, rows))
                if page.is_last or len(rows) < len(page.rows):
                    return
                bounds = bounds.beyond(page.last, len(rows))
        if bounds.need_search:
            bounds = bounds.found(await self._last_version(stream, bounds.search(), least_head))
        found = self._pages(stream, partition, bounds, make, least_head, beginning, is_whole=is_whole)
        async with aclosing(found) as pages:
            async for made in pages:
                yield made

    async def _last_version(self, stream: str, bounds: Bounds, least_head: int) -> int:
        """The version before the first one that was recorded after the bounds' instant; −1 if that is the first."""
        last, partition = -1, await self.partition(stream)
        async with aclosing(self._pages(stream, partition, bounds, lambda row: row.version, least_head)) as pages:
            async for versions in pages:
                last = versions[-1]
        return last

    async def _pages(
        self, stream: str, partition: int, bounds: Bounds, make: Callable[[StoredEvent], T], least_head: int,
        beginning: Beginning | None = None, *, is_whole: bool = False,
    ) -> AsyncGenerator[list[T], None]:  # fmt: skip
        """From the index or the owner as long as one serves and has seen the version `least_head`, then the topic."""
        is_first, wanted = True, _wanted(beginning)
        while not bounds.are_empty:
            found = await self._made(stream, partition, bounds, make, is_first=is_first, wanted=wanted)
            if found is None or found[0].head < least_head:
                break
            page, made, is_first, wanted = *found, False, None
            if page.snapshot is not None and not _begun(beginning, page.snapshot):
                continue
            if is_whole and page.snapshot is None and page.lacks(bounds.after, bounds.until):
                raise ErasedMeanwhile
            if made:
                yield made
            if page.is_last or len(made) < len(page.rows):
                return
            bounds = _after(page, bounds).beyond(page.last, len(made))
        if not bounds.are_empty:
            async with aclosing(self._topic_pages(stream, partition, bounds, make)) as pages:
                async for made in pages:
                    yield made

    async def _made(
        self, stream: str, partition: int, bounds: Bounds, make: Callable[[StoredEvent], T], *,
        is_first: bool, wanted: Wanted | None,
    ) -> tuple[Page, list[T]] | None:  # fmt: skip
        """A page, and what `make` gives of it; None if it has to come from the topic."""
        while (index := self._runtime.index(self.name, stream)) is not None:
            try:
                if is_first:
                    small = min(FIRST_EVENTS, bounds.page)
                    return _of_index(index, stream, bounds, small, FIRST_BYTES, make, wanted)
                return await asyncio.to_thread(_of_index, index, stream, bounds, bounds.page, PAGE_BYTES, make)
            except EventStoreError:
                if self._runtime.index(self.name, stream) is index:
                    raise
        page = await self.owners.page(stream, partition, bounds, wanted)
        return None if page is None else (page, list(map(make, bounds.cut(page.rows))))

    async def _topic_pages(
        self, stream: str, partition: int, bounds: Bounds, make: Callable[[StoredEvent], T]
    ) -> AsyncGenerator[list[T], None]:
        found = TopicStream(self._runtime.host.log, TopicPartition(self.topic, partition), stream).pages(bounds)

        def page() -> list[T] | None:
            rows = next(found, None)
            return None if rows is None else list(map(make, rows))

        async with OwnThread() as thread:
            try:
                while (made := await thread.run(page)) is not None:
                    if made:
                        yield made
            finally:
                await thread.run(found.close)

    def subscribe(
        self,
        *,
        after: Position | None = None,
        prefix: str = "",
        types: Sequence[type[Event]] | None = None,
        until_end: bool = False,
    ) -> AsyncGenerator[Recorded[E], None]:
        """The events of all streams beyond a position; see `EventStore.subscribe`."""
        return Subscription[E](self._runtime.host, self.topic, prefix, types).events(after, until_end=until_end)

    def decode(self, row: StoredEvent) -> Any:
        """The event of a row."""
        return self._runtime.host.serde.decode(row.value)

    async def offer(self, stream: str, offer: OfferSnapshot) -> None:
        """Have a snapshot of the stream kept by its owner, if there is one."""
        await self.owners.offer(stream, await self.partition(stream), offer)

    def monotonic(self) -> float:
        """Seconds since some instant, to measure how long something takes."""
        return self._runtime.host.clock.monotonic()

    @property
    def record_bytes(self) -> int:
        """What a record of the log holds."""
        return self._runtime.host.log.message_max_bytes

    async def partition(self, stream: str) -> int:
        """The partition of a stream.

        Raises:
            TopicMissing: nobody ever ran the store on this log.
        """
        if not self._partitions:
            known = await asyncio.to_thread(self._runtime.host.log.describe, [self.topic])
            if self.topic not in known:
                raise TopicMissing(self.topic)
            self._partitions, self._generation = known[self.topic].partitions, known[self.topic].id
        return partition_of(stream, self._partitions)

    @property
    def is_located(self) -> bool:
        """Whether partitions and generation of the topic are known already, so that `position_at` can be used."""
        return self._partitions > 0

    def position_at(self, partition: int, offset: int) -> Position:
        """A position in a partition."""
        return Position.at(partition, offset, self._generation)

    async def position(self, stream: str, offset: int) -> Position:
        """A position in the stream's partition."""
        return Position.at(await self.partition(stream), offset, self._generation)

    async def end(self, stream: str) -> Position:
        """A position that is after everything acknowledged by now in the stream's partition."""
        at = TopicPartition(self.topic, await self.partition(stream))
        ends = await asyncio.to_thread(lambda: self._runtime.host.log.end_positions([at], isolation="uncommitted"))
        return Position.at(at.partition, ends[at], self._generation)


def _wanted(beginning: Beginning | None) -> Wanted | None:
    return None if beginning is None else beginning.wanted


def _begun(beginning: Beginning | None, snapshot: Snapshot) -> bool:
    return beginning is not None and beginning.begin(snapshot)


def _after(page: Page, bounds: Bounds) -> Bounds:
    """What the page answers: it begins after its snapshot."""
    return bounds if page.snapshot is None else bounds.from_version(page.snapshot.version + 1)


def _of_index(
    index: StreamIndex,
    stream: str,
    bounds: Bounds,
    events: int,
    page_bytes: int,
    make: Callable[[StoredEvent], T],
    wanted: Wanted | None = None,
) -> tuple[Page, list[T]]:
    page = read_page(
        index, stream, after=bounds.after, until=bounds.until, backwards=bounds.backwards, events=events,
        page_bytes=page_bytes, wanted=wanted,
    )  # fmt: skip
    return page, list(map(make, bounds.cut(page.rows)))
