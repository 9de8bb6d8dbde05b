"""Keep a client's calls within their time, which librdkafka does not always do.

A transactional call that needs a group's coordinator waits for a connection to it. When the coordinator went while one
was on its way, librdkafka waits for ever, whatever time-out it was given. So such calls run on a thread of their own. A
call that takes too long is left behind with its client; it can do no harm, since whoever goes on takes the
transactional id anew, and thereby fences it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from queue import SimpleQueue
from typing import TypeAlias

GRACE_SECONDS = 3.0
"""How much longer than its own time-out a call may take."""

Call: TypeAlias = Callable[[], object]


class BoundedCalls:
    """Runs one call at a time."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[tuple[Call, Future[None]] | None] = SimpleQueue()
        threading.Thread(target=_serve, args=(self._calls,), name=name, daemon=True).start()

    def run(self, call: Call, timeout: float, meanwhile: Call | None = None) -> None:
        """Run a call that has this time-out itself; raises what it raises. `meanwhile` is done on this thread, while
        the call waits for others; if it raises, the call has ended all the same.

        Raises:
            TimeoutError: it did not return. It may still do so at any time; use neither this nor its client again.
        """
        done: Future[None] = Future()
        self._calls.put((call, done))
        try:
            if meanwhile is not None:
                meanwhile()
        finally:
            self._wait(done, timeout)

    def _wait(self, done: Future[None], timeout: float) -> None:
        try:
            done.result(timeout + GRACE_SECONDS)
        except FutureTimeout:
            if not done.done():
                self.close()
            raise

    def close(self) -> None:
        """Let the thread end, when its call has."""
        self._calls.put(None)


def _serve(calls: SimpleQueue[tuple[Call, Future[None]] | None]) -> None:
    while (job := calls.get()) is not None:
        call, done = job
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - whoever waits for the call gets it
            done.set_exception(error)
        else:
            done.set_result(None)
        del job, call, done
