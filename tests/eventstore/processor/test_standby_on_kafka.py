"""Processes with standbys on a real Kafka that are killed: successors read the tail, and the books stay right."""

from __future__ import annotations

import signal
from functools import partial

from tests.eventstore.processor.fleet import Fleet, Load
from tests.waiting import eventually


def test_a_successor_with_a_standby_reads_nothing_that_it_has_followed(fleet: Fleet, load: Load) -> None:
    """K4, K13: kill −9 of an owner whose journals were followed: each of its partitions is taken with what is there."""
    fleet.start(0)
    fleet.start(1, "standby")
    with load.going_on(per_second=200):
        load.wait_shared({0, 1})
    load.wait_answered(60)
    lost = [partition for partition, holder in load.holders().items() if holder == 0]
    eventually(lambda: fleet.follows(1) == (set(lost), 0), 30)

    fleet.signal(0, signal.SIGKILL)
    load.post(100)
    load.wait_answered(60)

    taken = {one.partition: one for one in fleet.taken(1)}
    assert [(taken[number].was_followed, taken[number].restored) for number in lost] == [(True, 0)] * len(lost)
    load.check_books()


def test_owners_with_standbys_killed_under_load_leave_the_books_right(fleet: Fleet, load: Load) -> None:
    """K1, K2, K4, K8: what is followed while it is written, taken, given up and followed again loses and doubles
    nothing."""
    for slot in (0, 1):
        fleet.start(slot, "standby")
    with load.going_on(per_second=400):
        load.wait_shared({0, 1})
        for victim in (0, 1):
            eventually(partial(_follows, fleet, load, victim), 30)
            fleet.signal(victim, signal.SIGKILL)
            load.wait_shared({1 - victim})
            fleet.start(victim, "standby")
            load.wait_shared({0, 1})

    load.wait_answered(60)
    load.check_books()
    assert any(one.was_followed for slot in (0, 1) for one in fleet.taken(slot))


def _follows(fleet: Fleet, load: Load, victim: int) -> bool:
    """Whether all that the victim holds is followed by the other one."""
    held = {partition for partition, holder in load.holders().items() if holder == victim}
    return bool(held) and held <= fleet.follows(1 - victim)[0]
