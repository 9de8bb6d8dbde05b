"""Resolve futures of asyncio loops from other threads, crossing over once per batch."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Iterable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Results on their way to the futures of one asyncio loop."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop
        self._results: deque[tuple[Future[T], T | BaseException]] = deque()
        self._lock = Lock()
        self._is_called = False

    def put(self, future: Future[T], result: T | BaseException) -> None:
        """Resolve the future on its loop. One that is done already, or whose loop is closed, is left alone."""
        self.put_all(((future, result),))

    def put_all(self, results: Iterable[tuple[Future[T], T | BaseException]]) -> None:
        """Resolve all of these, as `put` does with one; the loop is woken once."""
        with self._lock:
            self._results.extend(results)
            if self._is_called or self.loop.is_closed():
                return
            self._is_called = True
        try:
            self.loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            if not self.loop.is_closed():  # it was closed since it was looked at: nobody waits any more
                raise

    def _deliver(self) -> None:
        with self._lock:
            self._is_called = False
            results, self._results = self._results, deque()
        for future, result in results:
            if future.done():
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
