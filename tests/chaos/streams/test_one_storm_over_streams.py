"""One short storm with a fixed seed, for every run of the tests. Many long ones: `make chaos`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.faults import OF_AIRLINE, OVER_STREAMS, Kind, Nemesis
from tests.chaos.streams.storm import run_storm

SEED = 3
SECONDS = 12.0


@pytest.mark.kafka
@pytest.mark.timeout(240)
def test_a_storm_breaks_no_promise(tmp_path: Path) -> None:
    """Appends and reads of five processes while owners are killed, stopped and cut off: all that is promised holds."""
    report = run_storm(SEED, tmp_path, seconds=SECONDS)

    assert [str(violation) for violation in report.violations] == []
    assert report.faults.total() >= 3
    assert report.verdict.operations["append", "ok"] > 50
    assert report.verdict.operations["consistent read", "ok"] > 20


@pytest.mark.parametrize("nemesis", [OF_AIRLINE, OVER_STREAMS], ids=["airline", "streams"])
def test_faults_follow_from_the_seed(nemesis: Nemesis) -> None:
    """The same seed, the same faults; another one, others; those over minutes are of every kind."""
    first, again, other = (nemesis.schedule(seed, processes=3, proxied=1, brokers=3, until=3_000) for seed in (1, 1, 2))

    assert first == again != other
    assert {fault.kind for fault in first} == set(nemesis.weights)


def test_streams_meet_every_kind_of_fault() -> None:
    """None is left out."""
    assert set(OVER_STREAMS.weights) == set(Kind)
