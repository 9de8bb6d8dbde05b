"""Host components in a process: a service, or a client that hosts nothing.

A service is one member of the consumer groups of its components. As many processes as there are partitions share the work; each
needs its own `slot`, a stable name, because it names the process's transactions (K5). `sagalog run --processes N` counts them.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Any, Self, TypeVar, cast, get_args, get_origin, get_type_hints

import structlog

from consumers.http import Endpoint
from consumers.queries import Queryable, Tables
from consumers.table import Table
from eventstore.component import Component, Plan, Runtime
from eventstore.errors import BadLogUrl, EventStoreError
from eventstore.hosting import Hosting, ProcessHost, make_host
from eventstore.log import open_log
from eventstore.log.port import Log
from schemas import Command, Refusal, Reply, key_of

log = structlog.get_logger()

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
R = TypeVar("R", bound=Reply | None)
X = TypeVar("X", bound=Refusal)

LOG_VARIABLE = "SAGALOG_LOG"
SLOT_VARIABLE = "SAGALOG_SLOT"
DRAIN = timedelta(seconds=30)


class NotStarted(EventStoreError):
    """The service or client does not run: use it inside `async with`."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} does not run: use it inside `async with`")
        self.name = name


class _Asker:
    """What services and clients have in common: they ask, and they look at tables."""

    def __init__(self, name: str, log: str | None, state: str | None, slot: str | None) -> None:
        self.name = name
        self._url, self._state, self._slot = log, state, slot
        self._plans: tuple[Plan, ...] = ()
        self._resources: dict[type[Any], Any] = {}
        self._log: Log | None = None
        self._host: ProcessHost | None = None
        self._hosting: Hosting | None = None
        self._tables: Tables | None = None
        self._endpoint: Endpoint | None = None
        self._http = "127.0.0.1:0"

    @property
    def runtime(self) -> Runtime:
        """What runs it now.

        Raises:
            NotStarted: nothing does.
        """
        return self._running()

    @property
    def address(self) -> str:
        """`host:port` of this process's HTTP endpoint.

        Raises:
            NotStarted: it has none yet.
        """
        if self._endpoint is None:
            raise NotStarted(self.name)
        return self._endpoint.address

    async def ask(
        self, command: Command[R, X], /, *, timeout: timedelta = timedelta(seconds=5), id: str | None = None
    ) -> R | X:
        """Send a command to its destination and wait for its reply or refusal.

        `id` makes a repeat harmless: the same id gets the same answer, and nothing happens twice.

        Raises:
            InputFailed: the handler raised; the message is in the dead letters.
            AskTimedOut: no answer came in time; the outcome is unknown. Ask again with the same `id`.
            NotStarted: the service does not run.
        """
        answer = await self._running().ask(command.__to__, key_of(command), command, id=id, timeout=timeout)
        return cast("R | X", answer)

    def table(self, table: Table[K, V], /) -> Queryable[K, V]:
        """A view's table to look into, wherever its partitions are.

        Raises:
            NotStarted: the service does not run.
        """
        if self._tables is None:
            raise NotStarted(self.name)
        return self._tables.queryable(table)

    async def __aenter__(self) -> Self:
        if self._hosting is not None:
            raise ValueError(f"{self.name} runs already")
        await self._open_resources()
        try:
            await asyncio.to_thread(self._start)
        except BaseException:
            await self._close_resources()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.to_thread(self._stop)
        await self._close_resources()

    async def _open_resources(self) -> None:
        """Nothing to open here."""

    async def _close_resources(self) -> None:
        """Nothing to close here."""

    def _running(self) -> Hosting:
        if self._hosting is None:
            raise NotStarted(self.name)
        return self._hosting

    def _start(self) -> None:
        url = self._url or os.environ.get(LOG_VARIABLE)
        if not url:
            raise BadLogUrl("", f"{self.name} was given no log: Service(…, log=…), --log, or the variable {LOG_VARIABLE}")
        slot = self._slot or os.environ.get(SLOT_VARIABLE, "0")
        self._log = open_log(url)
        try:
            self._endpoint = Endpoint(self._http)
            host = self._host = make_host(
                self.name, self._log, slot=slot, state=self._state, address=self._endpoint.address, resources=self._resources
            )
            self._hosting = Hosting(host, self._plans)
            self._hosting.start()
            self._tables = Tables(self._hosting)
            self._endpoint.serve(self._hosting, self._tables)
        except BaseException:
            self._close()
            raise

    def _stop(self) -> None:
        try:
            if self._hosting is not None:
                self._hosting.stop(DRAIN)
        finally:
            self._close()

    def _close(self) -> None:
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            endpoint.close()
        if self._tables is not None:
            self._tables.close()
        host, self._host = self._host, None
        if host is not None:
            host.close()
        opened, self._log = self._log, None
        if opened is not None:
            opened.close()
        self._hosting, self._tables = None, None


class Service(_Asker):
    """Components of one process, on one log.

        service = Service("shop", components=[store, Stock, Totals, mailer, PlaceOrder])
        async with service:
            await service.ask(ReserveStock(sku="a", quantity=1))
    """

    def __init__(
        self,
        name: str,
        /,
        *,
        components: Sequence[Component],
        log: str | None = None,
        state: str | None = None,
        slot: str | None = None,
        http: str = "127.0.0.1:0",
    ) -> None:
        """`log`: its URL; None: the variable SAGALOG_LOG when it starts. `state`: a folder for what can be rebuilt.

        `slot`: this process's stable name among the service's processes; None: the variable SAGALOG_SLOT, else 0. `http`: where
        health, metrics and tables are served; port 0: any free one.

        Raises:
            ValueError: two components have one name.
        """
        super().__init__(name, log, state, slot)
        self._plans = tuple(component.__component__() for component in components)
        names = [plan.name for plan in self._plans]
        for twice in sorted({one for one in names if names.count(one) > 1}):
            raise ValueError(f"{name} has two components named {twice!r}: their topics and groups would be the same")
        self._http = http
        self._providers: dict[type[Any], Callable[[], Any]] = {}
        self._open: list[Any] = []

    def provide(self, provider: Callable[[], T], /) -> Callable[[], T]:
        """Give handlers a resource by its type, which is the annotation of what `provider` returns.

            @service.provide
            async def pool() -> AsyncIterator[Pool]:
                async with Pool() as pool:
                    yield pool

        A plain function gives the value; an async generator also closes it when the service stops.

        Raises:
            TypeError: the provider has no return annotation.
        """
        returned = get_type_hints(provider).get("return")
        if returned is None:
            raise TypeError(f"{provider.__qualname__} says not what it provides: annotate what it returns")
        wanted = get_args(returned)[0] if get_origin(returned) in (AsyncIterator, AsyncGenerator) else returned
        self._providers[wanted] = provider
        return provider

    async def settled(self, *, timeout: timedelta = timedelta(seconds=30)) -> None:
        """Wait until nothing is under way in this process: inboxes read, handlers done, views caught up.

        Timers and retries that are not due do not count.

        Raises:
            TimeoutError: something was still under way.
        """
        hosting = self._running()
        async with asyncio.timeout(timeout.total_seconds()):
            quiet = 0
            while quiet < 2:
                quiet = quiet + 1 if await asyncio.to_thread(hosting.is_settled) else 0
                await asyncio.sleep(0.01)

    async def serve(self, *, ready: Callable[[], None] | None = None) -> None:
        """Run until SIGTERM or SIGINT, then finish what is under way and leave."""
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        async with self:
            log.info("service_started", service=self.name, address=self.address, slot=self.runtime.host.slot)
            if ready is not None:
                ready()
            await stopped.wait()
            log.info("service_stopping", service=self.name)

    async def _open_resources(self) -> None:
        for wanted, provider in self._providers.items():
            made = provider()
            if hasattr(made, "__anext__"):
                self._open.append(made)
                made = await anext(made)
            self._resources[wanted] = made

    async def _close_resources(self) -> None:
        for made in reversed(self._open):
            async for _ in made:
                raise RuntimeError("a provider yields once: what follows its yield closes the resource")
        self._open.clear()
        self._resources.clear()


class Client(_Asker):
    """A process that hosts nothing and asks: a web front end, a script.

        async with Client(log="kafka://localhost:9092") as client:
            await client.ask(ReserveStock(sku="a", quantity=1))
    """

    def __init__(self, *, log: str | None = None, name: str = "client") -> None:
        """`log`: its URL; None: the variable SAGALOG_LOG. `name`: answers come back on the topic `<name>.replies`."""
        super().__init__(name, log, None, None)

