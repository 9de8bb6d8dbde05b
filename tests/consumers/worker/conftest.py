"""Fixtures of the worker's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eventstore.clock import ManualClock
from eventstore.log import open_log
from tests.consumers.host import TestHost
from tests.consumers.worker.bench import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A log in memory, a hand-set clock, and the loops opened on them, which are stopped at the end."""
    clock = ManualClock()
    log = open_log("memory://")
    made = Bench(TestHost(log=log, clock=clock), clock)
    yield made
    for loop in made.loops:
        loop.stop(clock.monotonic())
    log.close()
