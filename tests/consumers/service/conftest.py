"""What tests of whole processes share."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def alone(kafka: str) -> Iterator[None]:
    """Nobody else of this run has processes of the service `tallies` on the run's Kafka meanwhile."""
    with Path(tempfile.gettempdir(), f"sagalog-tallies-{kafka.replace(':', '-')}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
