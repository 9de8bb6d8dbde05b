"""A store on its own, and the same store in, or read by, a process that owns none of its partitions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from eventstore.component import Runtime
from eventstore.errors import AskTimedOut
from eventstore.log.memory import discard
from eventstore.processor.questions import ReadPage
from eventstore.reading import Streams
from eventstore.store import EventStore
from schemas import Message
from tests.eventstore.streams.accounts import Deposited, Opened, accounts
from tests.eventstore.streams.hosts import Accounts, hosting, store_named

LIMIT = 100_000
"""What a record of a shared log may hold, in bytes."""


class Elsewhere:
    """A runtime whose process owns nothing: the owner is asked for everything."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def index(self, processor: str, key: str) -> None:
        """Nothing is owned here."""

    async def ask_positioned(self, to: str, key: str, message: Message, **how: Any) -> Any:
        """As the runtime does it."""
        self.asked += isinstance(message, ReadPage)
        return await self._runtime.ask_positioned(to, key, message, **how)


class Ownerless(Elsewhere):
    """A runtime whose questions nobody answers: everything is read from the topic."""

    async def ask_positioned(self, to: str, key: str, message: Message, **how: Any) -> Any:
        """Nobody answers."""
        self.asked += 1
        raise AskTimedOut(message.__type_name__, how["timeout"].total_seconds())


@pytest.fixture
async def store() -> AsyncIterator[EventStore[Opened | Deposited]]:
    """A store that runs alone on memory."""
    async with accounts() as running:
        yield running


@pytest.fixture(params=["index", "owner", "topic"])
def streams(store: EventStore[Opened | Deposited], request: pytest.FixtureRequest) -> Streams[Opened | Deposited]:
    """Reads of the store: from the local index, from the owner's answers, and straight from the topic."""
    runtime = store._running()
    ways: dict[str, Any] = {"index": runtime, "owner": Elsewhere(runtime), "topic": Ownerless(runtime)}
    return Streams("accounts", ways[request.param])


@pytest.fixture
def log(unique: Callable[[str], str]) -> Iterator[str]:
    """A log that two hosts share."""
    name = unique("shared")
    yield f"memory://{name}?message_max_bytes={LIMIT}"
    discard(name)


@pytest.fixture
async def owner(log: str) -> AsyncIterator[Accounts]:
    """A store whose process owns all partitions."""
    store = store_named("accounts")
    async with hosting(store, log):
        yield store


@pytest.fixture
async def guest(owner: Accounts, log: str) -> AsyncIterator[Accounts]:
    """The same store in a process that owns nothing."""
    store = store_named("accounts")
    async with hosting(store, log, slot="guest", owns=False):
        yield store
