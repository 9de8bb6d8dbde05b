"""Follow all streams of a store from a position, as they grow.

Positions name the topic's generation: a topic that was deleted and made again is another log, where the same offsets
mean other events. What a position can no longer be resumed from is refused by name before the first event:

- it is of another generation, or of a store with other partitions;
- it lies beyond the log's end (the log was put back to an older copy);
- it lies before the first event that the log still has: what lay between is gone.

A topic that is made again while it is followed ends the subscription, within seconds: `eventstore.topic_identity`.

Events are chosen by the stream's id and by the type that their schema id stands for; what is not chosen is not decoded.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from typing import Generic, cast

from typing_extensions import TypeVar

from eventstore.component import Host
from eventstore.erased import ErasedStreams
from eventstore.errors import EventNotDeclared, PositionRefused, ReadStalled
from eventstore.event_records import place_of
from eventstore.log.errors import LogError, TopicMissing
from eventstore.log.records import Record, TopicPartition
from eventstore.recorded import recorded
from eventstore.scanning import Scan
from eventstore.streams import Position, Recorded, utf8_of
from eventstore.threads import OwnThread
from eventstore.topic_identity import TopicIdentity, of_another_topic
from eventstore.topic_reading import stored_of
from schemas import Event

E = TypeVar("E", bound=Event, default=Event)


def check_chosen(store: str, declared: AbstractSet[type[Event]], after: object, prefix: object, types: object) -> None:
    """Refuse what a subscription cannot begin from or choose.

    Raises:
        TypeError: `after` is no position, `prefix` no str, or `types` no classes.
        ValueError: `prefix` holds half of a surrogate pair.
        EventNotDeclared: one of the types is none of the store's.
    """
    if after is not None and not isinstance(after, Position):
        give = f"Position.parse({after!r})" if isinstance(after, str) else "that of a recorded event, or None"
        raise TypeError(f"{store}: after={after!r} is no Position: give {give}")
    if not isinstance(prefix, str):
        raise TypeError(f"{store}: prefix={prefix!r} is no str: give what the ids of streams begin with, '' for all")
    utf8_of(f"{store}: prefix", prefix)
    if types is None:
        return
    if not isinstance(types, Collection):
        raise TypeError(f"{store}: types={types!r} is no list of event classes: give types=[…]")
    for each in cast("Collection[object]", types):
        if not isinstance(each, type):
            raise TypeError(f"{store}: types has {each!r}, which is no event class: give the classes themselves")
        if each not in declared:
            raise EventNotDeclared(store, getattr(each, "__name__", repr(each)))


class Subscription(Generic[E]):
    """The events of one topic that are chosen by stream and type."""

    def __init__(self, host: Host, topic: str, prefix: str = "", types: Sequence[type[Event]] | None = None) -> None:
        """`prefix`: of the streams' ids. `types`: None chooses all."""
        self._host, self._topic, self._prefix = host, topic, prefix.encode()
        self._types = None if types is None else frozenset(each.__type_name__ for each in types)

    async def events(self, after: Position | None, *, until_end: bool) -> AsyncGenerator[Recorded[E], None]:
        """The events beyond `after`, each with the position to go on from.

        Raises:
            PositionRefused: the log cannot be read on from there, or the topic was made again since.
            TopicMissing: nobody ever ran the store on this log, or the topic was deleted.
        """
        async with OwnThread() as thread:
            generation, position = await thread.run(lambda: self._start(after or Position()))
            identity, at = TopicIdentity(self._host, self._topic, generation), Position.of(position, generation)
            try:
                async with aclosing(self._pages(thread, generation, position, tail=not until_end)) as pages:
                    async for page in pages:
                        await identity.watch(at)
                        for each in page:
                            yield each
                        at = Position.of(position, generation)
            except (LogError, ReadStalled):
                await identity.failed(at)
                raise
            finally:
                identity.close()

    async def _pages(
        self, thread: OwnThread, generation: str, position: dict[int, int], *, tail: bool
    ) -> AsyncGenerator[list[Recorded[E]], None]:
        """The chosen events in pages, also empty ones; `position` moves along."""
        scan = await thread.run(lambda: Scan(self._host.log, self._topic, position, tail=tail))
        try:
            erased = await thread.run(lambda: ErasedStreams(self._host.log, self._topic, position))
            try:
                while not scan.is_done:
                    yield await thread.run(lambda: self._advance(scan.page(), erased, position, generation))
            finally:
                await thread.run(erased.close)
        finally:
            await thread.run(scan.close)

    def _start(self, after: Position) -> tuple[str, dict[int, int]]:
        """The topic's generation, and where to begin in each partition."""
        found = self._host.log.describe([self._topic]).get(self._topic)
        if found is None:
            raise TopicMissing(self._topic)
        if after.generation and after.generation != found.id:
            raise of_another_topic(self._topic, after, found.id)
        named, every = dict(after.offsets), [TopicPartition(self._topic, one) for one in range(found.partitions)]
        if not all(0 <= partition < found.partitions for partition in named):
            why = f"it names partitions beyond the {found.partitions} that there are: it is of another store"
            raise PositionRefused(self._topic, after, why)
        starts = self._host.log.start_positions(every)
        ends = self._host.log.end_positions(every, isolation="uncommitted")
        for partition, offset in named.items():
            self._check(after, partition, offset, starts, ends)
        return found.id, {at.partition: named.get(at.partition, starts[at]) for at in every}

    def _check(
        self,
        after: Position,
        partition: int,
        offset: int,
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
    ) -> None:
        at = TopicPartition(self._topic, partition)
        if offset > ends[at]:
            why = f"partition {partition} ends at {ends[at]}: the log was put back to an older state"
            raise PositionRefused(self._topic, after, why)
        if offset < starts[at]:
            why = f"partition {partition} begins at {starts[at]}: the events between are gone"
            raise PositionRefused(self._topic, after, why)

    def _advance(
        self, records: list[Record], erased: ErasedStreams, position: dict[int, int], generation: str
    ) -> list[Recorded[E]]:
        """The chosen events among the records; the position moves over all of them."""
        found: list[Recorded[E]] = []
        if records:
            erased.follow()
        for record in records:
            position[record.partition] = record.offset + 1
            if self._is_chosen(record) and not erased.hides(record):
                stream, _ = place_of(record)
                at = Position.of(position, generation)
                found.append(recorded(stored_of(record), stream, at, self._host.serde))
        return found

    def _is_chosen(self, record: Record) -> bool:
        if record.value is None or not (record.key or b"").rpartition(b"/")[0].startswith(self._prefix):
            return False
        return self._types is None or self._host.serde.type_of(record.value).name in self._types
