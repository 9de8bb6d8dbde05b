"""Threads of asyncio readers: one of its own for whoever blocks long and often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

T = TypeVar("T")


class OwnThread:
    """A thread for what blocks long; calls run one after the other, also after one was cancelled."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="sagalog-read")

    async def run(self, call: Callable[[], T]) -> T:
        """What `call` returns, there."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._executor.shutdown(wait=False)
