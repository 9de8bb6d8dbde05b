"""Fixtures of the view tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from consumers.view import View
from eventstore.log import open_log
from eventstore.log.port import Log
from schemas import MemoryRegistry, Serde
from tests.consumers.view.host import Process, Streams


@pytest.fixture
def log() -> Iterator[Log]:
    """A log in memory."""
    opened = open_log("memory://")
    yield opened
    opened.close()


@pytest.fixture
def serde() -> Serde:
    """JSON, with ids of this test's own."""
    return Serde(MemoryRegistry(), format="json")


@pytest.fixture
def orders(log: Log, serde: Serde) -> Streams:
    """Streams of orders, in four partitions."""
    return Streams(log, serde, "orders")


@pytest.fixture
def process(log: Log, serde: Serde) -> Iterator[Callable[..., Process]]:
    """Starts processes that run views: `process(Totals)`. All are stopped at the end."""
    started: list[Process] = []

    def start(*views: type[View], **options: Any) -> Process:
        made = Process(log, serde, *views, **options).start()
        started.append(made)
        return made

    yield start
    for one in started:
        one.stop()
