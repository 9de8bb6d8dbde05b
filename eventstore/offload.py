"""Call blocking functions from asyncio, for those that must not be left half done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def to_the_end(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function` on another thread. If this task is cancelled meanwhile, the cancellation waits until the call is
    over.

    The result is lost then, so what the function opens must be reachable by other means.
    """
    return await unless_given_up(partial(function, *args, **kwargs), lambda: None)


async def unless_given_up(function: Callable[[], T], give_up: Callable[[], None]) -> T:
    """Like `to_the_end`; when this task is cancelled, `give_up` runs on another thread, to end the call soon."""
    call = asyncio.ensure_future(asyncio.to_thread(function))
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        giving_up = asyncio.ensure_future(asyncio.to_thread(give_up))
        while not (call.done() and giving_up.done()):
            try:
                await asyncio.wait([call, giving_up])
            except asyncio.CancelledError:
                continue  # once is enough: the cancellation is raised below
        if not call.cancelled() and call.exception() is not None:
            raise asyncio.CancelledError from call.exception()
        raise
