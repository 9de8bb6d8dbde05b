"""Services and clients for programs without asyncio: the same names, without `await`.

    with Client(log="kafka://localhost:9092").blocking() as client:
        client.ask(ReserveStock(sku="a", quantity=1))
        client.table(Totals.by_order).get("17")

Everything runs on an event loop in a thread of its own, which ends with the `with` block. Any thread may call, several
at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from typing import Any, Generic, Protocol, Self, TypeVar

from consumers.queryable import Queryable
from consumers.source import Source
from consumers.table import Table
from eventstore.component import ASK_PATIENCE, Runtime
from eventstore.streams import Position
from schemas import Command, Refusal, Reply

PAGE_ROWS = 500
"""How many rows of a scan cross the threads at once."""

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
R = TypeVar("R", bound=Reply | None)
X = TypeVar("X", bound=Refusal)


class Asynchronous(Protocol):
    """What is made blocking: a service or a client."""

    @property
    def runtime(self) -> Runtime: ...

    @property
    def address(self) -> str: ...

    async def __aenter__(self) -> object: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def ask(self, command: Command[R, X], /, *, timeout: timedelta = ..., id: str | None = None) -> R | X: ...

    def table(self, table: Table[K, V], /) -> Queryable[K, V]: ...


class Settling(Asynchronous, Protocol):
    """What hosts components too."""

    async def settled(self, *, timeout: timedelta = ...) -> None: ...


A = TypeVar("A", bound=Asynchronous)
S = TypeVar("S", bound=Settling)


def blocking(made: A) -> Blocking[A]:
    """The blocking façade of a service or a client that does not run yet."""
    return Blocking(made)


class Blocking(Generic[A]):
    """A service or a client, called without `await`. Errors are those of the asynchronous names."""

    def __init__(self, made: A) -> None:
        self.asynchronous = made
        """What it stands for. Its coroutines run by `run`."""
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, name="blocking", daemon=True)
        self._thread.start()
        try:
            self.run(self._enter())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.run(self._leave())
        finally:
            self._end()

    @property
    def runtime(self) -> Runtime:
        """What runs it now."""
        return self.asynchronous.runtime

    @property
    def address(self) -> str:
        """`host:port` of this process's HTTP endpoint."""
        return self.asynchronous.address

    def ask(self, command: Command[R, X], /, *, timeout: timedelta = ASK_PATIENCE, id: str | None = None) -> R | X:
        """Send a command to its destination and wait for its reply or refusal."""
        return self.run(self.asynchronous.ask(command, timeout=timeout, id=id))

    def table(self, table: Table[K, V], /) -> BlockingTable[K, V]:
        """A view's table to look into, wherever its partitions are."""
        return BlockingTable(self, self.asynchronous.table(table))

    def settled(self: Blocking[S], *, timeout: timedelta = timedelta(seconds=30)) -> None:
        """Wait until nothing is under way in this process. Services have it, clients have nothing to settle."""
        self.run(self.asynchronous.settled(timeout=timeout))

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait for something asynchronous on this façade's loop: `SagaClient(shop.asynchronous).start(…)`."""
        if self._thread is None or threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("use it inside its `with` block, and not from its own event loop")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def _enter(self) -> None:
        await self.asynchronous.__aenter__()

    async def _leave(self) -> None:
        await self.asynchronous.__aexit__(None, None, None)

    def _end(self) -> None:
        thread, self._thread = self._thread, None
        self._loop.call_soon_threadsafe(self._loop.stop)
        if thread is not None:
            thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


class BlockingTable(Generic[K, V]):
    """A table as everyone but its view sees it: read-only. See `Queryable`."""

    def __init__(self, through: Blocking[Any], table: Queryable[K, V]) -> None:
        self._through, self._table = through, table

    def get(self, key: K, /, *, at_least: Position | None = None, of: Source | None = None) -> V | None:
        """The row of a key, None if there is none."""
        return self._through.run(self._table.get(key, at_least=at_least, of=of))

    def scan(
        self,
        *,
        prefix: K | tuple[Any, ...] | None = None,
        start: K | None = None,
        end: K | None = None,
        reverse: bool = False,
        limit: int | None = None,
        at_least: Position | None = None,
        of: Source | None = None,
    ) -> Iterator[tuple[K, V]]:
        """Rows in key order, or against it: keys that begin with `prefix`, start ≤ key < end, at most `limit`."""
        rows = self._table.scan(
            prefix=prefix, start=start, end=end, reverse=reverse, limit=limit, at_least=at_least, of=of
        )

        async def page() -> list[tuple[K, V]]:
            found: list[tuple[K, V]] = []
            async for row in rows:
                found.append(row)
                if len(found) == PAGE_ROWS:
                    break
            return found

        while found := self._through.run(page()):
            yield from found
