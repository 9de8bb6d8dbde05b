"""Call blocking functions from asyncio, for those that must not be left half done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def to_the_end(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function` on another thread. If this task is cancelled meanwhile, the cancellation waits until the call is
    over.

    The result is lost then, so what the function opens must be reachable by other means.
    """
    call = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        while not call.done():
            try:
                await asyncio.wait([call])
            except asyncio.CancelledError:
                continue  # once is enough: the cancellation is raised below
        if not call.cancelled() and call.exception() is not None:
            raise asyncio.CancelledError from call.exception()
        raise
