"""A bench on memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from eventstore.log import open_log
from eventstore.log.memory import discard
from tests.eventstore.snapshots.tallies import TallyBench


@pytest.fixture
def bench(unique: Callable[[str], str]) -> Iterator[TallyBench]:
    """One owner of tallies."""
    name = unique("tallies")
    yield TallyBench(open_log(f"memory://{name}?message_max_bytes=100000"))
    discard(name)
