"""The journals of one partition, and the rows that are made of them: opened, checked, restored (K4, K13).

Rows lie in a folder of the process that makes them, under one name whether it serves the partition or follows it as a
standby: who begins to serve goes on with what it has followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import structlog

from eventstore.component import Host
from eventstore.log.records import Record, TopicDescription, TopicPartition
from eventstore.processor.port import AnyProcessor, keeps_states
from eventstore.processor.restore import Restore
from eventstore.processor.rows import POSITION_KEY, SyncedTo, decode_synced
from eventstore.processor.topics import TOMBSTONE_RETENTION_MS, events_of, state_of
from eventstore.state.port import State

log = structlog.get_logger()

FORMAT = "1"
"""Version of the row layouts; state of another one is discarded."""
OLDEST_MS = TOMBSTONE_RETENTION_MS // 2
"""Rows that were in sync longer ago may have missed tombstones."""


class Journals:
    """Where one partition of a processor is written down."""

    def __init__(self, inbox: TopicPartition, processor: AnyProcessor) -> None:
        self.inbox, self.processor = inbox, processor
        self.state = TopicPartition(state_of(processor.name), inbox.partition)
        """What is no event."""
        self.events = None if keeps_states(processor) else TopicPartition(events_of(processor.name), inbox.partition)
        """None: it keeps states, and has no events."""
        self.sides = (self.state,) if self.events is None else (self.events, self.state)
        """What rows are made of, what tells of handled inputs first."""

    def identity(self, topics: Mapping[str, TopicDescription]) -> str:
        """What rows of these journals are derived from."""
        return ";".join([FORMAT, str(self.inbox.partition), *(topics[side.topic].id for side in self.sides)])


class Rows:
    """The open rows of one partition, and how far they go. Used by one thread at a time."""

    def __init__(self, journals: Journals, identity: str, state: State, restore: Restore) -> None:
        self.journals, self.identity, self.state, self.restore = journals, identity, state, restore

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """What is to be read next of each journal."""
        events, state = self.restore.positions
        found = {self.journals.state: state}
        return found if self.journals.events is None else {self.journals.events: events, **found}

    def take_in(self, side: TopicPartition, records: Sequence[Record]) -> None:
        """Make rows of records of one journal, in their order."""
        if side == self.journals.events:
            self.restore.events(records)
        else:
            self.restore.journaled(records)

    def reached(self, positions: Mapping[TopicPartition, int]) -> None:
        """A reader of the journals went so far: what it passed without a record is nothing to be read."""
        events = 0 if self.journals.events is None else positions[self.journals.events]
        self.restore.reached(events, positions[self.journals.state])

    def have(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether everything before these ends was taken in."""
        return all(position >= ends[side] for side, position in self.positions.items())

    def are_of_use(self, ends: Mapping[TopicPartition, int], now_ms: int) -> bool:
        """K13: they do not lie beyond the topics' ends, and were in sync not too long ago."""
        age_ms = now_ms - self.restore.in_sync_ms
        beyond = any(position > ends[side] for side, position in self.positions.items())
        if beyond or age_ms > OLDEST_MS:
            topic, partition = self.journals.inbox
            log.info("state_discarded", topic=topic, partition=partition, beyond_end=beyond, age_ms=age_ms)
            return False
        return True

    def close(self) -> None:
        """Release the folder. What was not flushed is read again."""
        self.state.close()


def open_rows(host: Host, group: str, journals: Journals, identity: str, ends: Mapping[TopicPartition, int]) -> Rows:
    """The rows that this process has of the journals, which end there; empty ones if those are of no use (K13)."""
    name = name_of(group, journals)
    rows = _opened(host, name, journals, identity)
    if not rows.are_of_use(ends, host.clock.now_ms()):
        rows.close()
        host.state.discard(name)
        rows = _opened(host, name, journals, identity)
    return rows


def name_of(group: str, journals: Journals) -> str:
    """The name of the rows' state."""
    return f"{group}/{journals.processor.name}/{journals.inbox.partition}"


def runs(records: Iterable[Record]) -> Iterator[tuple[TopicPartition, list[Record]]]:
    """Records as they were read, those of one partition that came one after the other together."""
    topic, partition, run = "", -1, list[Record]()
    for record in records:
        if record.partition != partition or record.topic != topic:
            if run:
                yield TopicPartition(topic, partition), run
            topic, partition, run = record.topic, record.partition, []
        run.append(record)
    if run:
        yield TopicPartition(topic, partition), run


def _opened(host: Host, name: str, journals: Journals, identity: str) -> Rows:
    state = host.state.open(name, identity)
    try:
        row = state.get(POSITION_KEY)
        synced = SyncedTo(0, 0, 0, 0) if row is None else decode_synced(row)
    except BaseException:
        state.close()
        raise
    return Rows(journals, identity, state, Restore(state, synced, host.clock.now_ms()))
