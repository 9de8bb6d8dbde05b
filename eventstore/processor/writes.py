"""What the batch under way writes for one partition: records of its two journal topics, and the rows they become.

Records go into the unit's buffer as they come; the rows are kept here until the transaction is committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from eventstore.processor.index import event_key, head_row, packed_event, packed_version
from eventstore.processor.inputs import Outgoing
from eventstore.processor.rows import SyncedTo, synced_row
from eventstore.processor.topics import events_of, state_of
from eventstore.state.port import Row, State


class Writes:
    """The writes of one partition's batch, in their order."""

    def __init__(self, processor: str, number: int, state: State, synced: SyncedTo) -> None:
        self._events_topic, self._state_topic = events_of(processor), state_of(processor)
        self._number, self._state = number, state
        self.now_ms = 0
        """The batch's time."""
        self.synced = synced
        """How far the state goes."""
        self.step = synced.step
        """The step of what was written last."""
        self._events: list[tuple[bytes, int, int, bytes, bytes]] = []
        self._tombstones = 0
        self._rows: dict[bytes, bytes | None] = {}
        self._made: dict[bytes, bytes | None] | None = None
        """All rows of the batch, if the offset of its first event is as it was expected."""
        self._expected = -1
        self._skipped = 0
        """Offsets between the events of two batches: what Kafka marks the end of a transaction with."""

    def __bool__(self) -> bool:
        return bool(self._events or self._rows)

    def event(
        self,
        stream: bytes,
        version: int,
        meta: bytes,
        value: bytes,
        out: list[Outgoing],
        *,
        timestamp_ms: int | None = None,
    ) -> None:
        """An event of the stream, recorded now or, elsewhere, at `timestamp_ms`."""
        recorded_ms = self.now_ms if timestamp_ms is None else timestamp_ms
        assert not self._tombstones, "offsets are counted from the batch's last record back to its events"
        key = b"%b/%d" % (stream, version)
        out.append((self._events_topic, self._number, key, value, (("meta", meta),), recorded_ms))
        self._events.append((stream, version, recorded_ms, meta, value))

    def tombstones(self, stream: bytes, versions: range, out: list[Outgoing]) -> None:
        """E2: the keys of these events have no value any more. After all events of the batch."""
        for version in versions:
            out.append((self._events_topic, self._number, b"%b/%d" % (stream, version), None, (), self.now_ms))
            self._rows[event_key(stream, version)] = None
        self._tombstones += len(versions)

    def journal(self, row: Row, out: list[Outgoing]) -> None:
        """A row that the state topic tells a successor (K1)."""
        key, value = row
        out.append((self._state_topic, self._number, key, value, (), self.now_ms))
        self._rows[key] = value

    def set(self, rows: Iterable[Row]) -> None:
        """Rows that the events' metadata tells a successor, or that none needs."""
        self._rows.update(rows)

    def has(self, key: bytes) -> bool:
        """Whether the batch writes this row."""
        return key in self._rows

    def current(self, key: bytes) -> bytes | None:
        """The value of a row, the batch under way included."""
        return self._rows[key] if key in self._rows else self._state.get(key)

    def beginning_with(self, prefix: bytes) -> dict[bytes, bytes | None]:
        """The rows that the batch writes whose keys begin so."""
        return {key: value for key, value in self._rows.items() if key.startswith(prefix)}

    def prepare(self) -> None:
        """Make the rows while the batch is being committed, for the offsets that its events will most likely have."""
        if self._events:
            self._expected = self.synced.events + self._skipped
            self._made = self._all_rows(self._expected)

    def applied(self, ends: Mapping[str, int]) -> Mapping[bytes, bytes | None]:
        """The rows of the committed batch. `ends`: offset of the last record per journal topic, where there was one."""
        last = ends.get(self._events_topic)
        rows = self._rows
        if self._events:
            first = -1 if last is None else last - self._tombstones - len(self._events) + 1
            rows = self._made if self._made is not None and first == self._expected else self._all_rows(first)
            self._skipped = max(0, first - self.synced.events)
        events = self.synced.events if last is None else last + 1
        state = ends[self._state_topic] + 1 if self._state_topic in ends else self.synced.state
        self.synced = SyncedTo(self.step, events, state, self.now_ms)
        key, value = synced_row(self.synced)
        rows[key] = value
        self._clear()
        return rows

    def _all_rows(self, first: int) -> dict[bytes, bytes | None]:
        """The rows of the batch: events, their streams' heads, all others. `first`: the offset of its first event."""
        rows: dict[bytes, bytes | None] = {}
        heads: dict[bytes, int] = {}
        for offset, (stream, version, recorded_ms, meta, value) in enumerate(self._events, first):
            rows[b"e%b\0%b" % (stream, packed_version(version))] = (
                packed_event(recorded_ms, offset, len(meta)) + meta + value
            )
            heads[stream] = version
        rows.update(head_row(stream, version) for stream, version in heads.items())
        rows.update(self._rows)
        return rows

    def forget(self) -> None:
        """The batch never happened."""
        self.step = self.synced.step
        self._clear()

    def _clear(self) -> None:
        self._events, self._tombstones, self._rows, self._made = [], 0, {}, None
