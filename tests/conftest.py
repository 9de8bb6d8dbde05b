"""What every test may use: a real Kafka, names nobody else has, and nothing that outlives the run."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Generator

import pytest

from sagalog.broker import broker

_RUN = os.urandom(3).hex()


@pytest.fixture(scope="session")
def kafka() -> Generator[str]:
    """A Kafka for the whole run: its `host:port`. KAFKA_BOOTSTRAP names one that is already there."""
    with broker() as cluster:
        yield cluster.bootstrap


@pytest.fixture(scope="session")
def unique() -> Callable[[str], str]:
    """Make names that no other test or run has, for topics, groups and transactional ids: `unique("orders")`."""
    numbers = itertools.count(1)
    return lambda stem: f"{stem}-{_RUN}-{next(numbers)}"


@pytest.fixture
def topic(unique: Callable[[str], str], request: pytest.FixtureRequest) -> str:
    """A topic name of this test's own. The topic is not made."""
    return unique(request.node.name.split("[")[0].removeprefix("test_")[:60])


@pytest.hookimpl(tryfirst=True)  # before pytest itself selects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that uses the fixture `kafka`, by whatever way, has the marker `kafka`."""
    for item in items:
        if "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.kafka)
