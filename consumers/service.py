"""Host components in a process: a service, or a client that hosts nothing.

A service is one member of the consumer groups of its components. As many processes as there are partitions share the
work; each needs its own `slot`, a stable name, because it names the process's transactions (K5). `sagalog run
--processes N` counts them.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Coroutine, Generator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, get_args, get_origin, get_type_hints

import structlog

from consumers.blocking import Blocking, blocking
from consumers.errors import ComponentUnknown, HttpUnavailable
from consumers.queries import Queryable, Tables
from consumers.table import Table
from eventstore.component import Component, Plan, Runtime
from eventstore.errors import BadLogUrl, EventStoreError
from eventstore.hosting import Hosting, make_host, stop_or_leave
from eventstore.log import open_log
from eventstore.offload import to_the_end
from schemas import Command, Refusal, Reply, key_of

if TYPE_CHECKING:
    from consumers.http import Endpoint

log = structlog.get_logger()

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
R = TypeVar("R", bound=Reply | None)
X = TypeVar("X", bound=Refusal)

LOG_VARIABLE = "SAGALOG_LOG"
SLOT_VARIABLE = "SAGALOG_SLOT"
DRAIN = timedelta(seconds=30)
"""How long what is under way may take when a service stops."""
READY_SECONDS = 0.05
"""How often it is looked whether a service is ready."""
SETTLED_SECONDS = 0.005
ANY_PORT = "127.0.0.1:0"


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
        self._elsewhere: tuple[Plan, ...] = ()
        self._resources: dict[type[Any], Any] = {}
        self._http = ANY_PORT
        self._drain = DRAIN
        self._opened = ExitStack()
        self._hosting: Hosting | None = None
        self._tables: Tables | None = None
        self._is_entered = False

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
        return self._running().host.address

    async def ask(
        self, command: Command[R, X], /, *, timeout: timedelta = timedelta(seconds=5), id: str | None = None
    ) -> R | X:
        """Send a command to its destination and wait for its reply or refusal.

        `id` makes a repeat harmless: the same id gets the same answer, and nothing happens twice.

        Raises:
            InputFailed: the handler raised; the message is in the dead letters.
            AskTimedOut: no answer came in time; the outcome is unknown. Ask again with the same `id`.
            LogClosed: the service stopped before the answer came; the outcome is unknown.
            MessageTooLarge: the command does not fit into a record.
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

    def not_ready(self) -> dict[str, str]:
        """Why this process does not serve everything it was assigned yet: part → reason. Empty: it does.

        Raises:
            NotStarted: it does not run.
        """
        running, tables = self._running(), self._tables
        return {**running.not_ready(), **(tables.problems() if tables is not None else {})}

    async def __aenter__(self) -> Self:
        if self._is_entered:
            raise ValueError(f"{self.name} runs already")
        self._is_entered = True
        try:
            await self._open_resources()
            await to_the_end(self._start)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            await to_the_end(self._stop)
        finally:
            self._is_entered = False
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
            raise BadLogUrl(
                "", f"{self.name} was given no log: Service(…, log=…), --log, or the variable {LOG_VARIABLE}"
            )
        slot = self._slot or os.environ.get(SLOT_VARIABLE, "0")
        opened = self._opened
        log_ = open_log(url)
        opened.callback(log_.close)
        endpoint = _endpoint(self._http)
        opened.callback(endpoint.close)
        host = make_host(
            self.name, log_, slot=slot, state=self._state, address=endpoint.address, resources=self._resources
        )
        opened.callback(host.close)
        hosting = Hosting(host, self._plans, elsewhere=self._elsewhere)
        tables = Tables(hosting)
        opened.callback(tables.close)
        hosting.start()
        opened.callback(stop_or_leave, hosting, self._drain, opened)
        endpoint.serve(hosting, tables)
        self._hosting, self._tables = hosting, tables

    def _stop(self) -> None:
        try:
            self._opened.close()
        finally:
            self._hosting, self._tables = None, None


def _endpoint(bind: str) -> Endpoint:
    from consumers.http import Endpoint  # here, for it takes a tenth of the time that importing services takes

    try:
        return Endpoint(bind)
    except (OSError, ValueError) as error:
        raise HttpUnavailable(bind, str(error)) from error


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

        `slot`: this process's stable name among the service's processes; None: the variable SAGALOG_SLOT, else 0.
        `http`: where health, metrics and tables are served; port 0: any free one.

        Raises:
            ValueError: two components have one name.
            TypeError: something is no component.
        """
        super().__init__(name, log, state, slot)
        self._plans = tuple(_plan(name, component) for component in components)
        names = [plan.name for plan in self._plans]
        for twice in sorted({one for one in names if names.count(one) > 1}):
            raise ValueError(f"{name} has two components named {twice!r}: their topics and groups would be the same")
        self._http = http
        self._providers: dict[type[Any], Callable[[], Any]] = {}
        self._open: list[Any] = []

    @property
    def log(self) -> str | None:
        """The URL of its log, as far as its definition or `configure` says."""
        return self._url

    @property
    def components(self) -> tuple[str, ...]:
        """The names of what it hosts, in the order they were given."""
        return tuple(plan.name for plan in self._plans)

    def configure(
        self,
        *,
        log: str | None = None,
        state: str | None = None,
        slot: str | None = None,
        http: str | None = None,
        drain: timedelta | None = None,
        only: Collection[str] = (),
    ) -> None:
        """Override, before it starts, what its definition says: whoever runs a service knows where. None: as it is.

        `only`: host these components and no others; other processes of the service host the rest. A view is named with
        or without its version. `drain`: how long what is
        under way may take when it stops.

        Raises:
            ComponentUnknown: `only` names what the service does not have.
            ValueError: it runs already.
        """
        if self._is_entered:
            raise ValueError(f"{self.name} runs already: configure it before")
        for one in only:
            if not any(_is_named(plan, one) for plan in self._plans):
                raise ComponentUnknown(self.name, one, self.components)
        self._url, self._state, self._slot = log or self._url, state or self._state, slot or self._slot
        self._http, self._drain = http or self._http, self._drain if drain is None else drain
        here = tuple(plan for plan in self._plans if not only or any(_is_named(plan, one) for one in only))
        self._elsewhere += tuple(plan for plan in self._plans if plan not in here)
        self._plans = here

    def blocking(self) -> Blocking[Self]:
        """The same for programs without asyncio: `with service.blocking() as shop: shop.ask(…)`."""
        return blocking(self)

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

        A message on its way from one component to another counts, wherever it is. Timers and retries that are not due
        do not count, and other processes of the service are not asked.

        Raises:
            TimeoutError: something was still under way.
            NotStarted: the service does not run.
        """
        async with asyncio.timeout(timeout.total_seconds()):
            await _until(lambda: self._running().is_settled(), SETTLED_SECONDS)

    async def ready(self, *, timeout: timedelta = timedelta(seconds=30)) -> None:
        """Wait until this process serves everything it was assigned.

        Raises:
            TimeoutError: it did not within `timeout`; `not_ready` says why.
            NotStarted: the service does not run.
        """
        async with asyncio.timeout(timeout.total_seconds()):
            await _until(lambda: not self.not_ready(), READY_SECONDS)

    async def serve(self, *, ready: Callable[[], None] | None = None) -> None:
        """Run until SIGTERM or SIGINT, then finish what is under way and leave. A second SIGINT ends it at once.

        `ready` is called when the process serves everything it was assigned.
        """
        stopped = asyncio.Event()
        with _stopped_by_signals(stopped):
            async with self:
                log.info("service_started", service=self.name, address=self.address, slot=self.runtime.host.slot)
                await _first(self._tell_when_ready(ready), stopped.wait())
                log.info("service_stopping", service=self.name, slot=self.runtime.host.slot)
        log.info("service_stopped", service=self.name)

    async def _tell_when_ready(self, ready: Callable[[], None] | None) -> None:
        """Tell it once, and wait for ever."""
        await _until(lambda: not self.not_ready(), READY_SECONDS)
        log.info("service_ready", service=self.name, address=self.address, slot=self.runtime.host.slot)
        if ready is not None:
            ready()
        await asyncio.Event().wait()

    async def _open_resources(self) -> None:
        for wanted, provider in self._providers.items():
            made = provider()
            if hasattr(made, "__anext__"):
                self._open.append(made)
                made = await anext(made)
            self._resources[wanted] = made

    async def _close_resources(self) -> None:
        failures: list[Exception] = []
        while self._open:
            try:
                async for _ in self._open.pop():
                    raise RuntimeError("a provider yields once: what follows its yield closes the resource")
            except Exception as error:  # noqa: BLE001 - the others are closed first, then it is raised
                failures.append(error)
        self._resources.clear()
        if failures:
            raise failures[0]


class Client(_Asker):
    """A process that hosts nothing and asks: a web front end, a script.

    async with Client(log="kafka://localhost:9092") as client:
        await client.ask(ReserveStock(sku="a", quantity=1))
    """

    def __init__(self, *, log: str | None = None, name: str = "client") -> None:
        """`log`: its URL; None: the variable SAGALOG_LOG. `name`: answers come back on the topic `<name>.replies`."""
        super().__init__(name, log, "memory://", None)

    def blocking(self) -> Blocking[Self]:
        """The same for programs without asyncio: `with Client(…).blocking() as client: client.ask(…)`."""
        return blocking(self)


def _is_named(plan: Plan, name: str) -> bool:
    """Whether it is the plan's name, with or without a version."""
    stem, _, version = plan.name.rpartition(".v")
    return plan.name == name or (version.isdecimal() and stem == name)


def _plan(service: str, component: Component) -> Plan:
    described = getattr(component, "__component__", None)
    if described is None:
        raise TypeError(
            f"{service} cannot host {component!r}: a component is an EventStore, a Worker, a Reactor, a Participant, "
            "or the class of an Aggregate, a View or a Saga"
        )
    plan: Plan = described()
    return plan


async def _until(condition: Callable[[], bool], pause: float) -> None:
    """Look at a condition of other threads, on another thread because looking may block, until it is true."""
    while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - loops tell nobody that they are idle
        await asyncio.sleep(pause)


async def _first(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Run them side by side until one is over; the others are cancelled."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _stopped_by_signals(stopped: asyncio.Event) -> Generator[None]:
    """SIGTERM and SIGINT set the event. After the first, SIGINT ends the process: that loses nothing but time."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopped.set()
        loop.add_signal_handler(signal.SIGINT, os._exit, 128 + signal.SIGINT)

    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
