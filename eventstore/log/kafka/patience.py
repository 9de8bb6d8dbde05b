"""Say that a broker does not answer yet, before whoever waits gives up.

A client tries for as long as `api_timeout` says; whoever started a program with a wrong address, or without a broker,
would look at nothing for so long.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from threading import Timer

import structlog

log = structlog.get_logger("eventstore.log.kafka")

SECONDS = 1.5
"""After so long without an answer it is told."""


class Patience:
    """Of one client. It is told once, and only until the broker has answered for the first time."""

    def __init__(self, address: str, seconds: float) -> None:
        """`seconds`: how long the client tries."""
        self._address, self._seconds = address, seconds
        self._is_over = False

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Around a call that needs the broker."""
        if self._is_over:
            yield
            return
        timer = Timer(min(SECONDS, self._seconds / 2), self._tell)
        timer.daemon = True
        timer.start()
        try:
            yield
            self._is_over = True
        finally:
            timer.cancel()

    def _tell(self) -> None:
        if not self._is_over:
            self._is_over = True
            log.warning("no_answer_yet", address=self._address, trying_for_s=self._seconds)
