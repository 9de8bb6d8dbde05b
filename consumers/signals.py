"""SIGTERM and SIGINT, the two ways in which a process is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def stopped_by_signals(stopped: asyncio.Event) -> Generator[None]:
    """SIGTERM and SIGINT set the event. After the first, SIGINT ends the process: that loses nothing but time."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopped.set()
        loop.add_signal_handler(signal.SIGINT, os._exit, 128 + signal.SIGINT)

    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
