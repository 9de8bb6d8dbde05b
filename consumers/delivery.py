"""A record on its way through a worker, and what its handler may see of it.

A `Delivery` lives from the poll to the acknowledgement. The loop's thread makes it, the handlers' thread works on it;
at any moment only one of the two has it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from consumers.acknowledge import Acknowledgements
from consumers.origin import origin_of
from eventstore.log.records import Position, Record, TopicPartition
from schemas import Message, Metadata

if TYPE_CHECKING:
    from consumers.handlers import Bound

META = "meta"


class Share:
    """An assigned partition, as one worker has it between assignment and revocation."""

    __slots__ = ("acks", "by_stream", "bytes", "is_closed", "is_inbox", "is_paused", "lanes", "reached", "tp")

    def __init__(self, tp: TopicPartition, committed: Position, origin: str) -> None:
        """`origin` is the topic that the records come from first, which differs for redriven ones."""
        self.tp = tp
        self.acks = Acknowledgements(committed)
        self.bytes = 0
        """Bytes of the incomplete records."""
        self.lanes: dict[Hashable, Delivery] = {}
        """The last delivery of each key that has any. Belongs to the handlers' thread."""
        self.by_stream = origin.endswith(".events")
        """Whether keys are `stream/version`, so that the stream orders the records."""
        self.is_inbox = origin.endswith(".inbox")
        self.reached = committed.offset
        """Up to where the topic holds nothing that was not delivered: markers were passed. See `Shares.reach`."""
        self.is_paused = False
        self.is_closed = False
        """Whether nothing of it may be started any more."""


class Delivery:
    """One record under way. Hooks read `record`, `message`, `metadata`, `key` and `attempt`."""

    __slots__ = ("_metadata", "attempt", "error", "handler", "lane", "message", "next", "record", "share", "size")

    def __init__(self, record: Record, share: Share, handler: Bound | None, lane: Hashable, size: int) -> None:
        self.record = record
        self.share = share
        self.handler = handler
        """None if it is known already that no handler can run; `error` says why."""
        self.lane = lane
        """What it is ordered by within its partition; None: by nothing."""
        self.size = size
        self.attempt = 1
        self.message: Message | None = None
        """Decoded before the first attempt; None if that failed."""
        self.error: Exception | None = None
        self.next: Delivery | None = None
        self._metadata: Metadata | None = None

    @property
    def metadata(self) -> Metadata:
        """The record's metadata.

        Raises:
            Undecodable: the record has none, or none that can be read.
        """
        if self._metadata is None:
            self._metadata = metadata_of(self.record)
        return self._metadata

    @property
    def key(self) -> str:
        """The entity's key: the stream for events, the record's key otherwise."""
        return entity_key(self.record.key or b"", self.share.by_stream).decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler may know about the record it handles. Ask for it by a parameter `context: Context`."""

    attempt: int
    """The number of this attempt, from 1."""
    key: str
    """The entity's key: the stream for events, the record's key otherwise."""
    metadata: Metadata
    topic: str
    """Where the record was read first, as partition and offset: a redriven one is the same record."""
    partition: int
    offset: int
    timestamp: datetime
    """When the record was written, UTC, in milliseconds."""


Invocation = Callable[[Delivery], Coroutine[Any, Any, object]]
"""Starts a handler for a delivery."""


def context_of(delivery: Delivery) -> Context:
    """The context of a delivery."""
    origin = origin_of(delivery.record)
    return Context(
        delivery.attempt,
        delivery.key,
        delivery.metadata,
        origin.topic,
        origin.partition,
        origin.offset,
        timestamp_of(delivery.record),
    )


def timestamp_of(record: Record) -> datetime:
    """When a record was written, UTC."""
    return datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)


def metadata_of(record: Record) -> Metadata:
    """The metadata of a record.

    Raises:
        Undecodable: it has none, or none that can be read.
    """
    for name, value in record.headers:
        if name == META:
            return Metadata.decode(value)
    return Metadata.decode(b"")


def entity_key(key: bytes, by_stream: bool) -> bytes:
    """What a record is about: for events, whose keys are `stream/version`, the stream."""
    return key.rpartition(b"/")[0] if by_stream else key
