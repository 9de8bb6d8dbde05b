"""Stop calling what is down, and find out when it is back.

A breaker is *closed* (calls pass) until, of the last `calls` ones, at least `failure_ratio` failed; a call that took
longer than `slow_after` counts as failed. Then it is *open* for `reset`: calls raise `BreakerOpen`, and a worker that
lists the breaker starts nothing. Then it is *half-open*: one call, the probe, passes; its outcome closes or reopens
it. None of this burns attempts.

`Permanent` says nothing about the other side and counts as success.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from consumers.errors import BreakerOpen, Permanent
from eventstore.clock import Clock, SystemClock
from schemas.option_values import DURATION, NUMBER, WHOLE, check_value

State: TypeAlias = Literal["closed", "open", "half-open"]
PROBE_PATIENCE = 0.1
"""Seconds until those that are not the probe ask again."""


class Breaker:
    """A circuit breaker: `async with breaker:` around the call. May be shared by several workers of a process."""

    def __init__(
        self,
        name: str,
        *,
        failure_ratio: float = 0.5,
        slow_after: timedelta | None = None,
        reset: timedelta = timedelta(seconds=30),
        calls: int = 10,
    ) -> None:
        """`calls`: how many of the last calls are looked at; it stays closed before there are so many."""
        check = partial(check_value, f"breaker {name}")
        check("failure_ratio", failure_ratio, NUMBER)
        check("slow_after", slow_after, DURATION, or_none=True)
        check("reset", reset, DURATION)
        check("calls", calls, WHOLE)
        if not 0 < failure_ratio <= 1:
            raise ValueError(f"breaker {name}: failure_ratio={failure_ratio} is a share above 0, at most 1")
        if calls < 1 or reset <= timedelta():
            raise ValueError(f"breaker {name}: calls={calls} and reset={reset} are positive")
        self.name = name
        self._ratio = failure_ratio
        self._slow = None if slow_after is None else slow_after.total_seconds()
        self._reset = reset.total_seconds()
        self._outcomes: deque[bool] = deque(maxlen=calls)
        self._entered: dict[asyncio.Task[Any] | None, tuple[float, bool]] = {}
        self._clock: Clock = SystemClock()
        self._lock = Lock()
        self._open_until: float | None = None
        self._is_probing = False

    def use(self, clock: Clock) -> None:
        """Take the time from this clock. A worker calls it when it starts."""
        self._clock = clock

    @property
    def state(self) -> State:
        """What it is now."""
        if self._open_until is None:
            return "closed"
        return "open" if self._clock.monotonic() < self._open_until else "half-open"

    def delay(self, now: float) -> float:
        """Seconds until a call may pass; 0 if it may now."""
        if self._open_until is None:
            return 0.0
        if now < self._open_until:
            return self._open_until - now
        return PROBE_PATIENCE if self._is_probing else 0.0

    async def __aenter__(self) -> Self:
        now = self._clock.monotonic()
        with self._lock:
            delay = self.delay(now)
            if delay > 0:
                raise BreakerOpen(self.name, timedelta(seconds=delay))
            is_probe = self._open_until is not None
            self._is_probing = self._is_probing or is_probe
        self._entered[asyncio.current_task()] = now, is_probe
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        began, is_probe = self._entered.pop(asyncio.current_task())
        now = self._clock.monotonic()
        is_slow = self._slow is not None and now - began > self._slow
        is_good = (error is None or isinstance(error, Permanent)) and not is_slow
        with self._lock:
            if is_probe:
                self._probed(is_good, now)
            elif self._open_until is None:
                self._called(is_good, now)

    def _probed(self, is_good: bool, now: float) -> None:
        self._is_probing = False
        self._open_until = None if is_good else now + self._reset

    def _called(self, is_good: bool, now: float) -> None:
        outcomes = self._outcomes
        outcomes.append(is_good)
        if len(outcomes) == outcomes.maxlen and outcomes.count(False) >= self._ratio * len(outcomes):
            outcomes.clear()
            self._open_until = now + self._reset
