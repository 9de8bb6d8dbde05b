"""Run handlers: a thread with an asyncio loop, and up to `concurrency` runners on it.

The worker's loop hands over deliveries in batches and takes finished ones in batches; nothing crosses threads per
record. A runner takes one head of a lane after another and awaits its handler; one that never suspends costs no task
and no turn of the event loop. Handlers share their runner's context variables.

An attempt ends in one of four ways: done (acknowledged when the log has what the handler's answer wrote), again later
(its lane waits), given up (an answer or a dead letter), or dropped, when the partition went to another owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from math import inf
from threading import Event, Thread

from consumers.answering import Waits
from consumers.delivery import Delivery, Share
from consumers.errors import AttemptCancelled, AttemptTimedOut, Permanent
from consumers.handlers import Bound
from consumers.lanes import Lanes
from consumers.outcomes import Outcomes
from consumers.runner import Runner
from consumers.work import Work
from eventstore.raised import FROM_OUTSIDE
from schemas.errors import SchemaError

TURN = 100
"""After so many deliveries without suspending, a runner lets the event loop turn."""
NO_WAITS: Waits = ()


class Dispatch:
    """Runs the handlers of one worker.

    Methods are for the worker's loop, those with an underscore for the handlers' thread.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._main, name=f"{work.name}-handlers", daemon=True)
        self._lanes = Lanes()
        self._runners: list[Runner] = []
        self._idle: list[Runner] = []
        self._deadlines: dict[float, dict[Runner, float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._drains: list[tuple[Collection[Share], Event]] = []
        self.outcomes = Outcomes(work, self._lanes, self._arm)

    # For the worker's loop.

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, deliveries: list[Delivery]) -> None:
        """Take over deliveries."""
        self._loop.call_soon_threadsafe(self._accept, deliveries)

    def tick(self) -> None:
        """Look at the clock: something may be due."""
        if self._timer_at <= self._work.clock.monotonic():
            self._loop.call_soon_threadsafe(self._tick)

    @property
    def next_due(self) -> float:
        """When `tick` has something to do, by the worker's clock."""
        return self._timer_at

    def close(self, shares: Collection[Share]) -> Event:
        """Start nothing of these any more. The event is set when nothing of them runs."""
        ended = Event()
        for share in shares:
            share.is_closed = True
        self._loop.call_soon_threadsafe(self._drain, shares, ended)
        return ended

    def drop(self, shares: Collection[Share]) -> None:
        """Cancel what runs of these."""
        self._loop.call_soon_threadsafe(self._drop, shares)

    def delayed(self) -> int:
        """How many deliveries wait for an attempt that is not due, or behind one."""
        return self._lanes.delayed(self._work.clock.monotonic())

    def stop(self, seconds: float) -> None:
        """End the thread; what still runs is cancelled."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end)
            self._thread.join(seconds)

    # On the handlers' thread.

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._cancel_all())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        except BaseException as error:  # noqa: BLE001 - raised again by the worker's loop
            self.outcomes.failure = self.outcomes.failure or error
        finally:
            self._loop.close()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop.stop()

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for runner in self._runners:
            runner.is_dropped = True
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)

    def _accept(self, deliveries: list[Delivery]) -> None:
        self._lanes.add(deliveries)
        self._wake()

    def _wake(self) -> None:
        waiting = len(self._lanes.ready)
        while waiting and self._idle:
            idle = self._idle.pop().idle
            if idle is not None and not idle.done():
                idle.set_result(None)
                waiting -= 1
        while waiting and len(self._runners) < self._work.concurrency:
            self._spawn()
            waiting -= 1

    def _spawn(self) -> None:
        runner = Runner()
        self._runners.append(runner)
        runner.task = self._loop.create_task(self._run(runner), name=f"{self._work.name}-{len(self._runners)}")
        runner.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.outcomes.failure = self.outcomes.failure or error

    async def _run(self, runner: Runner) -> None:
        while True:
            delivery = self._take()
            if delivery is None:
                await self._rest(runner)
                continue
            runner.delivery = delivery
            await self._attempt(runner, delivery)
            runner.delivery = None
            if runner.is_late or runner.is_dropped:
                runner.clear()
            if self._drains:
                self._drained()
            runner.turns += 1
            if runner.turns >= TURN:
                runner.turns = 0
                await asyncio.sleep(0)

    async def _rest(self, runner: Runner) -> None:
        runner.turns = 0
        runner.idle = self._loop.create_future()
        self._idle.append(runner)
        await runner.idle

    def _take(self) -> Delivery | None:
        work = self._work
        if work.bucket is None and not work.breakers:
            return self._lanes.take()
        if not self._lanes.ready:
            return None
        now = work.clock.monotonic()
        delay = max(
            (gate.delay(now) for gate in (*work.breakers, *((work.bucket,) if work.bucket else ()))), default=0.0
        )
        if delay > 0:
            self._arm(now + delay)
            return None
        delivery = self._lanes.take()
        if delivery is not None and work.bucket is not None:
            work.bucket.take(now)
        return delivery

    async def _attempt(self, runner: Runner, delivery: Delivery) -> None:
        handler = delivery.handler
        if handler is None or not self._decode(delivery):
            self.outcomes.give_up(delivery, delivery.error or Permanent("no handler"))
            return
        began = self._work.clock.monotonic()
        try:
            waits = await self._handle(runner, delivery, handler, began)
        except asyncio.CancelledError:
            self._cancelled(runner, delivery, handler)
        except FROM_OUTSIDE:
            raise
        except BaseException as error:  # noqa: BLE001 - handlers may raise anything
            self.outcomes.failed(delivery, handler, error)
        else:
            self.outcomes.done(delivery, handler, waits, self._work.clock.monotonic() - began)

    def _decode(self, delivery: Delivery) -> bool:
        if delivery.message is None:
            try:
                delivery.message = self._work.serde.decode(delivery.record.value or b"")
            except SchemaError as error:
                delivery.error = error
                return False
        return True

    async def _handle(self, runner: Runner, delivery: Delivery, handler: Bound, began: float) -> Waits:
        answering = self._work.answering
        if answering is not None:
            waits = answering.before(delivery)
            if waits is not None:
                return waits
        value = await self._timed(runner, delivery, handler, began)
        return NO_WAITS if answering is None else answering.answered(delivery, value)

    async def _timed(self, runner: Runner, delivery: Delivery, handler: Bound, began: float) -> object:
        seconds = handler.timeout_seconds
        if seconds is None:
            return await handler.start(delivery)
        deadlines = self._deadlines.setdefault(seconds, {})
        deadlines[runner] = began + seconds
        if began + seconds < self._timer_at:
            self._arm(began + seconds)
        try:
            return await handler.start(delivery)
        finally:
            del deadlines[runner]

    def _cancelled(self, runner: Runner, delivery: Delivery, handler: Bound) -> None:
        if runner.is_dropped:
            return
        if runner.is_late:
            self.outcomes.failed(
                delivery, handler, AttemptTimedOut(handler.handler.name, handler.timeout_seconds or 0.0)
            )
        else:
            self.outcomes.failed(delivery, handler, AttemptCancelled(handler.handler.name))

    def _arm(self, due: float) -> None:
        if due >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        delay = max(0.001, due - self._work.clock.monotonic())
        self._timer = self._loop.call_later(delay, self._tick)

    def _tick(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, inf
        now = self._work.clock.monotonic()
        self._lanes.wake(now)
        for runner in [late for late, due in self._first_deadlines() if due <= now]:
            runner.time_out()
        self._arm(min([self._lanes.next_due, *(due for _, due in self._first_deadlines())]))
        self._wake()

    def _first_deadlines(self) -> list[tuple[Runner, float]]:
        now = self._work.clock.monotonic()
        first: list[tuple[Runner, float]] = []
        for deadlines in self._deadlines.values():
            for runner, due in deadlines.items():
                if not runner.is_late:
                    first.append((runner, due))
                    if due > now:
                        break
        return first

    def _drain(self, shares: Collection[Share], ended: Event) -> None:
        self._drains.append((shares, ended))
        self._drained()

    def _drained(self) -> None:
        running = {runner.delivery.share for runner in self._runners if runner.delivery is not None}
        for drain in list(self._drains):
            if running.isdisjoint(drain[0]):
                self._drains.remove(drain)
                drain[1].set()

    def _drop(self, shares: Collection[Share]) -> None:
        for runner in self._runners:
            if runner.delivery is not None and runner.delivery.share in shares:
                runner.drop()
