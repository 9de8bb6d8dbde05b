"""What the tests of the checker use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.streams.story import Story


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    """A story to be told."""
    told = Story(tmp_path)
    yield told
    told.close()
