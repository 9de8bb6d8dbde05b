"""A standby follows what another process owns, so that its own takes over with little to read (K4, K13)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from eventstore.clock import ManualClock
from eventstore.log import open_log
from eventstore.log.local.consumer import LocalConsumer
from eventstore.log.local.log import LocalLog
from eventstore.log.partition import partition_of
from eventstore.log.records import TopicPartition
from eventstore.processor.rows import outcome_key
from eventstore.processor.standby import LOOK_SECONDS, REST_SECONDS
from eventstore.processor.topics import DEDUPLICATION_WINDOW_MS, topics_of
from eventstore.state.memory import MemoryStateEngine
from eventstore.state.port import StateEngine
from eventstore.state.rocks import RocksStateEngine
from schemas import MemoryRegistry
from tests.eventstore.processor.counters import Add, AddLater, Ask, Bench, Counters, Total

LOOK = timedelta(seconds=LOOK_SECONDS)


class Pair:
    """Two processes of one service on a log in memory, stepped by hand; the second one has a standby."""

    def __init__(self, states: Callable[[], StateEngine] = MemoryStateEngine) -> None:
        self.clock = ManualClock()
        opened = open_log("memory://", clock=self.clock)
        assert isinstance(opened, LocalLog)
        self.log, self.registry = opened, MemoryRegistry()
        self.first = self._bench("0", MemoryStateEngine(), follows=False)
        self.first.run()
        self.second = self._bench("1", states(), follows=True)
        self._alive = [self.first, self.second]
        self.is_standby_away = False
        self.until(lambda: self.first.unit.is_ready() and self.second.unit.is_ready() and self.share() == 1)
        self.follow()
        self._before = self.of_standby("records_total"), self._restored()

    def _bench(self, slot: str, state: StateEngine, *, follows: bool) -> Bench:
        return Bench(self.log, slot=slot, clock=self.clock, state=state, registry=self.registry, follows=follows)

    def share(self) -> float:
        """How many partitions the second one has."""
        return self.second.unit.metrics()["processor_partitions"]

    def key(self) -> str:
        """An entity of the partition that the first one owns."""
        return next(key for key in "abcdefgh" if self.first.unit.owns("counter", partition_of(key, 2)))

    def inbox(self) -> TopicPartition:
        """The partition of that entity."""
        return TopicPartition("counter.inbox", partition_of(self.key(), 2))

    def step(self) -> None:
        for one in self._alive:
            one.unit.step(0.001)
        if not self.is_standby_away:
            self.second.standby.step(0.001)

    def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(2_000):
            self.step()
            if condition():
                return
        raise AssertionError("not so after 2,000 steps")

    def look(self) -> None:
        """Let the standby look at topics and ends."""
        self.clock.advance(LOOK)
        self.step()

    def add(self, by: int, **options: Any) -> None:
        """Have the first one add to its entity."""
        assert isinstance(self.first.ask(Add(counter=self.key(), by=by), **options), Total)

    def follow(self) -> None:
        """Have the standby read everything that there is."""
        self.look()
        self.until(lambda: self.of_standby("partitions") == 1 and self.lag() == 0)

    def lag(self) -> float:
        samples = self.second.standby.metrics()
        return sum(samples[name] for name in samples if name.startswith('standby_lag{processor="counter",partition="'))

    def of_standby(self, name: str) -> float:
        return self.second.standby.metrics()[f"standby_{name}"]

    def kill(self) -> str:
        """The first one's session ends as if it had been killed; the second one takes what it had. Returns its key.

        The standby reads no more meanwhile.
        """
        key = self.key()
        self.lose_first()
        self.until(lambda: self.share() == 2 and self.second.unit.is_ready())
        self.is_standby_away = False
        return key

    def lose_first(self) -> None:
        """End the session of the first one, which is stepped no more. Nor is the standby."""
        self.is_standby_away = True
        self._alive.remove(self.first)
        consumer = self.first.unit._consumer
        assert isinstance(consumer, LocalConsumer)
        consumer.expire()

    def read(self) -> float:
        """Records that the standby has read since it follows."""
        return self.of_standby("records_total") - self._before[0]

    def restored(self) -> float:
        """Records that the second one read since then to take partitions."""
        return self._restored() - self._before[1]

    def _restored(self) -> float:
        return self.second.unit.metrics()["processor_restored_records_total"]


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.second.standby.stop(0)
    made.log.close()


def test_a_takeover_goes_on_with_what_the_standby_has_read(pair: Pair) -> None:
    """K4: only what came after that is read; nothing is lost or doubled."""
    for _ in range(10):
        pair.add(1)
    pair.follow()
    for _ in range(3):
        pair.add(1)
    key = pair.kill()

    assert pair.restored() == 3
    assert pair.of_standby("taken_total") == 1
    assert pair.second.ask(Add(counter=key, by=1)) == Total(is_=14)
    assert [version for version, _ in pair.second.events(key)] == list(range(14))


def test_without_a_standby_all_is_read(pair: Pair) -> None:
    """K4: what the count of the test above is to be compared with."""
    for _ in range(10):
        pair.add(1)
    pair.second.standby.stop(0)
    pair.second.host.state.discard(f"bench/counter/{pair.inbox().partition}")
    pair.kill()

    assert pair.restored() == 11  # the first one notes who took it


def test_a_repeat_is_known_after_a_warm_takeover(pair: Pair) -> None:
    """K8: the standby makes all the rows of an owner, outcomes and timers too."""
    pair.add(5, id="once")
    pair.first.ask(AddLater(counter=pair.key(), by=2, after_ms=60_000))
    pair.follow()
    key = pair.kill()

    assert pair.second.ask(Add(counter=key, by=5), id="once") == Total(is_=5)
    pair.clock.advance(timedelta(minutes=2))
    pair.until(lambda: [by for _, by in pair.second.events(key)] == [5, 2])


def test_what_this_process_owns_is_not_followed(pair: Pair) -> None:
    """K13: its folders are opened once: by the owner."""
    pair.kill()
    pair.look()

    assert pair.share() == 2
    assert pair.of_standby("partitions") == 0


def test_what_is_given_up_is_followed_again_from_its_folder(pair: Pair) -> None:
    """A process that loses a partition goes on from its own rows: nothing is read twice."""
    pair.add(1)
    pair.follow()
    key = pair.kill()
    for _ in range(20):
        pair.second.ask(Add(counter=key, by=1))
    before = pair.read()

    third = pair._bench("2", MemoryStateEngine(), follows=False)
    pair._alive.append(third)
    pair.until(lambda: third.unit.is_ready() and pair.share() == 1)
    pair.follow()

    assert pair.read() == before


def test_a_standby_that_is_behind_says_how_much_and_catches_up(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lag is in records."""
    pair.follow()
    monkeypatch.setattr("eventstore.processor.standby.RECORDS_AT_ONCE", 1)
    for _ in range(8):
        pair.add(1)
    pair.look()

    behind = pair.lag()
    pair.until(lambda: pair.lag() == 0)

    assert behind == 7  # one was read in the step of the look
    pair.kill()
    assert pair.restored() == 0


def test_what_is_begun_with_is_behind_at_once(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits until a standby has caught up does not take one that has just begun for such a one."""
    for _ in range(8):
        pair.add(1)
    pair.second.standby.stop(0)
    pair.second.host.state.discard(f"bench/counter/{pair.inbox().partition}")
    monkeypatch.setattr("eventstore.processor.standby.RECORDS_AT_ONCE", 1)

    pair.look()

    assert pair.lag() == 8  # and what the first one noted, which was read in the step of the look


def test_a_standby_that_is_at_work_on_its_rows_is_waited_for(pair: Pair) -> None:
    """The unit goes on serving its other partitions meanwhile (K4)."""
    pair.add(1)
    pair.follow()
    mine = next(key for key in "abcdefgh" if pair.second.unit.owns("counter", partition_of(key, 2)))
    with pair.second.standby._lock:
        pair.lose_first()
        pair.until(lambda: pair.second.unit.owns("counter", pair.inbox().partition))
        answer = pair.second.ask(Add(counter=mine, by=1))
        shared = pair.share()

    pair.until(lambda: pair.share() == 2)
    assert (answer, shared, pair.restored()) == (Total(is_=1), 1, 0)


def test_a_partition_that_comes_and_goes_before_it_is_taken_stays_followed(pair: Pair) -> None:
    """Given and revoked within one takeover: the standby never let it go."""
    pair.add(1)
    pair.follow()
    pair.second.standby.claim([pair.inbox()])
    pair.second.standby.release(pair.inbox())
    pair.add(1)
    pair.follow()

    assert pair.read() == 2


def test_a_partition_that_is_taken_and_given_up_at_once_is_read_again_from_its_rows(pair: Pair) -> None:
    """K4: what was read and not written went with the rows; a reader that stands behind it would leave it out."""
    pair.add(1)
    pair.follow()
    pair.add(1)
    pair.until(lambda: pair.read() == 2)
    standby, inbox = pair.second.standby, pair.inbox()
    standby.claim([inbox])
    rows = standby.take(inbox, 1)
    assert rows is not None
    rows.close()
    standby.release(inbox)
    pair.follow()

    key = pair.kill()

    assert pair.second.ask(Add(counter=key, by=1)) == Total(is_=3)
    assert [version for version, _ in pair.second.events(key)] == [0, 1, 2]


def test_rows_that_missed_tombstones_are_made_anew(pair: Pair) -> None:
    """K13: a process slept for longer than half of the tombstones' retention."""
    pair.add(1)
    pair.follow()
    for _ in range(3):
        pair.clock.advance(timedelta(hours=5))
        for one in (pair.first, pair.second):
            one.unit.step(0.001)  # the standby slept, the units did not
    pair.follow()

    assert pair.read() == 3  # what the first one noted, anew


def test_journals_that_were_made_again_are_followed_anew(pair: Pair) -> None:
    """K13: rows of a topic that was deleted are rows of nothing."""
    pair.add(1)
    pair.follow()
    followed = next(iter(pair.second.standby._followed.values())).rows.identity
    pair.log.delete(["counter.events", "counter.state"])
    for topic in topics_of(Counters(), "bench"):
        pair.log.create([topic])

    pair.look()

    [now] = [one.rows for one in pair.second.standby._followed.values()]
    assert now.identity != followed
    assert now.positions == dict.fromkeys(now.journals.sides, 0)


def test_damaged_rows_are_made_anew(tmp_path: Path) -> None:
    """A row that is not as it was written, and a folder that RocksDB cannot open: nobody has to remove anything."""
    pair = Pair(lambda: RocksStateEngine(tmp_path))
    pair.add(1)
    pair.follow()
    [followed] = pair.second.standby._followed.values()
    followed.rows.state.write([(b"h" + pair.key().encode(), b"garbage")])
    pair.add(1)
    pair.look()
    assert pair.of_standby("partitions") == 0

    pair.clock.advance(timedelta(seconds=REST_SECONDS))
    for one in (pair.first, pair.second):
        one.unit.step(0.001)
    pair.follow()
    assert pair.read() == 4  # three of them anew

    pair.second.standby.stop(0)
    for file in tmp_path.glob(f"bench/counter/{pair.inbox().partition}/rows/MANIFEST-*"):
        file.write_bytes(b"garbage")
    pair.follow()
    key = pair.kill()

    assert pair.restored() == 0
    assert pair.second.ask(Ask(counter=key)) == Total(is_=2)
    pair.second.close()


def test_outcomes_that_no_repeat_can_ask_for_are_forgotten(pair: Pair) -> None:
    """K1: else a standby's folder would grow beyond its owner's."""
    pair.add(1, id="old")
    pair.follow()
    pair.look()
    [followed] = pair.second.standby._followed.values()
    state = followed.rows.state
    assert state.get(outcome_key("old")) is not None

    for _ in range(DEDUPLICATION_WINDOW_MS // 3_600_000 + 2):
        pair.clock.advance(timedelta(hours=1))
        for one in (pair.first, pair.second):
            one.unit.step(0.001)
        pair.look()

    assert state.get(outcome_key("old")) is None


def test_what_a_standby_has_read_survives_its_process(tmp_path: Path) -> None:
    """A standby that starts again goes on where it was, when it was killed between two looks at the last look."""
    pair = Pair(lambda: RocksStateEngine(tmp_path))
    for _ in range(5):
        pair.add(1)
    pair.follow()
    pair.look()
    [followed] = pair.second.standby._followed.values()
    followed.rows.state.close()  # what a kill does: nothing is written any more

    successor = pair._bench("1", RocksStateEngine(tmp_path), follows=True)
    pair._alive = [pair.first, successor]
    pair.second.unit.stop(0)
    pair.second = successor
    pair.until(lambda: successor.unit.is_ready() and pair.share() == 1)
    pair.follow()

    assert pair.of_standby("records_total") == 0  # of the successor
    successor.standby.stop(0)
    successor.close()
