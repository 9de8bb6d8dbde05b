"""A store on its own, and the same store read by a process that owns none of its partitions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from eventstore.component import Runtime
from eventstore.errors import AskTimedOut
from eventstore.processor.questions import ReadPage
from eventstore.reading import Streams
from eventstore.store import EventStore
from schemas import Message
from tests.eventstore.streams.accounts import Deposited, Opened, accounts


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
