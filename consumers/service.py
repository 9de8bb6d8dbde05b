"""Host components in a process.

A service is one member of the consumer groups of its components. As many processes as there are partitions share the
work; each needs its own `slot`, a stable name, because it names the process's transactions (K5). `sagalog run
--processes N` counts them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any, Self, TypeVar

import structlog

from consumers.blocking import Blocking, blocking
from consumers.errors import ComponentUnknown
from consumers.process import ANY_PORT, LOG_VARIABLE, Process
from consumers.signals import stopped_by_signals
from eventstore.clock import seconds_of
from eventstore.component import Component, Plan
from schemas.names import check_name
from schemas.option_values import DURATION, FLAG, Kind, check_value
from schemas.options import knows_its_options

log = structlog.get_logger()

T = TypeVar("T")

HTTP = Kind((str,), "host:port", f"{ANY_PORT!r}")
READY_SECONDS = 0.05
"""How often it is looked whether a service is ready."""
SETTLED_SECONDS = 0.005
WAITING_SECONDS = 3.0
"""How often a process that serves says what it waits for until it is ready."""


class Service(Process):
    """Components of one process, on one log.

    service = Service("shop", components=[store, Stock, Totals, mailer, PlaceOrder])
    async with service:
        await service.ask(ReserveStock(sku="a", quantity=1))

    Entered, its loops run; what it is assigned is taken after that. So what forbids to take it (another service runs
    the processor, a position is gone, a permission is missing) is raised there only if it shows that soon. Later
    `ready`, `not_ready` and `/ready` say it, the loop tries again, and callers get `AskTimedOut` with the reason.
    Left, nobody waits: each caller has its answer, or `LogClosed`.
    """

    _log_is_given_by = f"Service(…, log=…), --log or the variable {LOG_VARIABLE}"

    @knows_its_options
    def __init__(
        self,
        name: str,
        /,
        *,
        components: Sequence[Component],
        log: str | None = None,
        state: str | None = None,
        slot: str | None = None,
        http: str = ANY_PORT,
        registry: str | None = None,
        standby: bool = False,
    ) -> None:
        """`log`: its URL; None: the variable SAGALOG_LOG when it starts. `state`: a folder for what can be rebuilt.

        `slot`: this process's stable name among the service's processes; None: the variable SAGALOG_SLOT, else 0.
        `http`: where health, metrics and tables are served; port 0: any free one.
        `registry`: the URL of a Confluent-compatible schema registry; None: the variable SAGALOG_REGISTRY, else the
        registry in the log. `standby`: also follow the partitions of the processors that other processes of the service
        own, so that they are taken over in a moment when one dies; each such process reads and keeps everything.

        Raises:
            ValueError: two components have one name, or a name cannot be one (`schemas.names`).
            TypeError: something is no component, or an option is of another type.
        """
        super().__init__(name, log, state, slot)
        if hasattr(components, "__component__") or not hasattr(components, "__iter__"):
            raise TypeError(f"{name}: components={components!r} is no list: give components=[…]")
        check_value(name, "http", http, HTTP)
        check_value(name, "standby", standby, FLAG)
        self._plans = tuple(_plan(name, component) for component in components)
        names = [plan.name for plan in self._plans]
        for twice in sorted({one for one in names if names.count(one) > 1}):
            raise ValueError(f"{name} has two components named {twice!r}: their topics and groups would be the same")
        self._http, self._registry, self._standby = http, registry, standby

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
        standby: bool | None = None,
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
        check_value(self.name, "drain", drain, DURATION, or_none=True)
        for one in only:
            if not any(_is_named(plan, one) for plan in self._plans):
                raise ComponentUnknown(self.name, one, self.components)
        self._url, self._state, self._slot = log or self._url, state or self._state, slot or self._slot
        self._http, self._drain = http or self._http, self._drain if drain is None else drain
        self._standby = self._standby if standby is None else standby
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
        self._providers.add(provider)
        return provider

    async def settled(self, *, timeout: timedelta = timedelta(seconds=30)) -> None:
        """Wait until nothing is under way in this process: inboxes read, handlers done, views caught up.

        A message on its way from one component to another counts, wherever it is. Timers and retries that are not due
        do not count, and other processes of the service are not asked.

        Raises:
            ViewStopped: a view's handler failed, so that it will not catch up.
            TimeoutError: something was still under way; it says where, and what `not_ready` says.
            NotStarted: the service does not run.
        """
        busy = ""

        def is_settled() -> bool:
            nonlocal busy
            for stopped in self._stopped_views():
                raise stopped
            busy = self._running().busy_loop()
            return not busy

        try:
            async with asyncio.timeout(seconds_of(timeout)):
                await _until(is_settled, SETTLED_SECONDS)
        except TimeoutError:
            why = _told(self.not_ready()) or f"{busy or 'the log'} has something under way"
            raise TimeoutError(f"{self.name} is not settled after {timeout.total_seconds():g} s: {why}") from None

    async def ready(self, *, timeout: timedelta = timedelta(seconds=30)) -> None:
        """Wait until this process serves everything it was assigned.

        Raises:
            TimeoutError: it did not within `timeout`; it says what `not_ready` says.
            NotStarted: the service does not run.
        """
        try:
            async with asyncio.timeout(seconds_of(timeout)):
                await _until(lambda: not self.not_ready(), READY_SECONDS)
        except TimeoutError:
            why = _told(self.not_ready()) or "it was not until just now"
            raise TimeoutError(f"{self.name} is not ready after {timeout.total_seconds():g} s: {why}") from None

    async def serve(self, *, ready: Callable[[], None] | None = None) -> None:
        """Run until SIGTERM or SIGINT, then finish what is under way and leave. A second SIGINT ends it at once.

        `ready` is called when the process serves everything it was assigned.
        """
        stopped = asyncio.Event()
        with stopped_by_signals(stopped):
            async with self:
                log.info("service_started", service=self.name, address=self.address, slot=self.runtime.host.slot)
                await _first(self._tell_when_ready(ready), stopped.wait())
                log.info("service_stopping", service=self.name, slot=self.runtime.host.slot)
        log.info("service_stopped", service=self.name)

    async def _tell_when_ready(self, ready: Callable[[], None] | None) -> None:
        """Tell it once, until then now and then why not yet, and wait for ever."""
        while not await self._is_soon_ready():
            if why := _told(self.not_ready()):
                log.info("service_waits", service=self.name, slot=self.runtime.host.slot, why=why)
        log.info("service_ready", service=self.name, address=self.address, slot=self.runtime.host.slot)
        if ready is not None:
            ready()
        await asyncio.Event().wait()

    async def _is_soon_ready(self) -> bool:
        try:
            async with asyncio.timeout(WAITING_SECONDS):
                await _until(lambda: not self.not_ready(), READY_SECONDS)
        except TimeoutError:
            return False
        return True


def _told(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{part}: {reason}" for part, reason in reasons.items())


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
    if not isinstance(component, type) and isinstance(getattr(described, "__self__", None), type):
        raise TypeError(
            f"{service} hosts classes of this kind, and got an object: give {type(component).__name__} itself"
        )
    plan: Plan = described()
    for processor in plan.processors:  # of those that are no class of ours, such as a StateProcessor
        check_name(f"processor {processor.name!r} of {service}", processor.name, "stock")
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
