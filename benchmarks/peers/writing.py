"""So many threads that append one after the other for some seconds: callers of a store that blocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

WARM_UP_S = 0.3


def by_threads(writers: list[Callable[[], None]], seconds: float) -> list[float]:
    """Milliseconds of each call, of all writers together."""
    ready = Barrier(len(writers))
    with ThreadPoolExecutor(len(writers)) as pool:
        each = list(pool.map(lambda write: _calls(write, ready, seconds), writers))
    return [one for took in each for one in took]


def _calls(write: Callable[[], None], ready: Barrier, seconds: float) -> list[float]:
    _until(write, time.perf_counter() + WARM_UP_S, [])
    ready.wait()
    took: list[float] = []
    _until(write, time.perf_counter() + seconds, took)
    return took


def _until(write: Callable[[], None], end: float, took: list[float]) -> None:
    while (began := time.perf_counter()) < end:
        write()
        took.append((time.perf_counter() - began) * 1_000)
