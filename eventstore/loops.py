"""Run a loop on a thread of its own, and start it again when it fails.

A failure of the surroundings (a broker that is away, a full disk) ends the loop, is logged with its cause, shown by
`error`, and tried again after a growing pause. Nothing is lost: a loop that starts anew goes on where the log says.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread

import structlog

from eventstore.clock import Clock
from eventstore.component import Loop
from eventstore.raised import traceback_of
from schemas.error_text import error_text

log = structlog.get_logger()

STEP_SECONDS = 0.1
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0


class LoopThread:
    """Keeps one loop going until it is stopped."""

    def __init__(self, make: Callable[[], Loop], clock: Clock) -> None:
        self._make, self._clock = make, clock
        self.loop = make()
        self.error: BaseException | None = None
        """Why the loop is not running now; None while it is."""
        self.failure: BaseException | None = None
        """Why it failed last; None once it serves everything again."""
        self.failures = 0
        """How often it failed so far."""
        self.steps = 0
        """How many steps have ended."""
        self.worked = 0
        """How many of them did something."""
        self.step_seconds = STEP_SECONDS
        """How long a step may wait for something to do."""
        self._stopping = Event()
        self._opened = Event()
        self._deadline = 0.0
        self._thread = Thread(target=self._run, name=self.loop.name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wait_opened(self, timeout: float) -> bool:
        """Wait until the loop opened or failed; whether it opened."""
        self._opened.wait(timeout)
        return self._opened.is_set() and self.error is None

    def is_ready(self) -> bool:
        """Whether the loop runs and serves everything it was assigned."""
        return self.error is None and self._opened.is_set() and self.loop.is_ready()

    def ask_to_stop(self, deadline: float) -> None:
        """Let the loop finish until `deadline` (clock.monotonic). Returns at once."""
        self._deadline = deadline
        self._stopping.set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the thread ended, or `timeout` seconds; whether it ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            began = self._clock.monotonic()
            try:
                self._serve()
            except BaseException as error:  # noqa: BLE001 - a panic of an engine is no Exception
                self._failed(error)
                if self._clock.monotonic() - began > LONGEST_PAUSE_SECONDS:
                    pause = FIRST_PAUSE_SECONDS
                if not self._stopping.wait(pause):
                    pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                    self.loop = self._make()

    def _serve(self) -> None:
        self.loop.open()
        self.error = None
        self._opened.set()
        while not self._stopping.is_set():
            if self.loop.step(self.step_seconds):
                self.worked += 1
            self.steps += 1
            if self.failure is not None and self.loop.is_ready():
                self.failure = None
        self.loop.stop(self._deadline)

    def _failed(self, error: BaseException) -> None:
        self.error = self.failure = error
        self.failures += 1
        self._opened.set()
        log.error("loop_failed", loop=self.loop.name, error=type(error).__name__, detail=error_text(error))
        log.debug("loop_failed_at", loop=self.loop.name, **traceback_of(error))
        try:
            self.loop.stop(self._clock.monotonic())
        except Exception as again:  # noqa: BLE001 - it has failed already; this is only told
            log.warning("loop_close_failed", loop=self.loop.name, error=type(again).__name__, detail=error_text(again))
