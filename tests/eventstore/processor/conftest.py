"""A unit on the memory engine with a clock that stands, and processes of a service on a real Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eventstore.clock import ManualClock
from eventstore.log import open_log
from eventstore.log.port import Log
from tests.eventstore.processor.counters import Bench
from tests.eventstore.processor.fleet import Fleet, Load


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands."""
    return ManualClock()


@pytest.fixture
def bench(clock: ManualClock) -> Bench:
    """A unit on the memory engine."""
    return Bench(open_log("memory://", clock=clock), clock=clock)


@pytest.fixture
def log(kafka: str) -> Iterator[Log]:
    """A real Kafka."""
    opened = open_log(f"kafka://{kafka}")
    yield opened
    opened.close()


@pytest.fixture
def name(unique: Callable[[str], str]) -> str:
    """A processor's name of this test's own."""
    return unique("counter")


@pytest.fixture
def fleet(kafka: str, name: str, tmp_path: Path) -> Iterator[Fleet]:
    """Processes of the processor's service, none of them started."""
    fleet = Fleet(f"kafka://{kafka}", name, tmp_path)
    yield fleet
    fleet.close()


@pytest.fixture
def load(log: Log, name: str) -> Load:
    """Commands for them."""
    return Load(log, name)
