"""A table of a view as everyone but the view sees it: read by key or in key order, wherever its partitions are.

A key is asked for in its partition; a table with `merge=` is read in all partitions, and its rows of one key are
merged here. Not promised: that partitions are seen at one moment, or that rows of one scan are of one moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from consumers.keys import routing_key
from consumers.ownership import short_layout
from consumers.pages import Pages, Partitions, in_order
from consumers.remote import Answer, Question
from consumers.rows import bounds, table_prefix
from consumers.source import Source, topic_of
from consumers.table import Table, no_rows_in
from eventstore.log.partition import partition_of
from eventstore.streams import Position

K = TypeVar("K")
V = TypeVar("V")


class Queryable(Generic[K, V]):
    """A table to read, without blocking.

    Reads raise `PartitionUnserved` when nobody serves the partition in time, `PositionNotReached` when `at_least` is
    not reached in time, `ViewStopped` when a handler failed there, `ViewUnknown` when no service ever ran the view,
    `BadRowKey` for another type of key.
    """

    def __init__(self, tables: Partitions, table: Table[K, V]) -> None:
        self._tables, self._table = tables, table

    if not TYPE_CHECKING:

        def __getitem__(self, key):
            raise no_rows_in(self._table, key)

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
            Pages(self._tables, table, self._question(number, at_least, of, start=low, end=high, reverse=reverse))
            for number in partitions
        ]
        count = 0
        async for data, values in in_order(pages, reverse=reverse):
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
            at_least=0 if at_least is None else _offset(at_least, number),
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


def _offset(at_least: Position, partition: int) -> int:
    try:
        return at_least.offset(partition)
    except AttributeError:
        give = "Position.parse(…) of a text, or what `append` returned as `position`"
        raise TypeError(f"at_least={at_least!r} is no Position: give {give}") from None
