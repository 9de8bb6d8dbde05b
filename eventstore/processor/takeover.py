"""Take partitions that the group assigned, in slices, while the others are served (K4, K5).

In this order: the manifest, because a partition that was added has no journal to ask for; the committed position,
waiting until it is stable; the *uncommitted* ends of the journal topics; a read-committed restore until the reader's
position reaches them; then the partition is served. A position that stays pending for longer than a second is a hung
predecessor's: its transactional id, named in the position's metadata, is fenced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import structlog

from eventstore.component import Host
from eventstore.log.errors import PartitionCountChanged, StaleMember
from eventstore.log.port import GroupConsumer, Reader
from eventstore.log.records import Position, Record, TopicPartition
from eventstore.processor.changelog_partition import StatePartition
from eventstore.processor.counts import EntityCounts
from eventstore.processor.first_take import take_first
from eventstore.processor.journals import Journals, Rows, open_rows, runs
from eventstore.processor.ownership import check_owner
from eventstore.processor.partition import Partition
from eventstore.processor.port import AnyProcessor, keeps_states
from eventstore.processor.predecessor import Predecessor
from eventstore.processor.routes import Routes
from eventstore.processor.rows import SyncedTo
from eventstore.processor.standby import Standby

log = structlog.get_logger()

SLICE_SECONDS = 0.05
LONGEST_SLICE_SECONDS = 0.4
"""How long to wait for positions at most: a busy broker may never answer within a slice."""
STANDSTILL_SECONDS = 15.0
"""Longer than an open transaction lives."""
RECORDS_AT_ONCE = 500
"""More do not stay in the processor's cache until they are rows."""


class Phase(Enum):
    """How far a takeover is."""

    MANIFEST = "comparing the topics with the manifest"
    POSITION = "waiting for a stable position"
    ENDS = "asking for the ends"
    RESTORE = "restoring"
    WRITE = "writing what was restored"
    DONE = "done"


@dataclass(slots=True)
class Taken:
    """One partition being taken."""

    written: Journals
    position: int = -1
    rows: Rows | None = None
    synced: SyncedTo | None = None
    """How far the rows go, once all are written."""
    inbox_end: int = 0
    restored: int = 0
    """Records of the journals that were read."""
    was_followed: bool = False
    """Whether the rows are those of the standby."""

    @property
    def inbox(self) -> TopicPartition:
        return self.written.inbox

    @property
    def processor(self) -> AnyProcessor:
        return self.written.processor

    @property
    def journals(self) -> Sequence[TopicPartition]:
        """What it is restored from, what tells of handled inputs first."""
        return self.written.sides

    def close(self) -> None:
        """Give it up."""
        if self.rows is not None:
            self.rows.close()


class Takeover:
    """Takes the partitions of one assignment together: one reader restores them all."""

    def __init__(
        self,
        host: Host,
        group: str,
        consumer: GroupConsumer,
        routes: Routes,
        targets: Sequence[tuple[TopicPartition, AnyProcessor]],
        metadata: str,
        counts: EntityCounts,
        standby: Standby | None = None,
    ) -> None:
        """`standby`: what followed the partitions until now, if something did."""
        self._host, self._group, self._consumer, self._routes = host, group, consumer, routes
        self._counts, self._standby = counts, standby
        self._metadata = metadata
        self.targets = {inbox: Taken(Journals(inbox, processor)) for inbox, processor in targets}
        self.phase = Phase.MANIFEST
        self._patience = SLICE_SECONDS
        self._predecessor = Predecessor(host, group, metadata)
        self._reader: Reader | None = None
        self._ends: dict[TopicPartition, int] = {}
        self._reached: dict[TopicPartition, int] = {}
        self._reached_at = host.clock.monotonic()
        self._slices: dict[Phase, Callable[[], None]] = {
            Phase.MANIFEST: self._check_manifest,
            Phase.POSITION: self._take_positions,
            Phase.ENDS: self._take_ends,
            Phase.RESTORE: self._restore,
            Phase.WRITE: self._write,
        }

    def drop(self, inbox: TopicPartition) -> None:
        """Give up one partition: it was revoked."""
        taken = self.targets.pop(inbox, None)
        if taken is not None:
            taken.close()
        if not self.targets:
            self.close()

    def close(self) -> None:
        """Give up all."""
        for taken in self.targets.values():
            taken.close()
        self.targets.clear()
        self._close_reader()

    def step(self) -> list[tuple[Taken, Partition[Any]]]:
        """One slice; returns the partitions when all are restored."""
        self._slices[self.phase]()
        if self.phase is not Phase.DONE:
            return []
        self._close_reader()
        ready = [(taken, self._partition(taken)) for taken in self.targets.values()]
        self.targets.clear()
        return ready

    def _check_manifest(self) -> None:
        names = {side.topic for one in self.targets.values() for side in (one.inbox, *one.journals)}
        for name, found in self._host.log.describe(names).items():
            if found.manifest_partitions not in (None, found.partitions):
                raise PartitionCountChanged(name, manifest=found.manifest_partitions or 0, actual=found.partitions)
        self.phase = Phase.POSITION

    def _take_positions(self) -> None:
        inboxes = [taken.inbox for taken in self.targets.values() if taken.position < 0]
        try:
            found = self._consumer.committed(inboxes, self._patience)
        except TimeoutError:
            self._patience = min(self._patience * 2, LONGEST_SLICE_SECONDS)
            known = self._predecessor.look(inboxes)
            if known is None:
                return
            found = dict(known)
        missing = [inbox for inbox in inboxes if found.get(inbox) is None]
        try:
            first = self._first_positions(missing) if missing else {}
        except StaleMember:
            return  # the group is moving: what is still ours goes on in the next slice
        for inbox in inboxes:
            position = found.get(inbox)
            self.targets[inbox].position = first[inbox] if position is None else position.offset
        self.phase = Phase.ENDS

    def _first_positions(self, inboxes: list[TopicPartition]) -> dict[TopicPartition, int]:
        """A partition without a committed position gets its low watermark committed (K2), if nobody ever had it (K12).

        Its journals tell: what refused inputs of the inbox came to is in none of them, so nobody can start over.
        """
        take_first(self._host.log, self._group, {inbox: self.targets[inbox].journals for inbox in inboxes})
        starts = self._host.log.start_positions(inboxes)
        self._consumer.commit({inbox: Position(starts[inbox], self._metadata) for inbox in inboxes})
        return starts

    def _take_ends(self) -> None:
        sides = [side for one in self.targets.values() for side in one.journals]
        ends = self._host.log.end_positions([*sides, *self.targets], isolation="uncommitted")
        topics = self._host.log.describe({side.topic for side in sides})
        self._ends = {side: ends[side] for side in sides}
        try:
            for one in self.targets.values():
                one.inbox_end = ends[one.inbox]
                self._take_rows(one, one.written.identity(topics))
                _rows(one).restore.share(len(self.targets))
        except TimeoutError:
            return  # the standby is at work on them: in the next slice
        if not self._is_restored():
            self._read({side: at for one in self.targets.values() for side, at in _rows(one).positions.items()})
        self.phase = Phase.RESTORE

    def _take_rows(self, one: Taken, identity: str) -> None:
        """Those that the standby made, if they are of use, else those of the folder (K13)."""
        if one.rows is not None:
            return
        followed = None if self._standby is None else self._standby.take(one.inbox, SLICE_SECONDS)
        if followed is not None:
            if followed.identity == identity and followed.are_of_use(self._ends, self._host.clock.now_ms()):
                one.rows, one.was_followed = followed, True
                return
            followed.close()
        one.rows = open_rows(self._host, self._group, one.written, identity, self._ends)

    def _restore(self) -> None:
        """Read for one slice. The reader may go beyond the ends; that does no harm, the unit is not serving yet."""
        deadline = self._host.clock.monotonic() + SLICE_SECONDS
        while not self._is_restored():
            reader = self._reader
            assert reader is not None, "opened with the rows"
            if self._host.clock.monotonic() >= deadline:
                self._look_at_progress()
                return
            for side, records in runs(reader.read(RECORDS_AT_ONCE, 0.01)):
                self._absorb(side, records)
            self._advance(reader)
        self.phase = Phase.WRITE

    def _write(self) -> None:
        """Those of many records are flushed, which takes a moment for each."""
        deadline = self._host.clock.monotonic() + SLICE_SECONDS
        for one in self.targets.values():
            if one.synced is None:
                one.synced = _rows(one).restore.finish(self._host.clock.now_ms())
                check_owner(_rows(one).state, self._group, one.inbox)
                if self._host.clock.monotonic() >= deadline:
                    return
        self.phase = Phase.DONE

    def _absorb(self, side: TopicPartition, records: Sequence[Record]) -> None:
        one = next((one for one in self.targets.values() if side in one.journals), None)
        if one is not None:
            one.restored += len(records)
            _rows(one).take_in(side, records)

    def _advance(self, reader: Reader) -> None:
        """Markers and aborted records are passed, too."""
        for one in self.targets.values():
            _rows(one).reached({side: reader.position(side) for side in one.journals})

    def _is_restored(self) -> bool:
        return all(_rows(one).have(self._ends) for one in self.targets.values())

    def _look_at_progress(self) -> None:
        """What stands still is told, and read on by another reader: a connection may have been lost with its question.

        An open transaction holds a committed reader up, too, until it is ended or its time-out has ended it.
        """
        reached = {side: at for one in self.targets.values() for side, at in _rows(one).positions.items()}
        now = self._host.clock.monotonic()
        if reached != self._reached:
            self._reached, self._reached_at = reached, now
        elif now - self._reached_at >= STANDSTILL_SECONDS:
            waits = {f"{side.topic}/{side.partition}": f"{at} of {self._ends[side]}" for side, at in reached.items()}
            log.warning("restore_stands_still", group=self._group, seconds=STANDSTILL_SECONDS, reached=waits)
            self._reached_at = now
            self._read(reached)

    def _read(self, positions: dict[TopicPartition, int]) -> None:
        self._close_reader()
        self._reader = self._host.log.reader(positions)

    def _partition(self, taken: Taken) -> Partition[Any]:
        rows, number, processor = _rows(taken), taken.inbox.partition, taken.processor
        assert taken.synced is not None, "written before"
        clock = self._host.clock.monotonic
        common = (self._group, rows.state, self._host.serde, self._routes, taken.synced, self._counts, clock)
        if keeps_states(processor):
            return StatePartition(processor, number, *common)
        return Partition(processor, number, *common)

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _rows(taken: Taken) -> Rows:
    assert taken.rows is not None, "opened before"
    return taken.rows
