"""The checks can fail: with one rule of the kernel taken out, the log shows it, and with the rule in, it does not.

Each test does the same twice. What is taken out is put in place of the rule for the test only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from eventstore.clock import ManualClock
from eventstore.log import open_log
from eventstore.log.errors import StaleMember
from eventstore.log.port import Log, Reader
from eventstore.log.records import Isolation, Record, TopicPartition
from eventstore.processor.commits import Commits
from eventstore.processor.due import Barrier
from eventstore.processor.outcomes import Outcomes
from tests.chaos.ledger import gaps
from tests.chaos.streams.planted import commit_without_positions
from tests.eventstore.processor.counters import Add, AddLater, Bench, StopAdding, Total

PLANTED = pytest.mark.parametrize("is_planted", [False, True], ids=["rule", "planted"])


class Stopped(BaseException):
    """Stands for a process that stops in the midst of a call."""


def _not_found(self: Outcomes, input_id: str) -> None:
    return None


@PLANTED
def test_an_input_that_comes_twice_takes_effect_once(is_planted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """K8: without deduplication a repeat is booked twice."""
    if is_planted:
        monkeypatch.setattr(Outcomes, "find", _not_found)
    bench = Bench(open_log("memory://"))

    for _ in range(2):
        bench.post(Add(counter="a", by=5), id="the same")
        bench.run()

    booked = sum(by for _, by in bench.events("a"))
    assert booked == (10 if is_planted else 5)


@PLANTED
def test_a_unit_that_lost_its_partition_commits_nothing_for_it(
    is_planted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K2: a transaction that names no position is fenced by nobody: whoever wakes up late forks the stream."""
    if is_planted:
        monkeypatch.setattr(Commits, "commit", commit_without_positions)
    first = Bench(open_log("memory://"))
    assert first.ask(Add(counter="a", by=1)) == Total(is_=1)
    transactor: Any = first.unit._commits.transactor
    commit, given = transactor.commit, list[tuple[Any, ...]]()

    def stop(*arguments: Any, **_: Any) -> None:
        given.append(arguments)
        raise Stopped

    with monkeypatch.context() as stopping:
        stopping.setattr(transactor, "commit", stop)
        stopping.setattr(transactor, "abort", lambda: None)
        first.call(Add(counter="a", by=2), lambda _: None)
        with pytest.raises(Stopped):
            first.run(lambda: False)
    assert first.unit._consumer is not None
    first.unit._consumer.close()
    second = Bench(first.log, slot="1", clock=first.clock, registry=first.registry)
    second.ask(Add(counter="a", by=3))

    if is_planted:
        commit(*given[0])
    else:
        with pytest.raises(StaleMember):
            commit(*given[0])

    forked = ["counter.events a: version 1 in the place of 2"]
    assert gaps(first.log) == (forked if is_planted else [])


def _at_once(
    self: Barrier, due: list[TopicPartition], positions: Mapping[TopicPartition, int], now_ms: int
) -> dict[TopicPartition, int]:
    return dict.fromkeys(due, now_ms)


@PLANTED
def test_a_reply_that_waited_comes_before_the_time_out(is_planted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """K9: a timer that does not wait for the inbox fires although what cancels it came in time.

    On a real Kafka, and found by the checker of streams: `tests/chaos/streams/test_planted_protections.py`.
    """
    if is_planted:
        monkeypatch.setattr(Barrier, "instants", _at_once)
    clock = ManualClock()
    first = Bench(open_log("memory://"), clock=clock)
    first.ask(AddLater(counter="a", by=5, after_ms=1_000))
    first.close()
    first.post(StopAdding(counter="a"))
    clock.advance(timedelta(seconds=10))

    second = Bench(first.log, slot="1", clock=clock, registry=first.registry)
    second.run()

    assert second.events("a") == ([(0, 5)] if is_planted else [])


class LateMarkers:
    """A log on which the marker of the last transaction is on its way to one partition, as on Kafka it may be.

    Until readers asked a few times, nothing from `held` on is there for them.
    """

    def __init__(self, log: Log, at: TopicPartition, held: int) -> None:
        self._log, self.at, self._held, self._looks = log, at, held, 5
        self.ends_are_committed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def end_positions(
        self, partitions: Iterable[TopicPartition], *, isolation: Isolation = "committed"
    ) -> Mapping[TopicPartition, int]:
        ends = self._log.end_positions(partitions, isolation=isolation)
        if self._looks and (isolation == "committed" or self.ends_are_committed):
            return {at: min(end, self._held) if at == self.at else end for at, end in ends.items()}
        return ends

    def reader(self, positions: Mapping[TopicPartition, int], **options: Any) -> Any:
        return LateReader(self, self._log, positions, options)

    def look(self) -> bool:
        """Whether what was held back is there now."""
        self._looks = max(0, self._looks - 1)
        return not self._looks


class LateReader:
    """Reads nothing of the partition until the marker came."""

    def __init__(
        self, late: LateMarkers, log: Log, positions: Mapping[TopicPartition, int], options: Mapping[str, Any]
    ) -> None:
        self._late, self._positions = late, positions
        self._reader: Reader = log.reader(positions, **options)
        self._is_there = False
        self._held: list[Record] = []

    def read(self, max_records: int, timeout: float) -> Sequence[Record]:
        self._is_there = self._is_there or self._late.look()
        records, self._held = [*self._held, *self._reader.read(max_records, timeout)], []
        if self._is_there:
            return records
        self._held = [record for record in records if TopicPartition(record.topic, record.partition) == self._late.at]
        return [record for record in records if record not in self._held]

    def position(self, at: TopicPartition) -> int:
        return self._positions[at] if at == self._late.at and not self._is_there else self._reader.position(at)

    def close(self) -> None:
        self._reader.close()


@PLANTED
def test_a_successor_has_read_what_was_committed(is_planted: bool) -> None:
    """K4: the position is stable before the markers are everywhere: who restores to the committed end, forks."""
    first = Bench(open_log("memory://"))
    first.ask(Add(counter="a", by=1))
    (record,) = first.records("counter.events")
    first.close()
    log: Any = LateMarkers(first.log, TopicPartition("counter.events", record.partition), 0)
    log.ends_are_committed = is_planted

    second = Bench(log, slot="1", clock=first.clock, registry=first.registry)
    answer = second.ask(Add(counter="a", by=2))

    assert answer == Total(is_=2 if is_planted else 3)
    forked = ["counter.events a: version 0 in the place of 1"]
    assert gaps(first.log) == (forked if is_planted else [])
