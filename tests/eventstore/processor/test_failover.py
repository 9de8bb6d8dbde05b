"""Owners that die, hang and come back, on a real Kafka: nothing is lost, doubled or forked."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.eventstore.processor.fleet import Fleet, Load


@pytest.fixture(params=["classic", "consumer"])
def chosen(request: pytest.FixtureRequest, kafka: str, name: str, tmp_path: Path) -> Iterator[Fleet]:
    """Processes whose groups speak either protocol."""
    fleet = Fleet(f"kafka://{kafka}?group.protocol={request.param}", name, tmp_path)
    yield fleet
    fleet.close()


def test_an_owner_killed_under_load_leaves_the_books_right(fleet: Fleet, load: Load) -> None:
    """K1, K2, K4, K8, K14: kill −9 of one of two owners, twice; the other takes over, then a successor joins."""
    fleet.start(0)
    fleet.start(1)
    with load.going_on(per_second=400):
        load.wait_shared({0, 1})
        for victim in (0, 1):
            fleet.signal(victim, signal.SIGKILL)
            load.wait_answered(25)
            fleet.start(victim)
            load.wait_shared({0, 1})

    load.wait_answered(40)
    load.check_books()


def test_a_stopped_owner_that_wakes_up_does_no_harm(fleet: Fleet, load: Load) -> None:
    """K3, K5: SIGSTOP one of two owners until it is replaced, then SIGCONT: it cannot commit for what it lost."""
    fleet.start(0)
    fleet.start(1)
    with load.going_on(per_second=400):
        load.wait_shared({0, 1})
        fleet.signal(0, signal.SIGSTOP)
        load.wait_shared({1})
        load.wait_answered(30)
        fleet.signal(0, signal.SIGCONT)
        load.wait_shared({0, 1})

    load.wait_answered(40)
    load.check_books()


def test_a_successor_serves_without_anybodys_help(chosen: Fleet, load: Load) -> None:
    """K14: kill −9 of an owner, under either group protocol: the session runs out, and what it owned is answered."""
    chosen.start(0)
    chosen.start(1)
    with load.going_on(per_second=100):
        load.wait_shared({0, 1})
    load.wait_answered(60)

    chosen.signal(0, signal.SIGKILL)
    killed = time.monotonic()
    load.post(200)
    load.wait_answered(60)
    print(f"all of 200 commands answered {time.monotonic() - killed:.1f} s after kill −9 of an owner")

    load.check_books()
