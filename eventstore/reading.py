"""Read the streams of one store: one stream, or all of them as they grow.

A process that owns the stream's partition reads its local index. Any other reads the partition of the topic from its
start and keeps the stream's records: the same events in the same order, in time proportional to the partition.
Ownership may move during a read, which then goes on from the topic.

Both see every event that was acknowledged before the read began. What blocks runs on other threads, a page at a time,
so that memory stays bounded by the page (and by 8 bytes an event where a stream is read backwards from the topic).

Not promised: that a deletion during a read is seen by it.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Generic, Self, TypeAlias, cast

from typing_extensions import TypeVar

from eventstore.component import Runtime
from eventstore.errors import EventStoreError
from eventstore.log.errors import TopicMissing
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.log.records import Record, TopicPartition
from eventstore.processor.index import StoredEvent, StreamIndex
from eventstore.processor.topics import events_of
from eventstore.scanning import Scan
from eventstore.streams import Position, Recorded, check_stream_id
from schemas import Event, Metadata, Serde

E = TypeVar("E", bound=Event, default=Event)
T = TypeVar("T")

PAGE = 256
_NOTHING = Position()

Page: TypeAlias = list[Recorded[E]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which events of a stream are read: after < version ≤ until, in version order or against it, at most `limit`."""

    after: int = -1
    until: int | None = None
    backwards: bool = False
    limit: int | None = None

    def holds(self, version: int) -> bool:
        """Whether the version lies within them."""
        return version > self.after and (self.until is None or version <= self.until)

    @property
    def page(self) -> int:
        """How many events to read next."""
        return PAGE if self.limit is None else min(PAGE, self.limit)

    @property
    def are_empty(self) -> bool:
        """Whether nothing can lie within them."""
        return (self.limit is not None and self.limit <= 0) or (self.until is not None and self.until <= self.after)

    def beyond(self, version: int, count: int) -> Bounds:
        """What is left to read after `count` events, the last of this version."""
        limit = None if self.limit is None else self.limit - count
        if self.backwards:
            return replace(self, until=version - 1, limit=limit)
        return replace(self, after=version, limit=limit)


class Streams(Generic[E]):
    """Reads the streams of the processor `name`."""

    def __init__(self, name: str, runtime: Runtime) -> None:
        self.name, self._runtime = name, runtime
        self.topic = events_of(name)
        self._partitions = 0

    def read(
        self,
        stream: str,
        *,
        after: int | None = None,
        until: int | None = None,
        backwards: bool = False,
        limit: int | None = None,
    ) -> AsyncGenerator[Recorded[E], None]:
        """The events of a stream with after < version ≤ until, none if there is no such stream.

        Raises:
            ValueError: the stream id cannot be one, or `limit` is negative.
            TopicMissing: nobody ever ran the store on this log.
            ReadStalled: the log has records that could not be read in time.
            UnknownType: an event's type or version is not known to this process's code.
        """
        check_stream_id(stream)
        if limit is not None and limit < 0:
            raise ValueError(f"limit={limit}: give the greatest number of events to read, or None")
        return self._flat(stream, Bounds(-1 if after is None else after, until, backwards, limit))

    async def _flat(self, stream: str, bounds: Bounds) -> AsyncGenerator[Recorded[E], None]:
        async with aclosing(self.pages(stream, bounds)) as pages:
            async for page in pages:
                for recorded in page:
                    yield recorded

    async def pages(self, stream: str, bounds: Bounds) -> AsyncGenerator[Page[E], None]:
        """Like `read`, in pages, none of them empty."""
        partition = await self._partition(stream)
        while not bounds.are_empty and (index := self._runtime.index(self.name, stream)) is not None:
            try:
                page = await asyncio.to_thread(self._index_page, index, stream, partition, bounds)
            except EventStoreError:
                if self._runtime.index(self.name, stream) is None:
                    break
                raise
            if page:
                yield page
            if len(page) < bounds.page:
                return
            bounds = bounds.beyond(page[-1].version, len(page))
        if not bounds.are_empty:
            async with aclosing(self._topic_pages(stream, partition, bounds)) as pages:
                async for page in pages:
                    yield page

    def _index_page(self, index: StreamIndex, stream: str, partition: int, bounds: Bounds) -> Page[E]:
        serde = self._runtime.host.serde
        stored = index.read(stream, after=bounds.after, until=bounds.until, backwards=bounds.backwards)
        return [_from_index(each, stream, partition, serde) for each in islice(stored, bounds.page)]

    async def _topic_pages(self, stream: str, partition: int, bounds: Bounds) -> AsyncGenerator[Page[E], None]:
        log, serde = self._runtime.host.log, self._runtime.host.serde
        search = _Search(log, TopicPartition(self.topic, partition), stream)
        async with _Thread() as thread:
            found = search.backwards(bounds) if bounds.backwards else search.forwards(bounds)

            def page() -> Page[E] | None:
                records = next(found, None)
                return None if records is None else [_from_record(record, _after(record), serde) for record in records]

            try:
                while (recorded := await thread.run(page)) is not None:
                    if recorded:
                        yield recorded
            finally:
                await thread.run(found.close)

    async def subscribe(
        self, *, after: Position | None = None, until_end: bool = False
    ) -> AsyncGenerator[Recorded[E], None]:
        """The events of all streams beyond a position, in order per stream, as they come.

        Each carries the position to go on from. It goes on until it is closed or cancelled, or, with `until_end`, up to
        where the log stood at the start.

        Raises:
            ValueError: the position names partitions that the store does not have.
            TopicMissing, ReadStalled, UnknownType: as for `read`.
        """
        host = self._runtime.host
        start = await self._start(after or _NOTHING)
        async with _Thread() as thread:
            scan = await thread.run(lambda: Scan(host.log, self.topic, start, tail=not until_end))
            position = dict(after.offsets) if after else {}
            try:
                while not scan.is_done:
                    for recorded in await thread.run(lambda: _advance(scan.page(), position, host.serde)):
                        yield recorded
            finally:
                await thread.run(scan.close)

    async def _start(self, after: Position) -> dict[int, int]:
        count = await self._count()
        start = dict.fromkeys(range(count), 0) | dict(after.offsets)
        if len(start) > count:
            raise ValueError(
                f"position {after} names partitions that {self.topic} does not have: it is of another store"
            )
        return start

    async def _partition(self, stream: str) -> int:
        return partition_of(stream, await self._count())

    async def _count(self) -> int:
        if not self._partitions:
            known = await asyncio.to_thread(self._runtime.host.log.describe, [self.topic])
            if self.topic not in known:
                raise TopicMissing(self.topic)
            self._partitions = known[self.topic].partitions
        return self._partitions

    async def end(self, stream: str) -> Position:
        """A position that is after everything acknowledged by now in the stream's partition."""
        at = TopicPartition(self.topic, await self._partition(stream))
        ends = await asyncio.to_thread(lambda: self._runtime.host.log.end_positions([at], isolation="uncommitted"))
        return Position.at(at.partition, ends[at])


class _Search:
    """Finds the records of one stream in its partition of the topic. Generators: one list per step, also empty ones."""

    def __init__(self, log: Log, at: TopicPartition, stream: str) -> None:
        self._log, self._at, self._prefix = log, at, stream.encode() + b"/"

    def forwards(self, bounds: Bounds) -> Generator[list[Record], None, None]:
        left = bounds.limit
        for matching in self._matching(0, None, bounds):
            taken = matching if left is None else matching[:left]
            yield taken
            left = None if left is None else left - len(taken)
            if left == 0 or (taken and _version(taken[-1]) == bounds.until):
                return

    def backwards(self, bounds: Bounds) -> Generator[list[Record], None, None]:
        offsets = array("q")
        for matching in self._matching(0, None, bounds):
            offsets.extend(record.offset for record in matching)
            yield []
        if bounds.limit is not None:
            offsets = offsets[max(0, len(offsets) - bounds.limit) :]
        for last in range(len(offsets), 0, -PAGE):
            chunk = offsets[max(0, last - PAGE) : last]
            found = [r for matching in self._matching(chunk[0], chunk[-1] + 1, bounds) for r in matching]
            yield found[::-1]

    def _matching(self, start: int, end: int | None, bounds: Bounds) -> Generator[list[Record], None, None]:
        scan = Scan(self._log, self._at.topic, {self._at.partition: start}, end=end)
        try:
            while not scan.is_done:
                yield [record for record in scan.page() if self._is_mine(record) and bounds.holds(_version(record))]
        finally:
            scan.close()

    def _is_mine(self, record: Record) -> bool:
        key = record.key
        if key is None or record.value is None or not key.startswith(self._prefix):
            return False
        return key[len(self._prefix) :].isdigit()


def _version(record: Record) -> int:
    return int((record.key or b"").rpartition(b"/")[2])


def _advance(records: list[Record], position: dict[int, int], serde: Serde) -> list[Recorded[Any]]:
    found: list[Recorded[Any]] = []
    for record in records:
        position[record.partition] = record.offset + 1
        if record.value is not None:
            found.append(_from_record(record, Position.of(position), serde))
    return found


def _after(record: Record) -> Position:
    return Position.at(record.partition, record.offset + 1)


def _from_record(record: Record, position: Position, serde: Serde) -> Recorded[Any]:
    stream, _, version = (record.key or b"").rpartition(b"/")
    metadata = Metadata.decode(dict(record.headers)["meta"])
    event = cast("Any", serde.decode(record.value or b""))
    return Recorded(event, int(version), stream.decode(), metadata, _instant(record.timestamp_ms), position)


def _from_index(stored: StoredEvent, stream: str, partition: int, serde: Serde) -> Recorded[Any]:
    event, metadata = cast("Any", serde.decode(stored.value)), Metadata.decode(stored.meta)
    position = _NOTHING if stored.offset < 0 else Position.at(partition, stored.offset + 1)
    return Recorded(event, stored.version, stream, metadata, _instant(stored.timestamp_ms), position)


def _instant(timestamp_ms: int) -> datetime:
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC)


class _Thread:
    """A thread of its own for what blocks long; calls run one after the other, also after one was cancelled."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="sagalog-read")

    async def run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._executor.shutdown(wait=False)
