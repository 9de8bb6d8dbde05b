"""E3: when snapshots are taken, and what they never do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from eventstore.aggregate import Aggregate, decide, evolve, processor_of
from eventstore.clock import ManualClock
from eventstore.decider import Decider, Decision
from eventstore.log.errors import TransactionAborted
from eventstore.log.partition import partition_of
from eventstore.processor.snapshots import Snapshots
from schemas.definition import DefinitionError
from tests.eventstore.processor.counters import Add, Added, Ask, Bench, Total
from tests.eventstore.snapshots.tallies import FOLDED, Tally, TallyBench


class Opaque:
    """Nobody knows how to write it."""


def test_one_is_taken_after_so_many_events(bench: TallyBench) -> None:
    """Of version 4 after five, of version 9 after ten; none in between."""
    bench.add(1, 2, 3, 4)
    assert bench.snapshot() is None

    bench.add(5)
    first = bench.snapshot()
    bench.add(6)
    assert bench.snapshot() == first
    bench.add(7, 8, 9, 10)

    assert [one.version for one in (first, bench.snapshot()) if one] == [4, 9]
    assert bench.count("snapshots_taken_total") == 2


def test_it_is_in_the_transaction_of_its_events(bench: TallyBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """E3: of a batch that is aborted, no snapshot is left, neither in the log nor in the state."""
    bench.add(1, 2, 3, 4)
    transactor: Any = bench.unit._commits.transactor
    real, failures = transactor.commit, [TransactionAborted("broken")]
    seen: list[object] = []

    def commit(*what: Any, **how: Any) -> Any:
        if failures:
            raise failures.pop()
        seen.append(bench.snapshot())
        return real(*what, **how)

    monkeypatch.setattr(transactor, "commit", commit)
    bench.add(5)

    assert seen == [None]
    assert len(bench.journaled()) == 1
    kept = bench.snapshot()
    assert kept is not None
    assert kept.version == 4


def test_a_batch_has_one_snapshot_of_an_entity(bench: TallyBench) -> None:
    """Of its last version, however often one was due."""
    bench.add(*range(1, 24))

    assert len(bench.journaled()) < 5
    kept = bench.snapshot()
    assert kept is not None
    assert kept.version >= 4


def test_what_a_failing_command_did_is_in_no_snapshot(bench: TallyBench) -> None:
    """K7: its events were dropped, though they would have made one due. It is taken with the next input."""
    bench.add(1, 2, 3, 4, -1)
    assert bench.snapshot() is None

    bench.add(5, -1)
    assert bench.total() == (15, 5)

    assert bench.next().total() == (15, 0)


def test_one_is_taken_when_folding_took_long(bench: TallyBench) -> None:
    """By the clock, on the next command of whatever kind; not when it was quick."""
    assert isinstance(bench.clock, ManualClock)
    clock: ManualClock = bench.clock

    class Slow(Tally, name="counter", partitions=2, snapshot=Snapshots(folding=timedelta(milliseconds=50))):
        @evolve
        def added(self, event: Added) -> None:
            clock.advance(timedelta(milliseconds=20))
            self.total += event.by

    slow = bench.next(Slow)
    slow.add(1, 2)
    quick = slow.next(Slow)
    quick.total()
    assert quick.snapshot() is None

    quick.add(3)
    late = quick.next(Slow)
    late.total()

    kept = late.snapshot()
    assert kept is not None
    assert kept.version == 2
    assert late.count("snapshots_taken_total") == 1


def test_one_that_is_too_large_for_a_record_is_not_taken(bench: TallyBench) -> None:
    """The command stands; it is counted, and said, once until as many events came again."""

    class Hoard(Tally, name="counter", partitions=2, snapshot=Snapshots(every=5)):
        everything: str = ""

        @evolve
        def added(self, event: Added) -> None:
            self.total += event.by
            self.everything = "x" * 99_000

    hoard = bench.next(Hoard)
    with capture_logs() as said:
        for by in range(1, 8):
            hoard.add(by)

    assert hoard.total()[0] == 28
    assert hoard.snapshot() is None
    assert hoard.count('snapshots_not_taken_total{reason="too_large"}') == 1
    assert [line["reason"] for line in said if line["event"] == "snapshot_not_taken"] == ["too_large"]


def test_one_that_would_be_read_as_another_state_is_not_taken(bench: TallyBench) -> None:
    """JSON knows no tuples: what is not read as it was written is not kept."""

    class Loose(Tally, name="counter", partitions=2, snapshot=Snapshots(every=2)):
        anything: Any = None

        @evolve
        def added(self, event: Added) -> None:
            self.total += event.by
            self.anything = (1, 2)

    loose = bench.next(Loose)
    loose.add(1, 2)

    assert loose.snapshot() is None
    assert loose.count('snapshots_not_taken_total{reason="not_exact"}') == 1
    assert loose.total()[0] == 3


def test_an_aggregate_without_a_policy_has_none(bench: TallyBench) -> None:
    """The default."""

    class Plain(Tally, name="counter", partitions=2):
        pass

    plain = bench.next(Plain)
    plain.add(*range(50))

    assert plain.journaled() == []


def test_a_policy_says_when() -> None:
    """A policy by which none is ever taken is a mistake."""
    with pytest.raises(ValueError, match="never taken"):
        Snapshots()
    with pytest.raises(ValueError, match="1 at least"):
        Snapshots(every=0)
    with pytest.raises(ValueError, match="positive"):
        Snapshots(folding=timedelta())


def test_a_state_that_cannot_be_written_is_an_error_at_import() -> None:
    """It names the line, and what to do."""
    with pytest.raises(DefinitionError, match=r"test_taking\.py.*snapshots of it: its state cannot be written"):

        class It(Aggregate[Added], name="it", snapshot=Snapshots(every=5)):  # pyright: ignore[reportUnusedClass]
            model_config = {"arbitrary_types_allowed": True}  # noqa: RUF012 - pydantic's way
            held: Opaque = Opaque()

            @evolve
            def added(self, event: Added) -> None: ...


def test_a_decider_takes_snapshots_too(bench: TallyBench) -> None:
    """S6: of what `initial` is, or is annotated to return."""

    @dataclass(frozen=True)
    class Sum:
        total: int = 0
        seen: frozenset[int] = frozenset()

    def nothing() -> Sum:
        return Sum()

    sums = Decider("counter", initial=nothing, events=[Added], partitions=2, snapshot=Snapshots(every=5))

    @sums.decide
    def add(state: Sum, command: Add) -> Decision[Added, Total]:
        yield Added(by=command.by)
        return Total(is_=state.total + command.by)

    @sums.decide
    def ask(state: Sum, command: Ask) -> Total:
        FOLDED.append(len(state.seen))
        return Total(is_=state.total)

    @sums.evolve
    def added(state: Sum, event: Added) -> Sum:
        return Sum(state.total + event.by, state.seen | {event.by})

    def owner() -> Bench:
        processor = sums.processor()
        return Bench(bench.log, clock=bench.clock, registry=bench.registry, state=bench.state, processors=[processor])

    bench.close()
    first = owner()
    for by in (1, 2, 3, 3, 4, 5):
        first.ask(Add(counter="a", by=by))
    first.close()
    second = owner()
    FOLDED.clear()

    assert second.ask(Ask(counter="a")) == Total(is_=18)
    assert FOLDED == [5]
    assert second.unit.metrics()["processor_snapshots_used_total"] == 1


def test_a_decider_whose_state_cannot_be_written_is_refused() -> None:
    """A plain class says nothing of what it holds."""
    with pytest.raises(DefinitionError, match="snapshots of it"):
        Decider("it", initial=Opaque, events=[Added], snapshot=Snapshots(every=5))


def test_decoded_entities_are_bounded_and_counted(bench: TallyBench) -> None:
    """`cached=2` keeps two: the third pushes out the one that was not used for longest."""

    class Few(Aggregate[Added], name="counter", partitions=2, cached=2):
        total: int = 0

        @decide
        def add(self, command: Add) -> Total:
            self.record(Added(by=command.by))
            return Total(is_=self.total)

        @decide
        def ask(self, command: Ask) -> Total:
            return Total(is_=self.total)

        @evolve
        def added(self, event: Added) -> None:
            self.total += event.by

    bench.close()
    few = Bench(bench.log, clock=bench.clock, registry=bench.registry, processors=[processor_of(Few)])
    keys = [key for key in "abcdefghij" if partition_of_two(key)][:3]
    for key in (*keys, keys[2], keys[0]):
        few.ask(Add(counter=key, by=1))

    found = few.unit.metrics()
    assert (found["processor_entity_hits_total"], found["processor_entity_misses_total"]) == (1, 4)


def partition_of_two(key: str) -> bool:
    """Whether the key is in the first of two partitions."""
    return partition_of(key, 2) == 0
