"""Events that come from elsewhere as they were recorded there: an input that every processor takes.

The kernel appends them itself, without a decision: version, time, metadata and bytes stay, only the schema id in the
bytes is one of this log's registry. Versions go on where the stream ends; a stream that never had an event may begin at
any version, as if those before were erased (E2).

The metadata says nothing of the input that brought the events (K1): its outcome goes into the state topic.

Not promised: timers. Those that the events' origin had set are not set here.
"""

from __future__ import annotations

from typing import ClassVar, Final

from eventstore.processor.inputs import Outgoing
from eventstore.processor.parts import Part
from eventstore.processor.questions import PageRead, ReadPage
from eventstore.processor.tombstones import Erasures
from eventstore.processor.writes import Writes
from schemas import Event, Message, Metadata, Refusal, Reply, Serde, Undecodable

_MOST: Final = 1 << 62
"""A version or time that none comes near."""


class ImportEvents(Message, name="sagalog.import"):
    """Append these events, as they are, to the stream that is the record's key. The lists have one length."""

    may_be_split: ClassVar[bool] = True
    first: int
    """The version of the first one."""
    begins: bool
    """Whether the stream has no earlier event where it comes from: it may begin here with that version."""
    timestamps_ms: list[int]
    metas: list[bytes]
    values: list[bytes]
    """In wire format, with schema ids of this log's registry."""

    def lost(self, head: int, first: int) -> ImportLost | None:
        """The refusal, where the stream's last version is not one that these events follow."""
        if head == self.first - 1 or (self.begins and head == -1):
            return None
        return ImportLost(head=head, first=first)


class ImportDone(Reply, name="sagalog.import_done"):
    """The events are there; the last has this version."""

    version: int


class ImportLost(Refusal, name="sagalog.import_lost"):
    """The stream does not end where the first event follows. Nothing was appended."""

    head: int
    """The version of its last event, an erased one included; −1 if it never had one."""
    first: int
    """The first version that is not erased."""


IMPORT_MESSAGES: tuple[type[Message], ...] = (ImportEvents, ImportDone, ImportLost, ReadPage, PageRead, Part)
"""What an import sends to the owners of any processor, and gets from them."""


class Imports:
    """Appends what is imported into one partition."""

    def __init__(self, serde: Serde, writes: Writes, erasures: Erasures, *, decode: bool) -> None:
        """`decode`: whether entities are folded from the events here."""
        self._serde, self._writes, self._erasures, self._decode = serde, writes, erasures, decode

    def absorb(
        self, key: str, given: ImportEvents, step: int, out: list[Outgoing], *, is_new: bool
    ) -> list[Event | None]:
        """Make the events part of the batch; returns them, None for each that is not decoded.

        `is_new`: the stream never had an event.

        Raises:
            UnknownSchema, UnknownType, Undecodable: one of them cannot be read here, or would not be by who
                restores the partition. Nothing is part of the batch.
        """
        if not 0 < len(given.values) == len(given.metas) == len(given.timestamps_ms):
            raise Undecodable("an import", "its lists differ in length, or are empty")
        if not 0 <= given.first <= _MOST or not all(0 <= timestamp_ms <= _MOST for timestamp_ms in given.timestamps_ms):
            raise Undecodable("an import", "a version or a time in it is none")
        if any(Metadata.decode(meta).done is not None for meta in given.metas):
            raise Undecodable("an import", "its metadata says what another log's owner has handled")
        events = [self._read(value) for value in given.values]
        if given.first > 0 and is_new:
            self._writes.journal(self._erasures.begin(key, step, given.first), out)
        rows = zip(given.timestamps_ms, given.metas, given.values, strict=True)
        for version, (timestamp_ms, meta, value) in enumerate(rows, given.first):
            self._writes.event(key.encode(), version, meta, value, out, timestamp_ms=timestamp_ms)
        return events

    def _read(self, value: bytes) -> Event | None:
        if not self._decode:
            self._serde.type_of(value)
            return None
        event = self._serde.decode(value)
        if not isinstance(event, Event):
            raise Undecodable("an import", f"{event.__type_name__} is no event")
        return event
