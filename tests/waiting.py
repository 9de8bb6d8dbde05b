"""Wait for a condition, with a deadline. Tests never sleep: they say what they wait for.

::

    eventually(lambda: consumer.lag() == 0)
    rows = eventually(store.rows, timeout=5)             # the first true answer is returned
    await eventually_async(lambda: service.ready)        # also takes an async function
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar, cast, overload

T = TypeVar("T")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.05


def eventually(predicate: Callable[[], T], timeout: float = 10.0) -> T:
    """Call until the answer is true, and return it; fail after `timeout` seconds.

    An AssertionError of the predicate means "not yet", so it may hold several asserts. The last one is the cause.
    """
    nobody = threading.Event()
    attempt = _Attempt(timeout)
    for pause in attempt.pauses():
        if attempt.accepts(predicate):
            return cast(T, attempt.answer)
        nobody.wait(pause)
    raise attempt.failure()


@overload
async def eventually_async(predicate: Callable[[], Awaitable[T]], timeout: float = 10.0) -> T: ...
@overload
async def eventually_async(predicate: Callable[[], T], timeout: float = 10.0) -> T: ...
async def eventually_async(predicate: Callable[[], Awaitable[T] | T], timeout: float = 10.0) -> T:
    """As `eventually`, for a coroutine function or a plain one, while the event loop goes on."""
    attempt = _Attempt(timeout)
    for pause in attempt.pauses():
        try:
            answer = predicate()
            attempt.answer = await answer if inspect.isawaitable(answer) else answer
        except AssertionError as error:
            attempt.error = error
        else:
            if attempt.answer:
                return cast(T, attempt.answer)
        await asyncio.sleep(pause)
    raise attempt.failure()


class _Attempt:
    """The deadline, and what was seen last."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self.answer: object = None
        self.error: AssertionError | None = None

    def pauses(self) -> Iterator[float]:
        """Ever longer pauses until the deadline; one more try is made after it."""
        deadline, pause = time.monotonic() + self._timeout, _FIRST_PAUSE_S
        while time.monotonic() < deadline:
            yield pause
            pause = min(pause * 2, _LONGEST_PAUSE_S)
        yield 0.0

    def accepts(self, predicate: Callable[[], object]) -> bool:
        """Whether the predicate is true now."""
        try:
            self.answer = predicate()
        except AssertionError as error:
            self.error = error
            return False
        return bool(self.answer)

    def failure(self) -> AssertionError:
        """What to raise when the time is over."""
        failed = AssertionError(f"not true within {self._timeout:g} s; the last answer was {self.answer!r}")
        failed.__cause__ = self.error
        return failed
