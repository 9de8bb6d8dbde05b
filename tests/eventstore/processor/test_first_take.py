"""Two services that host one processor: only the one that took it first runs it, also before its first event (K12)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from eventstore.clock import SystemClock
from eventstore.log import open_log
from eventstore.log.errors import PositionMissing
from eventstore.log.port import Log
from eventstore.log.records import TopicPartition
from eventstore.processor.first_take import SEVERAL, take_first
from eventstore.processor.topics import topics_of
from tests.eventstore.processor.counters import Bench, Counters, records_of


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def log(request: pytest.FixtureRequest, unique: Callable[[str], str]) -> Iterator[Log]:
    """A log of each kind."""
    kafka = request.param == "kafka"
    opened = open_log(f"kafka://{request.getfixturevalue('kafka')}" if kafka else f"memory://{unique('log')}")
    yield opened
    opened.close()


@pytest.fixture
def name(log: Log, unique: Callable[[str], str]) -> str:
    """A processor with two partitions, whose topics are there."""
    made = unique("counter")
    log.create(topics_of(Counters(made, 2), "shop"))
    return made


def journals(name: str) -> dict[TopicPartition, list[TopicPartition]]:
    """Of each of its partitions."""
    return {
        TopicPartition(f"{name}.inbox", number): [
            TopicPartition(f"{name}.{kind}", number) for kind in ("events", "state")
        ]
        for number in range(2)
    }


def test_a_second_service_is_refused_before_the_first_event(log: Log, name: str) -> None:
    """They would be two owners of each partition; the error names who has it. Nothing was appended by anybody."""
    clock = SystemClock()
    first, second = (Bench(log, service=one, clock=clock, processors=[Counters(name, 2)]) for one in ("shop", "other"))
    first.run(steps=20_000)

    with pytest.raises(PositionMissing, match="the service 'shop' has taken it, so another service runs the processor"):
        second.run(lambda: False)

    second.unit.stop(clock.monotonic())
    first.close()
    again = Bench(log, service="shop", clock=clock, registry=first.registry, processors=[Counters(name, 2)])
    again.run(steps=20_000)
    again.close()


def test_of_two_that_start_at_once_the_order_of_the_topic_decides(log: Log, name: str) -> None:
    """Both saw nothing and wrote: whoever wrote second reads who was first, now and later."""
    blind: Any = SeesNothing(log)
    take_first(blind, "shop", journals(name))

    with pytest.raises(PositionMissing, match="'shop' has taken it"):
        take_first(blind, "other", journals(name))
    with pytest.raises(PositionMissing, match="'shop' has taken it"):
        take_first(log, "other", journals(name))
    take_first(log, "shop", journals(name))


def test_who_died_before_its_position_was_committed_finds_its_own_record(log: Log, name: str) -> None:
    """And goes on, without another one."""
    take_first(log, "shop", journals(name))
    take_first(log, "shop", journals(name))

    assert [record.key for record in records_of(log, f"{name}.state")] == [b"oshop", b"oshop"]  # one per partition


@pytest.mark.parametrize("count", [1, SEVERAL + 1])
def test_other_records_of_the_journal_tell_that_it_was_served(log: Log, name: str, count: int) -> None:
    """Its group's positions are gone then, and what was refused is not known."""
    take_first(log, "shop", journals(name))
    producer = log.producer()
    for number in range(count):
        producer.send(f"{name}.state", 1, b"d%d" % number, b"\x01")
    producer.close()

    with pytest.raises(PositionMissing, match=rf"{name}\.state has records"):
        take_first(log, "shop", journals(name))


class SeesNothing:
    """A log as it was before anybody wrote to it, to who asks where it ends; all else is as it is."""

    def __init__(self, log: Log) -> None:
        self.producer, self.reader, self._log = log.producer, log.reader, log

    def end_positions(self, partitions: Iterable[TopicPartition], *, isolation: Any) -> dict[TopicPartition, int]:
        """Nothing of several partitions at once; the truth of one."""
        wanted = list(partitions)
        if len(wanted) > 1:
            return dict.fromkeys(wanted, 0)
        return self._log.end_positions(wanted, isolation=isolation)
