"""What goes into a processor's partition in one batch, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from eventstore.log import records
from eventstore.log.records import Record, TopicPartition
from eventstore.processor.append_call import AppendCall
from eventstore.processor.topics import inbox_of
from schemas import Message, Metadata

Outgoing: TypeAlias = records.Outgoing


class AnswerOut(tuple[str, int, bytes | None, bytes | None, records.Headers, int]):
    """An outgoing record that answers somebody. Alone of all it may be dropped: whoever asked may have gone."""

    __slots__ = ()


class Call(msgspec.Struct):
    """A local call: an input that did not come through the inbox (K10)."""

    processor: str
    key: str
    partition: int
    message: Message
    metadata: Metadata
    resolve: Callable[[Sequence[Answered]], None]
    """Called on the unit's thread after the batch was committed, once for all calls of a batch that have the same."""

    @property
    def at(self) -> TopicPartition:
        """The partition of the inbox that the key belongs to."""
        return TopicPartition(inbox_of(self.processor), self.partition)

    @property
    def correlation(self) -> str:
        """By which whoever waits for the answer is known."""
        return self.metadata.correlation


AnyCall: TypeAlias = Call | AppendCall


class Input(msgspec.Struct, gc=False):
    """An input of one entity. At most one of `record`, `call` and `timer` is set."""

    key: str
    message: Message
    metadata: Metadata
    record: Record | None = None
    call: AnyCall | None = None
    timer: str = ""
    """The name of the timer that is due."""


def input_of(call: AnyCall) -> Input:
    """A call as an input like any other."""
    return Input(call.key, call.message, call.metadata, call=call)


class Answered(msgspec.Struct, frozen=True, gc=False):
    """What a local caller learns when the batch is committed."""

    call: AnyCall
    message: Message | None
    replied: bool
    """False: the processor keeps the caller's address and answers later."""
    position: int = -1
    """The next position in the partition's events after this batch; −1 if unknown."""
