"""How long loads take is measured on each engine. How long, no test demands."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.loads import measure
from benchmarks.setting import Engine, Setting


@pytest.mark.parametrize("engine", ["memory", "embedded-fsync"])
def test_loads_are_measured(engine: Engine, tmp_path: Path) -> None:
    """Streams of 100 events at first and again, a long one folded and from its snapshot on; each has the right sum."""
    figures = measure(Setting(engine, "", tmp_path, quick=True))

    assert [figure.name for figure in figures] == [
        "load of 100 events, p50",
        "load of 100 events, p99",
        "load of 100 events again, p50",
        "load of a long stream, all folded",
        "load of a long stream, snapshot, p50",
    ]
    assert all(figure.value > 0 and figure.unit == "ms" for figure in figures)
    assert [str(figure.target) for figure in figures if figure.target] == ["≤ 1", "≤ 1", "≤ 5"]
