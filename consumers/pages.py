"""The rows of a table in key order: pages of each partition, one after the other, and all partitions side by side.

Not promised: that partitions, or the pages of one, are of one moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final, Protocol, cast

from msgspec import structs

from consumers.remote import Answer, Question
from consumers.table import Table

PAGE_ROWS: Final = 500


class Partitions(Protocol):
    """Where the partitions of tables are asked (`consumers.queries.Tables` meets it)."""

    async def partitions(self, table: Table[Any, Any]) -> int:
        """How many there are."""
        ...

    async def ask(self, table: Table[Any, Any], question: Question) -> Answer:
        """The rows of one."""
        ...


class Pages:
    """The rows of one partition, a page at a time."""

    def __init__(self, tables: Partitions, table: Table[Any, Any], question: Question) -> None:
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
        asked = structs.replace(self._question, limit=PAGE_ROWS)
        rows = cast("Sequence[tuple[bytes, bytes]]", (await self._tables.ask(self._table, asked)).rows)
        self._is_last = len(rows) < PAGE_ROWS
        self._rows = list(reversed(rows))
        if rows:
            last = rows[-1][0]
            edge = {"end": last} if asked.reverse else {"start": last + b"\0"}
            self._question = structs.replace(self._question, **edge)


async def in_order(pages: Sequence[Pages], *, reverse: bool) -> AsyncIterator[tuple[bytes, list[bytes]]]:
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
