"""Callers in lines: each is told in time, or learns that its time is over."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest

from eventstore.log.errors import LogClosed
from eventstore.processor.waiting import Line, Waiting


async def test_who_is_not_answered_in_time_learns_it_and_others_wait_on() -> None:
    """One timer serves the line; who came later has later to go."""
    line = Line[int](asyncio.get_running_loop(), 0.05)
    first, answered = line.join("first"), line.join("answered")
    line.mailbox.put(answered, 7)
    await asyncio.sleep(0.03)
    later = line.join("later")

    with pytest.raises(TimeoutError):
        await first
    assert await answered == 7
    assert not later.done()
    with pytest.raises(TimeoutError):
        await later


async def test_a_line_that_was_empty_for_a_while_keeps_time_again() -> None:
    """The timer ends with the line and comes back with the next caller."""
    line = Line[int](asyncio.get_running_loop(), 0.01)
    line.join("a")
    line.leave("a")
    await asyncio.sleep(0.03)

    with pytest.raises(TimeoutError):
        await line.join("b")


async def test_answers_are_found_in_every_line() -> None:
    """Callers of different patience, and of another loop."""
    waiting = Waiting[str]()
    here = waiting.line(5.0).join("here"), waiting.line(1.0).join("hasty")

    def elsewhere() -> None:
        async def ask() -> str:
            future = waiting.line(5.0).join("elsewhere")
            asked.set()
            return await future

        heard.append(asyncio.run(ask()))

    asked, heard = threading.Event(), list[str]()
    thread = threading.Thread(target=elsewhere)
    thread.start()
    await asyncio.to_thread(asked.wait)
    assert len(waiting) == 3
    for correlation in [*waiting.correlations(), "nobody"]:
        waiting.tell(correlation, correlation.upper())
    await asyncio.to_thread(thread.join)

    assert [await future for future in here] == ["HERE", "HASTY"]
    assert heard == ["ELSEWHERE"]
    waiting.line(2.0)
    assert {line.loop for line in waiting._lines} == {asyncio.get_running_loop()}


async def test_a_line_is_the_same_for_callers_of_one_loop() -> None:
    """That is what makes one timer enough."""
    waiting = Waiting[int]()

    assert waiting.line(5.0) is waiting.line(5.0)
    assert waiting.line(5.0) is not waiting.line(4.0)


async def test_an_answer_that_nobody_waits_for_any_more_is_no_complaint() -> None:
    """Who failed before is told by that error; asyncio does not complain that it did not look at the other."""
    complaints = list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    waiting: Waiting[str] = Waiting()
    line = waiting.line(5.0)

    told, late = line.join("told"), line.join("late")
    told.set_exception(LogClosed("before"))
    line.mailbox.put(late, LogClosed("after"))
    line.leave("told")
    line.leave("late")
    await asyncio.sleep(0)
    del told, late
    gc.collect()

    assert complaints == []
