"""Results that cross over to the futures of an asyncio loop."""

from __future__ import annotations

import asyncio

from eventstore.processor.mailbox import Mailbox


async def test_a_future_that_was_cancelled_meanwhile_keeps_no_other_from_its_result() -> None:
    """A caller that is cancelled while its answer is on its way harms nobody."""
    loop = asyncio.get_running_loop()
    mailbox: Mailbox[int] = Mailbox(loop)
    futures: list[asyncio.Future[int]] = [loop.create_future() for _ in range(3)]
    cancelled, failed, answered = futures

    mailbox.put(cancelled, 1)
    mailbox.put(failed, ValueError())
    mailbox.put(answered, 3)
    cancelled.cancel()

    assert await answered == 3
    assert cancelled.cancelled()
    assert isinstance(failed.exception(), ValueError)
