"""Which service runs a processor, after an operator has given it to another one (K12)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event, Thread

import pytest

from consumers.errors import GroupInUse
from consumers.positions import reset
from eventstore.clock import SystemClock
from eventstore.log import open_log
from eventstore.log.errors import ProcessorTaken
from eventstore.log.port import Log
from eventstore.processor.ownership import owner_of
from tests.eventstore.processor.counters import Bench, Counters


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def log(request: pytest.FixtureRequest, unique: Callable[[str], str]) -> Iterator[Log]:
    """A log of each kind."""
    kafka = request.param == "kafka"
    opened = open_log(f"kafka://{request.getfixturevalue('kafka')}" if kafka else f"memory://{unique('log')}")
    yield opened
    opened.close()


def test_who_gave_a_processor_away_is_refused_from_then_on(log: Log, unique: Callable[[str], str]) -> None:
    """Its positions are still there, so without the note it would fork the streams of the service that has it now."""
    name, old, new = unique("counter"), unique("vault"), unique("safe")
    _served(log, name, old).close()

    reset(log, new, f"{name}.inbox", "end")

    _served(log, name, new).close()

    with pytest.raises(ProcessorTaken, match=f"the service '{new}' does"):
        _served(log, name, old)
    _served(log, name, new).close()


def test_it_may_be_given_back(log: Log, unique: Callable[[str], str]) -> None:
    """By the same command, which the error names."""
    name, old, new = unique("counter"), unique("vault"), unique("safe")
    _served(log, name, old).close()
    reset(log, new, f"{name}.inbox", "end")

    reset(log, old, f"{name}.inbox", "end")

    _served(log, name, old).close()
    with pytest.raises(ProcessorTaken):
        _served(log, name, new)


def test_a_processor_is_not_taken_from_a_service_that_runs(log: Log, unique: Callable[[str], str]) -> None:
    """It would go on until its next rebalance, and two would own the partitions."""
    name, old = unique("counter"), unique("vault")
    running, may_stop = _served(log, name, old), Event()
    thread = Thread(target=running.run, args=(may_stop.is_set,), kwargs={"steps": 10_000_000})
    thread.start()

    try:
        with pytest.raises(GroupInUse, match=old):
            reset(log, unique("safe"), f"{name}.inbox", "end")
    finally:
        may_stop.set()
        thread.join()
    running.close()


@pytest.mark.parametrize(
    ("notes", "service", "owner"),
    [
        ([], "shop", None),
        ([(b"oshop", b"\x01")], "shop", "shop"),
        ([(b"oother", b"\x01")], "shop", "other"),
        ([(b"oother", b"\x01"), (b"oshop", b"\x01")], "shop", "shop"),
        ([(b"o", b"\x01safe"), (b"oshop", b"\x01")], "shop", "safe"),
        ([(b"oshop", b"\x01"), (b"o", b"\x01safe"), (b"o", b"\x01shop")], "shop", "shop"),
    ],
)
def test_what_an_operator_says_outranks_who_came_first(
    notes: list[tuple[bytes, bytes]], service: str, owner: str | None
) -> None:
    """The last of it stands; of those that came at once, whoever has a position is the one."""
    assert owner_of(notes, service) == owner


def _served(log: Log, name: str, service: str) -> Bench:
    """The processor, run by a service until it serves all."""
    bench = Bench(log, service=service, clock=SystemClock(), processors=[Counters(name, 2)])
    try:
        bench.run(steps=20_000)
    except BaseException:
        bench.unit.stop(bench.unit._host.clock.monotonic())
        raise
    return bench
