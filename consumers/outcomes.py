"""What becomes of a delivery after an attempt: acknowledged, tried again later, or given up.

Acknowledged is what the log has the answer or the dead letter of. Used on the handlers' thread; `finished` is emptied
by the worker's loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from random import Random

import structlog

from consumers.answering import Waits
from consumers.delivery import Delivery
from consumers.durations import Durations
from consumers.errors import BreakerOpen, Permanent, RetryAfter
from consumers.handlers import Bound
from consumers.lanes import Lanes
from consumers.work import Work
from eventstore.raised import DETAIL_CHARACTERS, Raised
from schemas.error_text import error_text
from schemas.errors import SchemaError

log = structlog.get_logger(__name__)


class Outcomes:
    """Decides what follows from attempts."""

    def __init__(self, work: Work, lanes: Lanes, arm: Callable[[float], None]) -> None:
        """`arm` sees to it that the clock is looked at when something is due."""
        self._work, self._lanes, self._arm = work, lanes, arm
        self._random, self._raised = Random(), Raised()
        self.finished: deque[Delivery] = deque()
        """Deliveries that are done and in the log, in the order in which they were."""
        self.failure: BaseException | None = None
        """Why the worker cannot go on."""
        self.durations = Durations()
        self.dead_lettered = 0

    def done(self, delivery: Delivery, handler: Bound, waits: Waits, seconds: float) -> None:
        """The attempt succeeded, and its answer was sent."""
        handler.handler.stats.completed += 1
        self.durations.add(seconds)
        self._lanes.finish(delivery)
        self._acknowledge(delivery, waits)

    def failed(self, delivery: Delivery, handler: Bound, error: BaseException) -> None:
        """The attempt failed: there is another one later, or it is given up."""
        if delivery.share.is_closed:
            return
        now = self._work.clock.monotonic()
        retry = handler.handler.retry
        if isinstance(error, (RetryAfter, BreakerOpen)):
            self._again(delivery, now + error.delay.total_seconds())
            return
        handler.handler.stats.failed += 1
        self._raised.tell("handler_raised", error, worker=self._work.name, handler=handler.handler.name)
        if isinstance(error, (Permanent, SchemaError)) or not retry.is_left(delivery.attempt):
            self.give_up(delivery, error)
            return
        delay = retry.delay(delivery.attempt, self._random)
        delivery.attempt += 1
        self._again(delivery, now + delay.total_seconds())

    def _again(self, delivery: Delivery, due: float) -> None:
        self._lanes.wait(delivery, due)
        self._arm(due)

    def give_up(self, delivery: Delivery, error: BaseException) -> None:
        """No attempt is left, or none was possible: it is answered, or dead-lettered."""
        answering = self._work.answering
        waits = None if answering is None else answering.failed(delivery, error)
        if waits is None:
            waits = (self._work.dead_letters.write(delivery.record, error, delivery.attempt),)
            self.dead_lettered += 1
            self._tell(delivery, error)
            if delivery.handler is not None:
                delivery.handler.handler.stats.dead_lettered += 1
        self._lanes.finish(delivery)
        self._acknowledge(delivery, waits)

    def _tell(self, delivery: Delivery, error: BaseException) -> None:
        record = delivery.record
        log.warning(
            "record_dead_lettered",
            worker=self._work.name,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            attempts=delivery.attempt,
            error=type(error).__name__,
            detail=error_text(error)[:DETAIL_CHARACTERS],
        )

    def _acknowledge(self, delivery: Delivery, waits: Waits) -> None:
        if waits:
            self._await(delivery, list(waits))
        else:
            self.finished.append(delivery)

    def _await(self, delivery: Delivery, left: list[Future[int]]) -> None:
        """Go on when the last of them is done. None is referred to by its own callback: no cycles to collect."""
        wait = left.pop()
        wait.add_done_callback(partial(self._written, delivery, left))

    def _written(self, delivery: Delivery, left: list[Future[int]], done: Future[int]) -> None:
        """On whatever thread resolves futures."""
        error = done.exception()
        if error is not None:
            self.failure = self.failure or error
        elif left:
            self._await(delivery, left)
        else:
            self.finished.append(delivery)
