"""Find out that nothing is under way in a process whose loops send each other messages.

That each loop was idle when it was looked at is not enough: a message may always be with a loop that is looked at
next. So the loops are looked at twice, with a whole step of each between, and none may have done anything meanwhile. A
message of theirs that nobody has handled was then written before the first look, which would have seen it.

Not promised: anything about other processes, which may send something at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from eventstore.loops import STEP_SECONDS, LoopThread

HURRIED_STEP_SECONDS = 0.005
"""How long a loop waits for something to do while somebody waits for it to be idle."""


def busy_loop(threads: Sequence[LoopThread], *, patience: float = 1.0) -> str:
    """The name of a loop that has something under way; empty: none has, now.

    Blocks for a step of each loop, at most `patience` seconds.
    """
    for thread in threads:
        thread.step_seconds = HURRIED_STEP_SECONDS
    try:
        worked, steps = [thread.worked for thread in threads], [thread.steps for thread in threads]
        if busy := _busy(threads):
            return busy
        deadline = time.monotonic() + patience
        while slow := _first(threads, lambda at: threads[at].steps < steps[at] + 2):
            if time.monotonic() > deadline:
                return slow
            time.sleep(HURRIED_STEP_SECONDS / 2)
        return _busy(threads) or _first(threads, lambda at: threads[at].worked != worked[at])
    finally:
        for thread in threads:
            thread.step_seconds = STEP_SECONDS


def _busy(threads: Sequence[LoopThread]) -> str:
    return _first(threads, lambda at: not (threads[at].is_ready() and threads[at].loop.is_settled()))


def _first(threads: Sequence[LoopThread], applies: Callable[[int], bool]) -> str:
    """The name of the first loop that it applies to, by index; empty if there is none."""
    return next((thread.loop.name for at, thread in enumerate(threads) if applies(at)), "")
