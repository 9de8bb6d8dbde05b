"""What the demo says to people."""

from __future__ import annotations

import pytest

from examples.airline.__main__ import processes_in_words


@pytest.mark.parametrize(("count", "said"), [(1, "1 process"), (3, "3 processes")])
def test_one_process_is_no_processes(count: int, said: str) -> None:
    """Neither is it process(es)."""
    assert processes_in_words(count) == said
