"""Read the tables of views, wherever their partitions are.

A read goes to the owner of the key's partition: in this process, else over HTTP to the address in the note of the
group's position. A table with `merge=` is read in all partitions. Of several versions of a view the newest that has
caught up everywhere is read (V3), and until the first one has, the one that was asked for. While nobody serves a
partition a read waits, for a bounded time.

Promised: a read sees whole writes of a partition, and with `at_least` everything up to that position. Not promised:
that partitions are seen at one moment, or that rows of one scan are of one moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import reduce
from typing import Any, Final, Generic, Protocol, cast

import structlog
from typing_extensions import TypeVar

from consumers.errors import PartitionUnserved, PositionNotReached, ViewStopped, ViewUnknown
from consumers.keys import routing_key
from consumers.ownership import Owners, owners_of, short_layout
from consumers.remote import NOT_OWNED, Answer, Connections, Question, answer, answer_now, pack, unpack_question
from consumers.rows import bounds, table_prefix
from consumers.source import Source, topic_of
from consumers.table import Table
from consumers.view_loop import ViewLoop
from eventstore.component import Host, Loop
from eventstore.errors import EventStoreError, TopicMissing
from eventstore.log.partition import partition_of
from eventstore.streams import Position

log = structlog.get_logger(__name__)

K = TypeVar("K")
V = TypeVar("V")

WAIT: Final = timedelta(seconds=10)
PAGE_ROWS: Final = 500
FRESH_SECONDS: Final = 1.0
"""How old what is known of owners may be before it is looked up again."""
PAUSE_SECONDS: Final = 0.05


class HasLoop(Protocol):
    """Runs a loop."""

    loop: Loop


class Running(Protocol):
    """What a process runs (`eventstore.hosting.Hosting` meets it)."""

    @property
    def host(self) -> Host: ...

    @property
    def threads(self) -> Sequence[HasLoop]: ...


class Tables:
    """Finds the tables of all views of a log. One event loop asks; any thread may call `serve` and `problems`."""

    def __init__(self, running: Running, *, wait: timedelta = WAIT) -> None:
        """`wait`: how long a read waits for an owner, and for `at_least`."""
        self._running = running
        self._log, self._service, self._clock = running.host.log, running.host.service, running.host.clock
        self._wait_seconds = wait.total_seconds()
        self._connections = Connections()
        self._counts: dict[str, int] = {}
        self._owners: dict[str, tuple[float, list[Owners]]] = {}
        self._refreshing: dict[str, asyncio.Task[None]] = {}

    def queryable(self, table: Table[K, V]) -> Queryable[K, V]:
        """The table, to read."""
        return Queryable(self, table)

    def serve(self, view: str, body: bytes) -> bytes:
        """Answer another process's question (`Endpoint`). Blocks until `at_least` is reached.

        Raises:
            ValueError: it is no question of a known version.
        """
        question = unpack_question(body)
        own = question.service == self._service
        return pack(answer(self._loop(view, question.version) if own else None, question))

    def problems(self) -> Mapping[str, str]:
        """Loop name → why a view stands still in this process."""
        stopped = ((loop.name, loop.problem()) for loop in self._loops())
        return {name: str(problem) for name, problem in stopped if problem is not None}

    def close(self) -> None:
        """Close the connections to other processes."""
        self._connections.close()

    def _loops(self) -> Iterator[ViewLoop]:
        return (thread.loop for thread in self._running.threads if isinstance(thread.loop, ViewLoop))

    def _loop(self, view: str, version: int) -> ViewLoop | None:
        wanted = (loop for loop in self._loops() if loop.definition.name == view and loop.definition.version == version)
        return next(wanted, None)

    async def partitions(self, table: Table[Any, Any]) -> int:
        """How many partitions a view has.

        Raises:
            TopicMissing: its first topic does not exist.
        """
        topic = table.view.__view__.topics[0]
        if topic not in self._counts:
            found = (await asyncio.to_thread(self._log.describe, [topic])).get(topic)
            if found is None:
                raise TopicMissing(topic)
            self._counts[topic] = found.partitions
        return self._counts[topic]

    async def ask(self, table: Table[Any, Any], question: Question) -> Answer:
        """The rows of one partition.

        Raises:
            PartitionUnserved, PositionNotReached, ViewStopped, ViewUnknown, ViewAmbiguous, TopicMissing
        """
        view = table.view.__view__.name
        deadline = self._clock.monotonic() + self._wait_seconds
        why = "no owner is known"
        while True:
            for owners, address in await self._candidates(table, question.partition):
                left = max(0.01, deadline - self._clock.monotonic())
                asked = _addressed(question, owners, left)
                found, why = await self._try(view, address, table.name, asked)
                if found.result == "rows":
                    return found
                _raise_final(view, found, question, self._wait_seconds)
            if self._clock.monotonic() >= deadline:
                if not self._owners.get(view, (0.0, []))[1]:
                    raise ViewUnknown(view)
                raise PartitionUnserved(view, question.partition, waited=self._wait_seconds, why=why)
            await asyncio.sleep(PAUSE_SECONDS)
            await self._refresh(table)

    async def _try(self, view: str, address: str, table: str, question: Question) -> tuple[Answer, str]:
        loop = self._loop(view, question.version) if question.service == self._service else None
        if loop is not None:
            found = await _answer_here(loop, question)
            if found.result != "not_owned" or address in ("", self._running.host.address):
                return found, "this process does not serve it yet"
        if not address:
            return NOT_OWNED, "its owner has no HTTP endpoint"
        timeout = question.wait_seconds + 1.0
        try:
            path = f"/tables/{view}/{table}"
            return await asyncio.to_thread(
                self._connections.ask, address, path, question, timeout
            ), f"{address} does not serve it"
        except OSError as error:
            return NOT_OWNED, f"{address}: {error}"

    async def _candidates(self, table: Table[Any, Any], partition: int) -> list[tuple[Owners, str]]:
        """Who may serve a partition: versions that have caught up, the newest first; then the one asked for."""
        definition, count = table.view.__view__, await self.partitions(table)
        known = await self._known(table)
        chosen = [owners for owners in known if owners.has_caught_up(count, definition.layout)]
        chosen += [owners for owners in known if owners.version == definition.version and owners not in chosen]
        if not any(owners.version == definition.version for owners in chosen):
            chosen.append(Owners(self._service, definition.version))
        return [(owners, owners.notes[partition].address if partition in owners.notes else "") for owners in chosen]

    async def _known(self, table: Table[Any, Any]) -> list[Owners]:
        """What is known of owners; looked up in the background when it is old, and at once when it is needed."""
        definition = table.view.__view__
        seen_at, owners = self._owners.get(definition.name, (float("-inf"), []))
        if self._clock.monotonic() - seen_at >= FRESH_SECONDS:
            if owners or self._loop(definition.name, definition.version) is not None:
                self._refresh_soon(table)
            else:
                await self._refresh(table)
        return self._owners.get(definition.name, (0.0, owners))[1]

    def _refresh_soon(self, table: Table[Any, Any]) -> None:
        name = table.view.__view__.name
        running = self._refreshing.get(name)
        if running is None or running.done():
            self._refreshing[name] = asyncio.create_task(self._refresh_or_keep(table))

    async def _refresh_or_keep(self, table: Table[Any, Any]) -> None:
        """In the background nobody is told of a log that is away: what is known goes on being used."""
        try:
            await self._refresh(table)
        except EventStoreError as error:
            log.info("owners_not_refreshed", view=table.view.__view__.name, error=type(error).__name__)

    async def _refresh(self, table: Table[Any, Any]) -> None:
        definition, count = table.view.__view__, await self.partitions(table)
        topic = definition.topics[0]
        owners = await asyncio.to_thread(owners_of, self._log, definition.name, topic, count, service=self._service)
        self._owners[definition.name] = self._clock.monotonic(), owners


class Queryable(Generic[K, V]):
    """A table as everyone but its view sees it: asynchronous, read-only.

    Reads raise `PartitionUnserved` when nobody serves the partition in time, `PositionNotReached` when `at_least` is
    not reached in time, `ViewStopped` when a handler failed there, `ViewUnknown` when no service ever ran the view,
    `BadRowKey` for another type of key.
    """

    def __init__(self, tables: Tables, table: Table[K, V]) -> None:
        self._tables, self._table = tables, table

    async def get(self, key: K, /, *, at_least: Position | None = None, of: Source | None = None) -> V | None:
        """The row of a key, None if there is none.

        `at_least`: wait until the view has handled its topic so far, such as an append's position. `of`: which topic it
        is a position of, for a view of several.
        """
        table = self._table
        data = table_prefix(table.name) + table.keys.encode(key)
        partitions = await self._partitions(key)
        answers = await self._all(
            [self._question(number, at_least, of, keys=[data]) for number in partitions],
        )
        rows = [table.values.decode(value) for found in answers for _, value in found.rows if value is not None]
        if not rows:
            return None
        return rows[0] if table.merge is None else reduce(table.merge, rows)

    async def scan(
        self,
        *,
        prefix: K | tuple[Any, ...] | None = None,
        start: K | None = None,
        end: K | None = None,
        reverse: bool = False,
        limit: int | None = None,
        at_least: Position | None = None,
        of: Source | None = None,
    ) -> AsyncIterator[tuple[K, V]]:
        """Rows in key order, or against it: keys that begin with `prefix`, start ≤ key < end, at most `limit`.

        A prefix of a tuple is a tuple of its first elements.
        """
        table, stem = self._table, len(table_prefix(self._table.name))
        low, high = bounds(table, prefix, start, end)
        one = prefix is not None and table.keys.routes_by(prefix)
        partitions = await self._partitions(prefix if one else None)
        pages = [
            _Pages(self._tables, table, self._question(number, at_least, of, start=low, end=high, reverse=reverse))
            for number in partitions
        ]
        count = 0
        async for data, values in _in_order(pages, reverse=reverse):
            if limit is not None and count >= limit:
                return
            count += 1
            rows = [table.values.decode(value) for value in values]
            yield table.keys.decode(data[stem:]), rows[0] if table.merge is None else reduce(table.merge, rows)

    async def _all(self, questions: Sequence[Question]) -> list[Answer]:
        if len(questions) == 1:
            return [await self._tables.ask(self._table, questions[0])]
        return await asyncio.gather(*(self._tables.ask(self._table, question) for question in questions))

    async def _partitions(self, key: object) -> Iterable[int]:
        count = await self._tables.partitions(self._table)
        if self._table.merge is not None or key is None:
            return range(count)
        return [partition_of(routing_key(key), count)]

    def _question(self, number: int, at_least: Position | None, of: Source | None, **what: Any) -> Question:
        definition = self._table.view.__view__
        return Question(
            service="",
            version=definition.version,
            layout=short_layout(definition.layout),
            partition=number,
            topic=self._topic(of) if at_least is not None else "",
            at_least=0 if at_least is None else at_least.offset(number),
            **what,
        )

    def _topic(self, of: Source | None) -> str:
        definition = self._table.view.__view__
        if definition.by is not None:
            raise ValueError(
                f"{definition.full_name} is re-keyed (by=): its position says nothing of its sources', so at_least "
                "cannot be waited for. Read without it, or make the table merge= in a view that is not re-keyed"
            )
        topics = definition.topics
        if of is None and len(topics) > 1:
            raise ValueError(f"the view reads {', '.join(topics)}: say with of= which topic at_least is a position of")
        topic = topics[0] if of is None else topic_of(of)
        if topic not in topics:
            raise ValueError(
                f"the view does not read {topic}, but {', '.join(topics)}: at_least has to be a position of these"
            )
        return topic


class _Pages:
    """The rows of one partition, a page at a time."""

    def __init__(self, tables: Tables, table: Table[Any, Any], question: Question) -> None:
        self._tables, self._table, self._question = tables, table, question
        self._rows: list[tuple[bytes, bytes]] = []
        self._is_last = False

    async def first(self) -> tuple[bytes, bytes] | None:
        """The next row, which stays; None: there are no more."""
        if not self._rows and not self._is_last:
            await self._load()
        return self._rows[-1] if self._rows else None

    def take(self) -> bytes:
        """The next row's value."""
        return self._rows.pop()[1]

    async def _load(self) -> None:
        asked = _with(self._question, limit=PAGE_ROWS)
        rows = cast("Sequence[tuple[bytes, bytes]]", (await self._tables.ask(self._table, asked)).rows)
        self._is_last = len(rows) < PAGE_ROWS
        self._rows = list(reversed(rows))
        if rows:
            last = rows[-1][0]
            self._question = _with(self._question, **({"end": last} if asked.reverse else {"start": last + b"\0"}))


async def _in_order(pages: Sequence[_Pages], *, reverse: bool) -> AsyncIterator[tuple[bytes, list[bytes]]]:
    """Each key once, in order, with its values of all partitions."""
    choose: Callable[[Iterable[bytes]], bytes] = max if reverse else min
    while True:
        heads = [
            (one, head[0])
            for one, head in zip(pages, await asyncio.gather(*(p.first() for p in pages)), strict=True)
            if head
        ]
        if not heads:
            return
        key = choose(head for _, head in heads)
        yield key, [one.take() for one, head in heads if head == key]


def _with(question: Question, **changes: Any) -> Question:
    fields = {name: getattr(question, name) for name in question.__struct_fields__}
    return Question(**{**fields, **changes})


def _addressed(question: Question, owners: Owners, left: float) -> Question:
    return _with(question, service=owners.service, version=owners.version, wait_seconds=left)


async def _answer_here(loop: ViewLoop, question: Question) -> Answer:
    partition = loop.partition(question.partition)
    if partition is None or short_layout(loop.definition.layout) != question.layout:
        return NOT_OWNED
    if question.at_least and partition.is_live and partition.position(question.topic) < question.at_least:
        reached = asyncio.wrap_future(partition.reached(question.topic, question.at_least))
        try:
            await asyncio.wait_for(reached, question.wait_seconds)
        except TimeoutError:
            return Answer(result="not_reached")
    return answer_now(loop, question)


def _raise_final(view: str, found: Answer, question: Question, waited: float) -> None:
    if found.result == "not_reached":
        raise PositionNotReached(view, question.partition, waited=waited)
    if found.result == "stopped":
        name, partition, record, error = found.stopped
        raise ViewStopped(name, partition, record=record, error=error)
