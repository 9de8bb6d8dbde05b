"""Follow the journals of partitions that other processes own, so that taking one over means to read the tail (K4, K13).

A standby is a loop with a thread and a reader of its own. It makes the same rows as an owner's restore, in folders of
its own process; nothing is served from them. When the group gives this process such a partition, its takeover takes
the open rows and goes on where they end, with every step of a takeover. A partition that this process gives up is
followed again from its folder.

A standby holds nothing that anybody waits for: it fails alone, begins anew, and a takeover without it reads more.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from threading import Event, Lock

import structlog

from eventstore.component import Host
from eventstore.errors import EventStoreError
from eventstore.log.errors import LogError
from eventstore.log.port import Reader
from eventstore.log.records import Record, TopicDescription, TopicPartition
from eventstore.processor.journals import Journals, Rows, name_of, open_rows, runs
from eventstore.processor.outcomes import Outcomes
from eventstore.processor.port import AnyProcessor
from eventstore.processor.steady import SteadyTime
from eventstore.processor.topics import inbox_of
from eventstore.state.errors import StateDiskFull

log = structlog.get_logger()

LOOK_SECONDS = 5.0
"""How often ends and topics are looked at, and rows written with their positions: a kill takes no more than that."""
RECORDS_AT_ONCE = 500
"""More do not stay in the processor's cache until they are rows."""
REST_SECONDS = 60.0
"""How long a partition whose rows or records cannot be read is left alone."""
YIELD_SECONDS = 0.01
SWEEPS = 20
"""How often expired outcomes are looked for at a look."""


class Followed:
    """One partition that is followed."""

    def __init__(self, rows: Rows, ends: Mapping[TopicPartition, int], passed: SteadyTime) -> None:
        """`ends`: where its journals ended just now. `passed`: since then; what is forgotten follows that."""
        self.rows, self._outcomes, self._passed = rows, Outcomes(rows.state), passed
        self._ends, self._ends_ms = {side: ends[side] for side in rows.journals.sides}, rows.restore.in_sync_ms

    @property
    def lag(self) -> int:
        """Records of the journals that were not read, of those that were there at the last look (markers count too)."""
        return sum(max(0, self._ends[side] - at) for side, at in self.rows.positions.items())

    def look(self, ends: Mapping[TopicPartition, int], now_ms: int) -> None:
        """Its journals ended there at that time. Writes what was read."""
        now_ms = self._passed.not_ahead(now_ms)
        if self.rows.have(self._ends):
            self.rows.restore.in_sync(self._ends_ms)
        self._ends, self._ends_ms = {side: ends[side] for side in self.rows.journals.sides}, now_ms
        for _ in range(SWEEPS):
            self.rows.restore.forget(key for key, is_journaled in self._outcomes.expired(now_ms) if not is_journaled)
        self.rows.restore.write()


class Standby:
    """Follows what this process does not own; a `Loop`.

    `claim`, `take` and `release` are the owner's, on its thread. Metrics may be asked for on any.
    """

    def __init__(
        self, host: Host, group: str, processors: Sequence[AnyProcessor], may_begin: Callable[[], bool]
    ) -> None:
        """`may_begin`: whether the group has given this process what it will, so that the rest is others'."""
        self.name = f"standby {group}"
        self._host, self._group, self._processors, self._may_begin = host, group, tuple(processors), may_begin
        self._lock = Lock()
        """Held while rows are touched."""
        self._followed: dict[TopicPartition, Followed] = {}
        self._claimed: set[TopicPartition] = set()
        self._reader: Reader | None = None
        self._reads: frozenset[TopicPartition] | None = None
        """The partitions whose journals the reader reads on from where their rows end; None: to be found out."""
        self._rests: dict[TopicPartition, float] = {}
        self._next_look, self._is_wanted, self._woken = 0.0, False, Event()
        self._records = self._taken = 0

    # Called by the owner

    def claim(self, inboxes: Sequence[TopicPartition]) -> None:
        """The group gave these partitions to this process: begin with none of them."""
        self._claimed.update(inboxes)

    def take(self, inbox: TopicPartition, timeout: float) -> Rows | None:
        """Hand over the open rows of a claimed partition; None if it was not followed.

        Raises:
            TimeoutError: they are being written to.
        """
        self._is_wanted = True
        if not self._lock.acquire(timeout=timeout):
            raise TimeoutError(f"{self.name} is at work on its rows")
        try:
            self._is_wanted = False
            found = self._followed.pop(inbox, None)
            if found is not None:
                self._reads = None  # if it is given back before the next step, its rows may go less far than the reader
        finally:
            self._lock.release()
        if found is None:
            return None
        self._taken += 1
        return found.rows

    def release(self, inbox: TopicPartition) -> None:
        """This process gave the partition up, and closed its rows."""
        self._claimed.discard(inbox)
        self._next_look = 0.0
        self._woken.set()

    # The loop

    def open(self) -> None:
        self._next_look = 0.0

    def step(self, timeout: float) -> bool:
        if self._is_wanted:
            self._woken.wait(YIELD_SECONDS)
        if self._host.clock.monotonic() >= self._next_look:
            self._look()
        if self._reads != self._followed.keys():
            self._read_followed()
        if self._reader is None:
            self._woken.wait(timeout)
            self._woken.clear()
            return False
        records = self._reader.read(RECORDS_AT_ONCE, timeout)
        self._take_in(self._reader, records)
        return bool(records)

    def is_ready(self) -> bool:
        """Nobody waits for it."""
        return True

    def is_settled(self) -> bool:
        """What it reads is done elsewhere."""
        return True

    def metrics(self) -> Mapping[str, float]:
        followed = list(self._followed.values())
        lags = {
            f'standby_lag{{processor="{one.rows.journals.processor.name}",'
            f'partition="{one.rows.journals.inbox.partition}"}}': float(one.lag)
            for one in followed
        }
        return {
            "standby_partitions": float(len(followed)),
            "standby_records_total": float(self._records),
            "standby_taken_total": float(self._taken),
            **lags,
        }

    def stop(self, deadline: float) -> None:
        with self._lock, ExitStack() as last_first:
            last_first.callback(self._close_reader)
            last_first.callback(self._followed.clear)
            for one in self._followed.values():
                last_first.callback(one.rows.close)
            for one in self._followed.values():
                one.rows.restore.write()

    # What to follow

    def _look(self) -> None:
        """Ask for topics and ends; write what was read; begin with what nobody here owns."""
        self._next_look = self._host.clock.monotonic() + LOOK_SECONDS
        topics = self._host.log.describe(_topics(self._processors))
        found = {one.inbox: one for processor in self._processors for one in _journals(processor, topics)}
        with self._lock:
            for inbox, followed in list(self._followed.items()):
                if inbox not in found or found[inbox].identity(topics) != followed.rows.identity:
                    self._followed.pop(inbox).rows.close()
                    self._reads = None
        elsewhere, now_ms = [one for one in found.values() if one.inbox not in self._claimed], self._host.clock.now_ms()
        ends = self._host.log.end_positions({side for one in elsewhere for side in one.sides}, isolation="uncommitted")
        may_begin = self._may_begin()
        for journals in elsewhere:
            with self._lock, self._guarding(journals.inbox):
                if journals.inbox in self._followed:
                    self._look_at(journals.inbox, ends, now_ms)
                elif may_begin:
                    self._begin(journals, journals.identity(topics), ends)
                if journals.inbox in self._followed:
                    self._followed[journals.inbox].rows.restore.share(len(elsewhere))

    def _look_at(self, inbox: TopicPartition, ends: Mapping[TopicPartition, int], now_ms: int) -> None:
        followed = self._followed[inbox]
        if followed.rows.are_of_use(ends, now_ms):
            followed.look(ends, now_ms)
        else:
            self._start_over(inbox)

    def _begin(self, journals: Journals, identity: str, ends: Mapping[TopicPartition, int]) -> None:
        inbox = journals.inbox
        if inbox in self._claimed or self._host.clock.monotonic() < self._rests.get(inbox, 0.0):
            return
        rows = open_rows(self._host, self._group, journals, identity, ends)
        passed = SteadyTime(self._host.clock.now_ms(), self._host.clock.monotonic)
        self._followed[inbox] = Followed(rows, ends, passed)
        log.info("standby_follows", group=self._group, topic=inbox.topic, partition=inbox.partition)

    def _start_over(self, inbox: TopicPartition) -> None:
        """Forget the rows; they are made anew from the next look on, which is now."""
        self._next_look = 0.0
        followed = self._followed.pop(inbox, None)
        if followed is not None:
            followed.rows.close()
            self._host.state.discard(name_of(self._group, followed.rows.journals))

    @contextmanager
    def _guarding(self, inbox: TopicPartition) -> Generator[None]:
        """Rows that cannot be read are made anew, after a while, for it may be the records. The others are followed."""
        try:
            yield
        except (LogError, StateDiskFull):
            raise
        except EventStoreError as error:
            log.warning("standby_starts_over", topic=inbox.topic, partition=inbox.partition, error=str(error))
            self._rests[inbox] = self._host.clock.monotonic() + REST_SECONDS
            self._start_over(inbox)

    # Reading

    def _read_followed(self) -> None:
        """Have a reader of exactly what is followed."""
        self._close_reader()
        with self._lock:
            positions = {side: at for one in self._followed.values() for side, at in one.rows.positions.items()}
            self._reads = frozenset(self._followed)
        if positions:
            self._reader = self._host.log.reader(positions)

    def _take_in(self, reader: Reader, records: Sequence[Record]) -> None:
        by_side = {side: inbox for inbox, one in list(self._followed.items()) for side in one.rows.journals.sides}
        for side, run in runs(records):
            with self._lock:
                inbox = by_side.get(side)
                followed = None if inbox is None else self._followed.get(inbox)
                if inbox is None or followed is None:
                    continue  # it was taken meanwhile
                with self._guarding(inbox):
                    followed.rows.take_in(side, run)
                    self._records += len(run)
        with self._lock:
            for one in self._followed.values():
                one.rows.reached({side: reader.position(side) for side in one.rows.journals.sides})

    def _close_reader(self) -> None:
        reader, self._reader, self._reads = self._reader, None, None
        if reader is not None:
            reader.close()


def _topics(processors: Sequence[AnyProcessor]) -> set[str]:
    """The names of all topics that it is about."""
    journals = [Journals(TopicPartition(inbox_of(one.name), 0), one) for one in processors]
    return {side.topic for one in journals for side in (one.inbox, *one.sides)}


def _journals(processor: AnyProcessor, topics: Mapping[str, TopicDescription]) -> Iterator[Journals]:
    """Those of each partition. None while topics are missing or have other partitions than they shall (K4)."""
    names = _topics([processor])
    found = [topics[name] for name in names if name in topics]
    counts = {one.partitions for one in found} | {one.manifest_partitions or one.partitions for one in found}
    if len(found) == len(names) and len(counts) == 1:
        for number in range(counts.pop()):
            yield Journals(TopicPartition(inbox_of(processor.name), number), processor)
