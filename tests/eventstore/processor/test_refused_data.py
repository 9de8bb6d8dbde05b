"""Records that a real Kafka refuses at the end of a unit: one input's data, or all, for the clock is wrong (K6)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from eventstore.clock import SystemClock
from eventstore.log.errors import DataRefused
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.registry import TopicRegistry
from schemas import Metadata
from tests.eventstore.processor.counters import Add, Bench, Counters, records_of

LONG = "x" * 5_000


class WrongClock(SystemClock):
    """A machine's clock that somebody set."""

    ahead = timedelta()

    def now_ms(self) -> int:
        return super().now_ms() + int(self.ahead.total_seconds() * 1_000)


@pytest.fixture
def clock() -> WrongClock:
    return WrongClock()


@pytest.fixture
def bench(log: Log, name: str, clock: WrongClock) -> Iterator[Bench]:
    made = Bench(log, service=name, clock=clock, registry=TopicRegistry(log), processors=[Counters(name, 1)])
    made.run(steps=20_000)
    yield made
    made.close()


def post(bench: Bench, name: str, *keys: str) -> None:
    """Put a command for each key into the inbox, all at once."""
    producer = bench.log.producer()
    assert {partition_of(key, 1) for key in keys} == {0}
    for number, key in enumerate(keys):
        metadata = Metadata(id=f"{number} {key[:10]}", type="counter.add").encode()
        value = bench.serde.encode(Add(counter=key, by=1))
        producer.produce(f"{name}.inbox", 0, key.encode(), value, (("meta", metadata),))
    producer.close()


def streams(log: Log, name: str) -> list[str]:
    return [(record.key or b"").decode().partition("/")[0] for record in records_of(log, f"{name}.events")]


def test_what_the_broker_takes_in_no_batch_becomes_a_dead_letter(bench: Bench, log: Log, name: str) -> None:
    """An administrator lowered the topic's limit: the one input is found by halving, its neighbours are handled."""
    log.configure(f"{name}.events", {"max.message.bytes": "2000"})
    post(bench, name, "a", "b", LONG, "c")

    bench.run(lambda: len(records_of(log, f"{name}.inbox.{name}.dlq")) == 1 and len(streams(log, name)) == 3)

    assert streams(log, name) == ["a", "b", "c"]
    [letter] = records_of(log, f"{name}.inbox.{name}.dlq")
    assert letter.key == LONG.encode()


def test_a_clock_that_is_ahead_stops_the_unit_by_name(bench: Bench, log: Log, name: str, clock: WrongClock) -> None:
    """The broker takes no record from the future, no dead letter either. Nothing is lost; set, it goes on."""
    clock.ahead = timedelta(days=2)
    post(bench, name, "a")

    with pytest.raises(DataRefused, match="set this machine's clock"):
        bench.run(lambda: False)

    bench.unit.stop(clock.monotonic())
    clock.ahead = timedelta()
    later = Bench(log, service=name, clock=clock, registry=bench.registry, processors=[Counters(name, 1)])
    later.run(lambda: bool(streams(log, name)), steps=20_000)
    later.close()
    assert streams(log, name) == ["a"]
