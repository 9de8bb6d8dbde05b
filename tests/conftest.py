"""What every test may use: a real Kafka, names nobody else has, and nothing that outlives the run."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Generator
from contextlib import ExitStack

import pytest
import structlog

from eventstore.log import open_log
from eventstore.registry import TopicRegistry
from sagalog.broker import broker

_RUN = os.urandom(3).hex()


_SHARED = ExitStack()


@pytest.hookimpl(tryfirst=True)  # before xdist starts its processes
def pytest_sessionstart(session: pytest.Session) -> None:
    """One Kafka serves all processes of a run. What a shell starts in the background is deaf to SIGINT: not here."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = session.config.option
    if getattr(options, "numprocesses", None) and options.markexpr == "kafka" and "KAFKA_BOOTSTRAP" not in os.environ:
        os.environ["KAFKA_BOOTSTRAP"] = _SHARED.enter_context(broker()).bootstrap


def pytest_sessionfinish() -> None:
    """Stop what was started for the processes of this run."""
    _SHARED.close()


@pytest.fixture(scope="session")
def kafka() -> Generator[str]:
    """A Kafka for the whole run: its `host:port`. KAFKA_BOOTSTRAP names one that is already there."""
    with broker() as cluster:
        log = open_log(f"kafka://{cluster.bootstrap}")
        registry = TopicRegistry(log)
        registry.set_mode(None, "none")  # tests that share a broker have classes of one name with other fields
        registry.close()
        log.close()
        yield cluster.bootstrap


@pytest.fixture(autouse=True)
def _logging_of_its_own() -> Generator[None]:
    """A command that a test runs here configures logging, to a stream that is captured and gone afterwards."""
    _log_plainly()
    yield
    structlog.reset_defaults()


def _log_plainly() -> None:
    """Python's tracebacks: those of rich take a second each. For commands structlog stays unconfigured."""
    structlog.dev.ConsoleRenderer.get_active().exception_formatter = structlog.dev.plain_traceback


@pytest.fixture(scope="session")
def unique() -> Callable[[str], str]:
    """Make names that no other test or run has, for topics, groups and transactional ids: `unique("orders")`."""
    numbers = itertools.count(1)
    return lambda stem: f"{stem}-{_RUN}-{next(numbers)}"


@pytest.fixture
def topic(unique: Callable[[str], str], request: pytest.FixtureRequest) -> str:
    """A topic name of this test's own. The topic is not made."""
    return unique(request.node.name.split("[")[0].removeprefix("test_")[:40])


@pytest.hookimpl(tryfirst=True)  # before pytest itself selects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that uses the fixture `kafka`, by whatever way, has the marker `kafka`."""
    for item in items:
        if "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.kafka)
