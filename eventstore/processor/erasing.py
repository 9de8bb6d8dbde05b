"""Erase streams of one partition, and write the tombstones of what is erased (E2).

What is erased, and which tombstones are still to be written, is known to `eventstore.processor.tombstones`; here it
becomes part of batches.
"""

from __future__ import annotations

from eventstore.processor.index import StreamIndex
from eventstore.processor.inputs import Outgoing
from eventstore.processor.snapshotting import PartitionSnapshots
from eventstore.processor.tombstones import TOMBSTONES_AT_ONCE, Erasures, LastTombstone, kept_of
from eventstore.processor.writes import Writes


class Erasing:
    """The erasing of one partition. One thread."""

    def __init__(self, erasures: Erasures, snapshots: PartitionSnapshots, writes: Writes, index: StreamIndex) -> None:
        self._erasures, self._snapshots, self._writes, self._index = erasures, snapshots, writes, index

    def erase(self, key: str, first: int, head: int, out: list[Outgoing]) -> None:
        """This record is the deletion. What was folded from events before `first` goes, too, unless it says it all."""
        erased = self._erasures.find(key)._replace(step=self._writes.step, first=first, head=head)
        self._writes.journal(self._erasures.change(key, erased), out)
        self._snapshots.erase(key, out)

    def tombstone(self, out: list[Outgoing]) -> None:
        """Write some of the tombstones that are to be written, after all events of the batch."""
        found = self._erasures.next_open()
        if found is None:
            self._repeat_tombstone(out)
            return
        key, erased = found
        writes = self._writes
        upto = min(erased.done + TOMBSTONES_AT_ONCE, erased.first, self._index.head(key) + 1)
        for stored in self._index.rows(key, erased.done, upto - 1):
            for row in kept_of(stored.meta, key, writes.current):
                writes.journal(row, out)
        writes.tombstones(key.encode(), range(erased.done, upto), out)
        writes.journal(self._erasures.wrote(LastTombstone(writes.now_ms, key.encode(), upto - 1)), out)
        writes.step += 1
        writes.journal(self._erasures.change(key, erased._replace(step=writes.step, done=upto)), out)

    def _repeat_tombstone(self, out: list[Outgoing]) -> None:
        """End the segment of the last one, so that the cleaner may go there."""
        last = self._erasures.to_repeat(self._writes.now_ms)
        if last is not None:
            self._writes.tombstones(last.stream, range(last.version, last.version + 1), out)
            self._writes.journal(self._erasures.wrote(None), out)
