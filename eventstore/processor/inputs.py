"""What goes into a processor's partition in one batch, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from eventstore.log import records
from eventstore.log.records import Record
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


class Input(msgspec.Struct):
    """An input of one entity. At most one of `record`, `call` and `timer` is set."""

    key: str
    message: Message
    metadata: Metadata
    record: Record | None = None
    call: Call | None = None
    timer: str = ""
    """The name of the timer that is due."""


class Answered(msgspec.Struct, frozen=True):
    """What a local caller learns when the batch is committed."""

    call: Call
    message: Message | None
    replied: bool
    """False: the processor keeps the caller's address and answers later."""
    position: int = -1
    """The next position in the partition's events after this batch; −1 if unknown."""
