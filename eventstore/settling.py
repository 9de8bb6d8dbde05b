"""Find out that nothing is under way in a process whose loops send each other messages.

That each loop was idle when it was looked at is not enough: a message may always be with a loop that is looked at
next. So the loops are looked at twice, with a whole step of each between, and none may have done anything meanwhile. A
message of theirs that nobody has handled was then written before the first look, which would have seen it.

Not promised: anything about other processes, which may send something at any time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from eventstore.loops import STEP_SECONDS, LoopThread

HURRIED_STEP_SECONDS = 0.005
"""How long a loop waits for something to do while somebody waits for it to be idle."""


def is_settled(threads: Sequence[LoopThread], *, patience: float = 1.0) -> bool:
    """Whether nothing is under way, now. Blocks for a step of each loop, at most `patience` seconds."""
    for thread in threads:
        thread.step_seconds = HURRIED_STEP_SECONDS
    try:
        worked, steps = [thread.worked for thread in threads], [thread.steps for thread in threads]
        if not _are_idle(threads):
            return False
        deadline = time.monotonic() + patience
        while any(thread.steps < before + 2 for thread, before in zip(threads, steps, strict=True)):
            if time.monotonic() > deadline:
                return False
            time.sleep(HURRIED_STEP_SECONDS / 2)
        return _are_idle(threads) and worked == [thread.worked for thread in threads]
    finally:
        for thread in threads:
            thread.step_seconds = STEP_SECONDS


def _are_idle(threads: Sequence[LoopThread]) -> bool:
    return all(thread.is_ready() and thread.loop.is_settled() for thread in threads)
