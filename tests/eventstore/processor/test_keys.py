"""K7: a key that would run into its neighbours' rows is a dead letter, and is refused where it is given."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from eventstore.clock import due_ms
from eventstore.log import open_log
from eventstore.log.partition import partition_of
from eventstore.processor.asking import Asking
from eventstore.state.memory import MemoryStateEngine
from schemas import Metadata, key_of
from tests.eventstore.processor.counters import Add, AddLater, Bench, Counters, Total
from tests.eventstore.processor.states.tallies import AddLater as TallyLater
from tests.eventstore.processor.states.tallies import Tallies, TallyBench

AMONG_EVENTS_OF_A = "a" + "\0" * 8


def test_entities_do_not_take_events_of_other_keys() -> None:
    """The row of the second one's event lay between those of the first one's; who restored them counted it in."""
    bench = Bench(open_log("memory://"), processors=[Counters(partitions=1)])
    post(bench, "counter.inbox", "a", Add(counter="a", by=1))
    post(bench, "counter.inbox", "a", Add(counter="a", by=2))
    post(bench, "counter.inbox", AMONG_EVENTS_OF_A, Add(counter="b", by=50))
    bench.run()
    bench.close()

    successor = Bench(
        bench.log, registry=bench.registry, state=MemoryStateEngine(), processors=[Counters(partitions=1)]
    )
    post(successor, "counter.inbox", "a", Add(counter="a", by=3))
    successor.run()

    assert successor.events("a") == [(0, 1), (1, 2), (2, 3)]
    assert successor.ask(Add(counter="a", by=1)) == Total(is_=7)
    [letter] = successor.records("counter.inbox.bench.dlq")
    assert letter.key == AMONG_EVENTS_OF_A.encode()


@pytest.mark.parametrize("keeps", ["events", "states"])
def test_a_timer_of_such_a_key_keeps_nobody_from_restoring_the_partition(keeps: str) -> None:
    """Its row could not be told from that of another key and name, and no successor came any further."""
    bench = (
        Bench(open_log("memory://")) if keeps == "events" else TallyBench(open_log("memory://"), processors=[Tallies()])
    )
    name = bench.processors[0].name
    later = (
        AddLater(counter="a", by=1, after_ms=5) if keeps == "events" else TallyLater(sensor="a", amount=1, after_ms=5)
    )
    post(bench, f"{name}.inbox", "a\0", later)
    bench.run()
    bench.close()

    successor = type(bench)(bench.log, registry=bench.registry, state=MemoryStateEngine(), processors=bench.processors)
    successor.run()

    assert len(successor.records(f"{name}.inbox.bench.dlq")) == 1


async def test_it_is_refused_where_it_is_given(bench: Bench) -> None:
    """By a command that is sent, a question for any key, and the name of a timer."""
    with pytest.raises(ValueError, match=r"key 'a\\x00' contains U\+0000"):
        key_of(Add(counter="a\0", by=1))
    with pytest.raises(ValueError, match=r"key 'a\\x00' contains U\+0000"):
        await Asking(bench.host, lambda: None, str).ask("counter", "a\0", Add(counter="a", by=1))
    with pytest.raises(ValueError, match=r"its name contains U\+0000"):
        due_ms("a\0", datetime.now(UTC))


def post(bench: Bench, inbox: str, key: str, message: Add | AddLater | TallyLater) -> None:
    """Put it into the inbox under this key, as no client of ours does."""
    producer, at = bench.log.producer(), partition_of(key, bench.log.describe([inbox])[inbox].partitions)
    meta = Metadata(id=f"{key} {message}", type=message.__type_name__).encode()
    producer.produce(inbox, at, key.encode(), bench.serde.encode(message), (("meta", meta),))
    producer.close()
