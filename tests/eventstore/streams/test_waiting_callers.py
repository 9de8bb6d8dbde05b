"""Many callers of append: they share commits and cost no thread; cancelled and timed-out ones corrupt nothing."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from eventstore.errors import AskTimedOut
from eventstore.expected import ANY, NO_STREAM
from eventstore.processor.commits import Commits
from eventstore.store import EventStore
from eventstore.streams import Appended
from tests.eventstore.streams.accounts import Deposited, Opened, collect, deposits
from tests.waiting import eventually_async

Accounts = EventStore[Opened | Deposited]


class Held:
    """The unit's commits, while they are held back."""

    def __init__(self) -> None:
        self.count = 0
        self._may_go = threading.Event()

    def release(self) -> None:
        """Let them go."""
        self._may_go.set()

    @contextmanager
    def back(self, monkeypatch: pytest.MonkeyPatch) -> Generator[Held]:
        """Hold them back until they are released."""
        real = Commits.commit

        def commit(commits: Commits, *what: Any) -> Any:
            self._may_go.wait(30)
            self.count += 1
            return real(commits, *what)

        with monkeypatch.context() as patched:
            patched.setattr(Commits, "commit", commit)
            try:
                yield self
            finally:
                self.release()


async def test_ten_thousand_callers_cost_no_thread_each_and_share_commits(
    store: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Group commit: a batch takes up to a thousand of them."""
    await store.append("warm", deposits(1), expected=ANY)
    before = threading.active_count()

    with Held().back(monkeypatch) as held:
        callers = [asyncio.create_task(store.append(f"s{n}", deposits(n), expected=NO_STREAM)) for n in range(10_000)]
        await eventually_async(lambda: _questions_waiting(store) >= 10_000, 60)
        waiting = threading.active_count()
        held.release()
        results = await asyncio.gather(*callers, return_exceptions=True)

    assert waiting <= before + 1
    assert {type(result) for result in results} <= {Appended, AskTimedOut}  # a slow machine may need 10 seconds
    await eventually_async(lambda: _questions_waiting(store) == 0)
    assert held.count < 100


def _questions_waiting(store: Accounts) -> float:
    runtime: Any = store._running()
    return float(runtime.metrics()["replies"]["questions_waiting"])


async def test_cancelled_callers_corrupt_nothing(store: Accounts) -> None:
    """Versions have no gaps, every answered append is there once, and none is there twice."""
    dice = random.Random(7)
    answered: dict[int, Appended] = {}

    async def append(number: int) -> None:
        stream = f"s{number % 7}"
        answered[number] = await store.append(stream, deposits(number, -number), expected=ANY)

    async def cancel_later(task: asyncio.Task[None]) -> None:
        for _ in range(dice.randrange(40)):
            await asyncio.sleep(0)
        await asyncio.sleep(dice.random() * 0.004)
        task.cancel()

    for round_ in range(20):
        numbers = range(1 + round_ * 100, 101 + round_ * 100)
        tasks = [asyncio.create_task(append(number)) for number in numbers]
        cancels = [asyncio.create_task(cancel_later(task)) for task in tasks if dice.random() < 0.7]
        ended = await asyncio.gather(*tasks, *cancels, return_exceptions=True)
        assert {type(each) for each in ended} <= {type(None), asyncio.CancelledError}

    await store.append("s0", deposits(0), expected=ANY)
    seen: dict[int, int] = {}
    for stream in (f"s{number}" for number in range(7)):
        found = await collect(store.read(stream, consistent=True))
        assert [each.version for each in found] == list(range(len(found)))
        pairs = [each.event.cents for each in found if isinstance(each.event, Deposited)]
        for cents, each in zip(pairs[::2], found[1::2], strict=False):
            assert cents not in seen or cents == 0, "an append happened twice"
            seen[cents] = each.version
    assert answered and len(answered) < 2_000
    assert {number: done.version for number, done in answered.items()}.items() <= seen.items()


async def test_after_a_time_out_the_same_commit_id_tells_what_happened(
    store: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E1: the outcome is unknown; here it did happen, once."""
    await store.append("warm", deposits(1), expected=ANY)

    with Held().back(monkeypatch), monkeypatch.context() as patched:
        patched.setattr("eventstore.writing.PATIENCE_SECONDS", 0.05)
        with pytest.raises(AskTimedOut, match="may or may not have happened; ask again with the same id"):
            await store.append("a", deposits(1, 2), expected=NO_STREAM, commit_id="c")

    appended = await store.append("a", deposits(1, 2), expected=NO_STREAM, commit_id="c")

    assert appended.version == 1
    assert len(await collect(store.read("a"))) == 2
