"""One short storm with a fixed seed, for every run of the tests. Many long ones: `make chaos`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.storm import run_storm

pytestmark = pytest.mark.kafka
SEED = 21


@pytest.mark.timeout(240)
def test_a_storm_leaves_the_books_right(tmp_path: Path) -> None:
    """Processes are killed, frozen and cut off while sagas run: every party is rebooked or left no trace."""
    report = run_storm(SEED, tmp_path, nemesis_seconds=20.0)

    assert report.violations == []
    assert report.faults.total() >= 3
