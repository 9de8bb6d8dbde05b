"""A standby follows a processor that keeps states and no events: its state topic is all that there is (K1, K4)."""

from __future__ import annotations

from eventstore.clock import ManualClock
from eventstore.log import open_log
from eventstore.log.local.consumer import LocalConsumer
from eventstore.log.partition import partition_of
from eventstore.state.memory import MemoryStateEngine
from schemas import MemoryRegistry
from tests.eventstore.processor.states.tallies import PARTITIONS, Add, Forget, Tallied, Tallies, TallyBench


def test_states_are_followed_and_taken_over() -> None:
    """The newest state of each key is there, one that was deleted is not, and nothing is read at the takeover."""
    log, clock, registry = open_log("memory://"), ManualClock(), MemoryRegistry()
    first, second = (
        TallyBench(
            log, slot=slot, clock=clock, state=MemoryStateEngine(), registry=registry, processors=[Tallies()],
            follows=slot == "1",
        )
        for slot in ("0", "1")
    )  # fmt: skip
    both = [first, second]

    def until(is_so: object) -> None:
        assert callable(is_so)
        for _ in range(2_000):
            for one in both:
                one.unit.step(0.001)
            if is_so():
                return
        raise AssertionError("not so")

    def served(one: TallyBench) -> float:
        return one.unit.metrics()["processor_partitions"]

    until(lambda: served(first) == served(second) == 1 and second.unit.is_ready())
    kept, gone = [key for key in "abcdefgh" if first.unit.owns("tally", partition_of(key, PARTITIONS))][:2]
    for amount in (1, 2, 3):
        first.ask(Add(sensor=kept, amount=amount))
        first.ask(Add(sensor=gone, amount=amount))
    first.ask(Forget(sensor=gone))
    for _ in range(20):
        second.standby.step(0.001)
    both.remove(first)
    consumer = first.unit._consumer
    assert isinstance(consumer, LocalConsumer)
    consumer.expire()
    before = second.unit.metrics()["processor_restored_records_total"]
    until(lambda: served(second) == 2)

    assert second.unit.metrics()["processor_restored_records_total"] == before
    assert second.look(kept) == (3, 6)
    assert second.look(gone) == (0, 0)
    assert second.ask(Add(sensor=kept, amount=1)) == Tallied(count=4, amount=7)
    second.standby.stop(0)
