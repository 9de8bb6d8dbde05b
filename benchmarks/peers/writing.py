"""So many threads that append one after the other for some seconds: callers of a store that blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier, BrokenBarrierError

WARM_UP_S = 0.3


@dataclass(frozen=True, slots=True)
class Appends:
    """Milliseconds of each append of all writers, and the seconds from the first one's begin to the last one's end."""

    took: Sequence[float]
    seconds: float


def by_threads(writers: list[Callable[[], None]], seconds: float) -> Appends:
    """Each writer is called again and again by a thread of its own.

    Raises:
        Exception: what a writer raised. The others do not wait for it.
    """
    began = list[float]()
    ready = Barrier(len(writers), lambda: began.append(time.perf_counter()))
    with ThreadPoolExecutor(len(writers)) as pool:
        each = [pool.submit(_calls, write, ready, seconds) for write in writers]
    ended = time.perf_counter()
    for done in each:
        if isinstance(error := done.exception(), Exception) and not isinstance(error, BrokenBarrierError):
            raise error
    took = [one for done in each for one in done.result()]
    return Appends(took, ended - began[0])


def _calls(write: Callable[[], None], ready: Barrier, seconds: float) -> list[float]:
    try:
        _until(write, time.perf_counter() + WARM_UP_S, [])
    except BaseException:
        ready.abort()  # else the others would wait for this one
        raise
    ready.wait()
    took: list[float] = []
    _until(write, time.perf_counter() + seconds, took)
    return took


def _until(write: Callable[[], None], end: float, took: list[float]) -> None:
    while (began := time.perf_counter()) < end:
        write()
        took.append((time.perf_counter() - began) * 1_000)
