"""Appends to the streams of a store, and erasures, on their way to the owner of the stream's partition.

`sagalog.append` carries the events in wire format, so that the owner neither decodes nor knows their types.
The reply repeats the fingerprint of what the *first* append of this id carried: the caller sees by it whether its
commit id stands for other content (rule K8). Who gave no commit id cannot repeat, so there it is empty. A lost race is
no final answer: nothing happened, and the id stays free.

Where the owner is in this process, an append is an `AppendCall`: what the message says, without the message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import msgspec

from eventstore.errors import ProcessorError
from eventstore.log.records import TopicPartition
from eventstore.processor.mailbox import Mailbox
from schemas import Message, Metadata, Refusal, Reply, ReplyTo

if TYPE_CHECKING:
    from eventstore.processor.inputs import Answered


class Append(Message, name="sagalog.append"):
    """Append these events to the stream that is the record's key."""

    may_be_split: ClassVar[bool] = True
    events: list[bytes]
    expected: int
    fingerprint: str


class AppendDone(Reply, name="sagalog.append_done"):
    """The events are there; the last has this version."""

    version: int
    fingerprint: str


class AppendLost(Refusal, name="sagalog.append_lost"):
    """The stream is at another version, −1 if it has no events. Nothing was appended."""

    actual: int


class Erase(Message, name="sagalog.erase"):
    """Erase the events of the stream that is the record's key: those below a version, or all."""

    before: int | None
    expected: int
    fingerprint: str


WRITES: tuple[type[Message], ...] = (Append, Erase)
"""What a store takes and no other processor: every one knows these types, to refuse them (`AppendsNotTaken`)."""


class AppendsNotTaken(ProcessorError):
    """What was taken for a store is something else, which alone writes its streams: send it a command."""

    def __init__(self, processor: str) -> None:
        super().__init__(
            f"{processor!r} is no event store but an aggregate, a decider, a saga or a state, which takes no appends, "
            "deletions or truncations: send it a command, whose @decide records the events; an EventStore of this name "
            "only reads its events. Nothing happened"
        )
        self.processor = processor


class Landed(msgspec.Struct, frozen=True, gc=False):
    """An append that this process's unit has committed."""

    version: int
    """Of the stream's last event."""
    end: int
    """The next position in the partition's events after its batch."""


Positions: TypeAlias = Mapping[int, int]
Answer: TypeAlias = tuple[Message | None, Positions | None]
"""The answer to a question, and where the events topic stood after its batch: partition → next offset, if known."""


class AppendCall(msgspec.Struct):
    """A local call that appends."""

    processor: str
    at: TopicPartition
    """The partition of the inbox that the stream belongs to."""
    key: str
    expected: int
    events: list[bytes]
    fingerprint: str
    id: str
    correlation: str
    home: TopicPartition
    """Where the answer goes if the call has to be sent over the log."""
    future: asyncio.Future[Answer | Landed]
    mailbox: Mailbox[Answer | Landed]
    resolve: Callable[[Sequence[Answered]], None]
    """As that of any other call; for answers that say more than that the append was done."""
    is_new: bool
    """No other input can have its id: it was made for this call, which was in no batch yet that may have happened."""

    @property
    def partition(self) -> int:
        """The partition's number."""
        return self.at.partition

    @property
    def message(self) -> Append:
        """What it says, as it would be sent."""
        return Append(events=self.events, expected=self.expected, fingerprint=self.fingerprint)

    @property
    def metadata(self) -> Metadata:
        """What goes with the message."""
        reply = ReplyTo(*self.home, self.correlation)
        return Metadata(id=self.id, type=Append.__type_name__, correlation=self.correlation, reply=reply)
