"""Run components in this process: one unit for all their processors, a thread for each loop, and answers to their
callers.

`Hosting` is what a service, or a store used alone, is made of. Starting and stopping block; services call them from a
thread.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from uuid import uuid4

import structlog

from eventstore.component import ASK_PATIENCE, Component, Host, Plan, Progressing
from eventstore.content import digest_of
from eventstore.destinations import Reachable, check_destinations
from eventstore.errors import EventStoreError
from eventstore.log import open_log
from eventstore.log.drift import warn_of_drift
from eventstore.log.partition import partition_of
from eventstore.loops import LoopThread
from eventstore.offload import to_the_end
from eventstore.process_host import make_host
from eventstore.processor.append_call import WRITES, Answer
from eventstore.processor.asking import Asking
from eventstore.processor.importing import IMPORT_MESSAGES
from eventstore.processor.index import StreamIndex
from eventstore.processor.port import AnyProcessor, Joinable, keeps_states
from eventstore.processor.snapshotting import SNAPSHOT_MESSAGES
from eventstore.processor.standby import Standby
from eventstore.processor.topics import inbox_of, topics_of
from eventstore.processor.unit import Unit
from eventstore.settling import busy_loop
from eventstore.subject_keys.protection import Protection
from schemas import Message
from schemas.error_text import error_reason

log = structlog.get_logger()

_DEFAULT_THRESHOLD = gc.get_threshold()
START_SECONDS = 30.0
"""How long starting may take before it is an error."""
GRACE_SECONDS = 5.0
"""How long after its deadline a loop may still end by itself."""
STARTING = "starting, or taking partitions (of a process that was killed: when its session has ended)"


class StartFailed(EventStoreError):
    """A loop did not start in time; the log says why it waits."""

    is_retryable = True

    def __init__(self, loop: str, seconds: float) -> None:
        super().__init__(f"{loop} did not start within {seconds:g} s: check that the log is reachable, and start again")
        self.loop, self.seconds = loop, seconds


class Hosting:
    """Plans at work. Meets the `Runtime` protocol."""

    def __init__(
        self,
        host: Host,
        plans: Sequence[Plan],
        *,
        elsewhere: Sequence[Plan] = (),
        used: Sequence[Plan] = (),
        standby: bool = False,
    ) -> None:
        """`elsewhere`: what other processes of the service host; its topics and types are made known here too.
        `used`: what other services host and this process calls; their topics are theirs to make.
        `standby`: follow the partitions of processors that other processes own, too."""
        self.host, self.plans = host, tuple(plans)
        self._known, self._used = (*plans, *elsewhere), tuple(used)
        self._bound: list[Plan] = []
        processors = self._processors = joined(processor for plan in plans for processor in plan.processors)
        self._partitions: dict[str, int] = {}
        self._unit: LoopThread | None = None
        self._is_stopping = False
        others = [inbox_of(processor.name) for plan in used for processor in plan.processors]
        self.asking = Asking(host, self._current_unit, self._refused, others)
        self._reachable = Reachable(self.plans, host.log.url)
        self._beside: list[LoopThread] = []
        """The thread of the standby, for which nobody waits."""
        if processors:
            followed = Standby(host, host.service, processors, self._is_unit_ready) if standby else None
            self._beside += [] if followed is None else [LoopThread(lambda: followed, host.clock)]
            self._unit = LoopThread(
                lambda: Unit(host, processors, moved=self.asking.send, standby=followed), host.clock
            )
        loops = [partial(make, host) for plan in plans for make in plan.loops]
        self.threads = [LoopThread(lambda: self.asking, host.clock)]
        self.threads += [self._unit] if self._unit is not None else []
        self.threads += [LoopThread(make, host.clock) for make in loops]
        self.protection = Protection(host, self.threads.append)

    def start(self) -> None:
        """Create topics, register schemas, start the loops; returns when each has opened.

        Raises:
            EventStoreError: what kept the first loop from opening; everything is stopped again.
        """
        collect_less_often()
        try:
            threads = tuple(self.threads)
            self._prepare()
            for thread in (*threads, *self._beside):
                thread.start()
            for thread in threads:
                self._wait_opened(thread)
        except BaseException:
            self.stop(timedelta())
            raise

    def _prepare(self) -> None:
        check_destinations(self._known, self.host.log.url)
        processors = [processor for plan in self._known for processor in plan.processors]
        topics = [topic for processor in processors for topic in topics_of(processor, self.host.service)]
        topics += [topic for plan in self._known for topic in plan.topics]
        self.host.log.create(topics)
        warn_of_drift(self.host.log, [topic.name for topic in topics])
        described = self.host.log.describe([inbox_of(processor.name) for processor in self._processors])
        self._partitions = {name: found.partitions for name, found in described.items()}
        called = (*self._known, *self._used)
        for plan in called:
            self.host.serde.register(_messages(plan))
        self.protection.open_for(message for plan in called for message in _messages(plan))
        for plan in called:
            if plan.bind is not None:
                plan.bind(self)
                self._bound.append(plan)

    def _wait_opened(self, thread: LoopThread) -> None:
        if not thread.wait_opened(START_SECONDS):
            raise thread.error or StartFailed(thread.loop.name, START_SECONDS)

    def stop(self, drain: timedelta) -> bool:
        """Stop all loops, giving what is under way until `drain` from now. The log stays open.

        Returns: whether all have ended. One that hangs (in a call of an engine) is left behind and told in the log: do
        not close what it uses.
        """
        self._is_stopping = True
        deadline = self.host.clock.monotonic() + drain.total_seconds()
        answers, *others = *self.threads, *self._beside
        have_ended = self._end(others, deadline)
        have_ended &= self._end([answers], deadline)  # the last one, so that what the others pass on is still sent
        self.asking.close()
        self.protection.close()
        for plan in self._bound:
            if plan.bind is not None:
                plan.bind(None)
        return have_ended

    def _end(self, threads: Sequence[LoopThread], deadline: float) -> bool:
        for thread in threads:
            thread.ask_to_stop(deadline)
        latest = deadline + GRACE_SECONDS
        hanging = [thread for thread in threads if not thread.join(max(0.0, latest - self.host.clock.monotonic()))]
        for thread in hanging:
            log.error("loop_hangs", service=self.host.service, loop=thread.loop.name)
        return not hanging

    def not_ready(self) -> dict[str, str]:
        """Why this process is not ready: loop name → reason. Empty: it is."""
        if self._is_stopping:
            return {"process": "stopping"}
        reasons: dict[str, str] = {}
        for thread in self.threads:
            if thread.error is not None:
                reasons[thread.loop.name] = error_reason(thread.error)
            elif not thread.is_ready():
                told = thread.loop.progress() if isinstance(thread.loop, Progressing) else ""
                reasons[thread.loop.name] = self.host.log.trouble() or told or STARTING
        return reasons

    def busy_loop(self) -> str:
        """Where something is under way here, messages from one loop to another included; empty: nowhere. Blocks."""
        return "process" if self._is_stopping else busy_loop(self.threads)

    def metrics(self) -> dict[str, Mapping[str, float]]:
        """Each loop's metrics, by its name."""
        threads = (*self.threads, *self._beside)
        return {thread.loop.name: {**_metrics(thread), **thread.loop.metrics()} for thread in threads}

    async def ask(
        self, to: str, key: str, message: Message, *, id: str | None = None, timeout: timedelta = ASK_PATIENCE
    ) -> Message | None:
        self._reachable.check(to, message)
        [message] = await self.protection.protect([message])
        content = 0 if id is None else await self._content(message)
        return (await self.asking.ask(to, key, message, id=id, timeout=timeout, content=content))[0]

    async def _content(self, message: Message) -> int:
        [fixed] = await self.protection.fixed([message])
        return digest_of(fixed, self.host.serde)

    async def ask_positioned(
        self, to: str, key: str, message: Message, *, id: str | None = None, timeout: timedelta = ASK_PATIENCE
    ) -> Answer:
        return await self.asking.ask(to, key, message, id=id, timeout=timeout)

    def index(self, processor: str, key: str) -> StreamIndex | None:
        unit = self._current_unit()
        if unit is None:
            return None
        count = self._partitions.get(inbox_of(processor))
        return None if count is None else unit.index(processor, partition_of(key, count), key)

    def _is_unit_ready(self) -> bool:
        return self._unit is not None and self._unit.is_ready()

    def _refused(self, processor: str) -> str:
        failure = None if self._unit is None else self._unit.failure
        if failure is None or all(each.name != processor for each in self._processors):
            return ""
        return f"; this process does not serve it: {error_reason(failure)}"

    def _current_unit(self) -> Unit | None:
        if self._unit is None or self._unit.error is not None:
            return None
        unit = self._unit.loop
        assert isinstance(unit, Unit), "made above"
        return unit


def _messages(plan: Plan) -> list[type[Message]]:
    of_kernel = (*WRITES, *IMPORT_MESSAGES, *SNAPSHOT_MESSAGES) if plan.processors else ()
    return [*of_kernel, *plan.messages, *(message for one in plan.processors for message in one.messages)]


def _metrics(thread: LoopThread) -> dict[str, float]:
    return {"loop_up": float(thread.error is None), "loop_failures_total": float(thread.failures)}


def collect_less_often() -> None:
    """Let Python look for cyclic garbage every 50,000 objects instead of every 700, unless the program chose otherwise.

    A batch makes thousands of objects that live until its commit and form no cycles; looking at them again and again
    took up to a fifth of a view's time.
    """
    if gc.get_threshold() == _DEFAULT_THRESHOLD:
        gc.set_threshold(50_000, 20, 50)


def joined(processors: Iterable[AnyProcessor]) -> list[AnyProcessor]:
    """The processors, those of one name made one.

    Raises:
        ValueError: two of one name are not parts of one processor, or one lacks what its journal needs.
    """
    found: dict[str, AnyProcessor] = {}
    for processor in processors:
        wanted = ("encode_state", "decode_state") if keeps_states(processor) else ("evolve",)
        for missing in (name for name in wanted if not hasattr(processor, name)):
            raise ValueError(f"processor {processor.name}: journal={processor.journal!r} needs a method {missing}")
        other = found.get(processor.name)
        if other is None:
            found[processor.name] = processor
        elif isinstance(other, Joinable):
            found[processor.name] = other.joined(processor)
        else:
            raise ValueError(f"two components are processors named {processor.name!r}: their topics would be the same")
    return list(found.values())


@asynccontextmanager
async def run_alone(component: Component, log_url: str, *, registry: str | None = None) -> AsyncGenerator[Hosting]:
    """Run one component in this process, on a log of its own. `registry`: see `make_host`."""
    plan, opened = component.__component__(), ExitStack()

    def start() -> Hosting:
        log_ = open_log(log_url)
        opened.callback(log_.close)
        host = make_host(plan.name, log_, slot=uuid4().hex[:8], registry=registry)
        opened.callback(host.close)
        hosting = Hosting(host, [plan])
        hosting.start()
        opened.callback(stop_or_leave, hosting, timedelta(seconds=10), opened)
        return hosting

    try:
        yield await to_the_end(start)
    finally:
        await to_the_end(opened.close)


def stop_or_leave(hosting: Hosting, drain: timedelta, opened: ExitStack) -> None:
    """Stop; if a loop hangs, leave open what was opened before, for it may be using it."""
    if not hosting.stop(drain):
        opened.pop_all()
