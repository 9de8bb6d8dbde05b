"""A store on its own, and the same store read by a process that owns none of its partitions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from eventstore.component import Runtime
from eventstore.reading import Streams
from eventstore.store import EventStore
from tests.eventstore.streams.accounts import Deposited, Opened, accounts


class Elsewhere:
    """A runtime whose process owns nothing: everything is read from the topic."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def index(self, processor: str, key: str) -> None:
        """Nothing is owned here."""


@pytest.fixture
async def store() -> AsyncIterator[EventStore[Opened | Deposited]]:
    """A store that runs alone on memory."""
    async with accounts() as running:
        yield running


@pytest.fixture(params=["index", "topic"])
def streams(store: EventStore[Opened | Deposited], request: pytest.FixtureRequest) -> Streams[Opened | Deposited]:
    """Reads of the store: from the owner's index, and straight from the topic."""
    runtime = store._running()
    return Streams("accounts", runtime if request.param == "index" else cast("Runtime", Elsewhere(runtime)))
