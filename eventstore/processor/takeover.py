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
from eventstore.log.errors import PartitionCountChanged, PositionMissing, StaleMember
from eventstore.log.port import GroupConsumer, Reader
from eventstore.log.records import Position, Record, TopicPartition
from eventstore.processor.changelog_partition import StatePartition
from eventstore.processor.counts import EntityCounts
from eventstore.processor.partition import Partition
from eventstore.processor.port import AnyProcessor, keeps_states
from eventstore.processor.predecessor import Predecessor
from eventstore.processor.restore import Restore
from eventstore.processor.routes import Routes
from eventstore.processor.rows import POSITION_KEY, SyncedTo, decode_synced
from eventstore.processor.topics import TOMBSTONE_RETENTION_MS, events_of, state_of
from eventstore.state.port import State

log = structlog.get_logger()

SLICE_SECONDS = 0.05
LONGEST_SLICE_SECONDS = 0.4
"""How long to wait for positions at most: a busy broker may never answer within a slice."""
STANDSTILL_SECONDS = 15.0
"""Longer than an open transaction lives."""
RECORDS_AT_ONCE = 2_000
FORMAT = "1"
"""Version of the row layouts; state of another one is discarded."""


class Phase(Enum):
    """How far a takeover is."""

    MANIFEST = "comparing the topics with the manifest"
    POSITION = "waiting for a stable position"
    ENDS = "asking for the ends"
    RESTORE = "restoring"
    DONE = "done"


@dataclass(slots=True)
class Taken:
    """One partition being taken."""

    inbox: TopicPartition
    processor: AnyProcessor
    position: int = -1
    restore: Restore | None = None
    state: State | None = None
    synced: SyncedTo | None = None
    events_end: int = 0
    state_end: int = 0
    inbox_end: int = 0

    @property
    def events(self) -> TopicPartition | None:
        """None: it keeps states, and has no events."""
        if keeps_states(self.processor):
            return None
        return TopicPartition(events_of(self.processor.name), self.inbox.partition)

    @property
    def journal(self) -> TopicPartition:
        return TopicPartition(state_of(self.processor.name), self.inbox.partition)

    @property
    def journals(self) -> list[TopicPartition]:
        """What it is restored from, what tells of handled inputs first."""
        return [self.journal] if self.events is None else [self.events, self.journal]


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
    ) -> None:
        self._host, self._group, self._consumer, self._routes = host, group, consumer, routes
        self._counts = counts
        self._metadata = metadata
        self.targets = {inbox: Taken(inbox, processor) for inbox, processor in targets}
        self.phase = Phase.MANIFEST
        self._patience = SLICE_SECONDS
        self._predecessor = Predecessor(host, group, metadata)
        self._reader: Reader | None = None
        self._reached: dict[TopicPartition, int] = {}
        self._reached_at = host.clock.monotonic()
        self._slices: dict[Phase, Callable[[], None]] = {
            Phase.MANIFEST: self._check_manifest,
            Phase.POSITION: self._take_positions,
            Phase.ENDS: self._take_ends,
            Phase.RESTORE: self._restore,
        }

    def drop(self, inbox: TopicPartition) -> None:
        """Give up one partition: it was revoked."""
        taken = self.targets.pop(inbox, None)
        if taken is not None and taken.state is not None:
            taken.state.close()
        if not self.targets:
            self.close()

    def close(self) -> None:
        """Give up all."""
        for taken in self.targets.values():
            if taken.state is not None:
                taken.state.close()
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
        """A partition without a committed position gets its low watermark committed (K2), if it was never served.

        Its journals tell: what refused inputs of the inbox came to is in none of them, so nobody can start over.
        """
        starts = self._host.log.start_positions(inboxes)
        ends = self._host.log.end_positions({side for inbox in inboxes for side in self.targets[inbox].journals})
        for inbox in inboxes:
            written = [side.topic for side in self.targets[inbox].journals if ends[side] > 0]
            if written:
                raise PositionMissing(self._group, *inbox, self._ways_out(inbox.topic, written[0]))
        self._consumer.commit({inbox: Position(starts[inbox], self._metadata) for inbox in inboxes})
        return starts

    def _ways_out(self, inbox: str, journal: str) -> str:
        return (
            f"its journal {journal} has records, so another service runs the processor (was this one renamed?), or the "
            "positions are lost: let one service run it; or stop all and say where this group goes on, by "
            f"`sagalog group reset {self._group} --topic {inbox} --to end`, or `--to start` if what was refused may be "
            "decided on again"
        )

    def _take_ends(self) -> None:
        taken = self.targets.values()
        journals = [side for one in taken for side in one.journals]
        ends = self._host.log.end_positions([*journals, *self.targets], isolation="uncommitted")
        topics = self._host.log.describe({side.topic for side in journals})
        positions: dict[TopicPartition, int] = {}
        for one in taken:
            one.state_end, one.inbox_end = ends[one.journal], ends[one.inbox]
            one.events_end = 0 if one.events is None else ends[one.events]
            self._open_state(
                one, ";".join([FORMAT, str(one.inbox.partition), *(topics[side.topic].id for side in one.journals)])
            )
            assert one.restore is not None, "opened above"
            events, positions[one.journal] = one.restore.positions
            if one.events is not None:
                positions[one.events] = events
        if any(positions[side] < ends[side] for side in positions):
            self._reader = self._host.log.reader(positions)
        self.phase = Phase.RESTORE

    def _open_state(self, one: Taken, identity: str) -> None:
        """K13: discard what was in sync too long ago, or lies beyond the topic's end."""
        name = f"{self._group}/{one.processor.name}/{one.inbox.partition}"
        state = self._host.state.open(name, identity)
        synced = _synced(state)
        age_ms = self._host.clock.now_ms() - synced.synced_ms
        beyond = synced.events > one.events_end or synced.state > one.state_end
        if synced.synced_ms and (beyond or age_ms > TOMBSTONE_RETENTION_MS / 2):
            log.info("state_discarded", state=name, beyond_end=beyond, age_ms=age_ms)
            state.close()
            self._host.state.discard(name)
            state = self._host.state.open(name, identity)
            synced = _synced(state)
        one.state, one.synced = state, synced
        one.restore = Restore(state, synced, self._host.clock.now_ms())

    def _restore(self) -> None:
        """Read for one slice. The reader may go beyond the ends; that does no harm, the unit is not serving yet."""
        if self._reader is not None:
            routes = {
                (side.topic, side.partition): (one, side == one.events)
                for one in self.targets.values()
                for side in one.journals
            }
            deadline = self._host.clock.monotonic() + SLICE_SECONDS
            while self._host.clock.monotonic() < deadline and not self._is_restored():
                self._absorb(self._reader.read(RECORDS_AT_ONCE, 0.01), routes)
            if not self._is_restored():
                self._look_at_progress(self._reader)
                return
        for one in self.targets.values():
            self._finish(one)
        self.phase = Phase.DONE

    def _look_at_progress(self, reader: Reader) -> None:
        """What stands still is told, and read on by another reader: a connection may have been lost with its question.

        An open transaction holds a committed reader up, too, until it is ended or its time-out has ended it.
        """
        ends = {one.journal: one.state_end for one in self.targets.values()}
        ends |= {one.events: one.events_end for one in self.targets.values() if one.events is not None}
        reached, now = {side: reader.position(side) for side in ends}, self._host.clock.monotonic()
        if reached != self._reached:
            self._reached, self._reached_at = reached, now
        elif now - self._reached_at >= STANDSTILL_SECONDS:
            waits = {f"{side.topic}/{side.partition}": f"{at} of {ends[side]}" for side, at in reached.items()}
            log.warning("restore_stands_still", group=self._group, seconds=STANDSTILL_SECONDS, reached=waits)
            self._reached_at = now
            self._close_reader()
            self._reader = self._host.log.reader(reached)

    def _absorb(self, records: Sequence[Record], routes: dict[tuple[str, int], tuple[Taken, bool]]) -> None:
        for record in records:
            found = routes.get((record.topic, record.partition))
            if found is None or found[0].restore is None:
                continue
            if found[1]:
                found[0].restore.event(record)
            else:
                found[0].restore.journaled(record)

    def _is_restored(self) -> bool:
        reader = self._reader
        assert reader is not None, "asked while restoring"
        return all(
            reader.position(one.journal) >= one.state_end
            and (one.events is None or reader.position(one.events) >= one.events_end)
            for one in self.targets.values()
        )

    def _finish(self, one: Taken) -> None:
        assert one.restore is not None, "opened before"
        events, journal = one.restore.positions
        if self._reader is not None:
            events = events if one.events is None else max(events, self._reader.position(one.events))
            journal = max(journal, self._reader.position(one.journal))
        one.synced = one.restore.flush(events, journal, self._host.clock.now_ms())

    def _partition(self, taken: Taken) -> Partition[Any]:
        assert taken.state is not None, "restored before"
        assert taken.synced is not None, "restored before"
        number, processor, monotonic = taken.inbox.partition, taken.processor, self._host.clock.monotonic
        common = (self._group, taken.state, self._host.serde, self._routes, taken.synced, self._counts, monotonic)
        if keeps_states(processor):
            return StatePartition(processor, number, *common)
        return Partition(processor, number, *common)

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _synced(state: State) -> SyncedTo:
    row = state.get(POSITION_KEY)
    return SyncedTo(0, 0, 0, 0) if row is None else decode_synced(row)
