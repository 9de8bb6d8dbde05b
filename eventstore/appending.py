"""Appends and erasures as a processor: what a store sends, and what becomes of it at the owner of a stream's partition.

Of appends see `eventstore.processor.append_call`; those of callers in the owner's process are decided on by
`eventstore.processor.appends`, with the same outcome.

`sagalog.erase` deletes a stream or its first events (rule E2). A deleted stream is no stream to what is expected of it,
and yet its versions go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from hashlib import blake2b
from typing import Literal

from eventstore.errors import AppendTooLarge, EventNotDeclared, TooManyEvents
from eventstore.expected import fits
from eventstore.handlers import check_event_types
from eventstore.log.errors import MessageTooLarge
from eventstore.processor.append_call import Append, AppendDone, AppendLost, Erase
from eventstore.processor.parts import Part
from eventstore.processor.port import DecideContext, Retention, Stateless
from eventstore.processor.questions import PageRead, ReadPage
from eventstore.processor.topics import events_of
from schemas import Event, Message, Refusal, Reply, Serde
from schemas.option_values import TEXT, WHOLE, check_value
from schemas.wire import HEADER_BYTES

EVENTS_PER_APPEND = 1_000
BYTES_PER_APPEND = 64 * 1024 * 1024
"""What one append may hold altogether: its owner has all of it in memory, and in one transaction."""
_BESIDE_BYTES = 1_280
"""Room for the metadata of an event's record, and for its version in the key."""


class EraseDone(Reply, name="sagalog.erase_done"):
    """So many events were erased; `first` is the first version that is kept."""

    erased: int
    first: int
    fingerprint: str


class EraseRefused(Refusal, name="sagalog.erase_refused"):
    """The store keeps its events for ever."""


def check_types(name: str, events: Sequence[type[Event]]) -> None:
    """Refuse what is no list of the types that a store holds.

    Raises:
        TypeError: it is one type, or holds something else than classes of events.
        ValueError: it is empty.
    """
    if isinstance(events, type):
        raise TypeError(f"{name}: events={events.__name__} is one type, not a list: events=[{events.__name__}]")
    check_event_types(name, events)
    if not events:
        raise ValueError(f"{name} holds no events: name their types, events=[…]")


def check_options(name: str, log: object, partitions: object, retention: object) -> None:
    """Refuse options of a store that are of other types.

    Raises:
        TypeError: one is.
    """
    check_value(f"store {name}", "log", log, TEXT, or_none=True)
    check_value(f"store {name}", "partitions", partitions, WHOLE, or_none=True)
    if retention not in ("compacted", "forever"):
        raise TypeError(f"store {name}: retention={retention!r} is neither 'compacted' nor 'forever'")


class StoreProcessor(Stateless):
    """Appends events to streams, and erases them, if they are where the caller expects them. Its entities have no state
    but their version."""

    journal: Literal["events", "state"] = "events"
    stateless: Literal[True] = True

    def __init__(
        self, name: str, events: Sequence[type[Event]], partitions: int | None, retention: Retention = "compacted"
    ) -> None:
        self.name, self.partitions, self.retention = name, partitions, retention
        self.messages: Sequence[type[Message]] = (
            Append, AppendDone, AppendLost, Erase, EraseDone, EraseRefused, ReadPage, PageRead, Part, *events,
        )  # fmt: skip

    def initial(self, key: str) -> None:
        """Nothing."""

    def evolve(self, state: None, event: Event) -> None:
        """Nothing."""

    def decide(self, state: None, message: Message, context: DecideContext[None]) -> None:
        """Compare the stream's version, append or erase, answer."""
        if not isinstance(message, Append | Erase):
            raise TypeError(f"{self.name} is an event store: it takes no {type(message).__name__}")
        actual = context.version if context.version >= context.first else -1
        if not fits(message.expected, actual):
            context.reply(AppendLost(actual=actual), final=False)
        elif isinstance(message, Append):
            for event in message.events:
                context.append_encoded(event)
            context.reply(AppendDone(version=context.version, fingerprint=message.fingerprint))
        elif self.retention == "forever":
            context.reply(EraseRefused(), final=False)
        else:
            first = context.first
            context.truncate(context.version + 1 if message.before is None else message.before)
            erased = context.first - first
            context.reply(EraseDone(erased=erased, first=context.first, fingerprint=message.fingerprint))


def check_are_several(stream: str, events: object) -> None:
    """Refuse what is no sequence of events, such as an event alone.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(events, Sequence) or isinstance(events, str | bytes):
        found = type(events).__name__
        give = f"[{found}(…)]" if isinstance(events, Event) else "[event, …]"
        raise TypeError(f"{stream}: an append takes a list of events, and got one {found}: give {give}")


def check_are_declared(store: str, events: Sequence[object], declared: AbstractSet[type[Event]]) -> None:
    """Refuse what is of none of the store's types.

    Raises:
        EventNotDeclared: an event is.
        TypeError: one is no message.
    """
    for event in events:
        if type(event) not in declared:
            if not isinstance(event, Message):
                raise TypeError(f"{store}: an append takes events, and got {_instead(event)}")
            raise EventNotDeclared(store, type(event).__name__)


def _instead(given: object) -> str:
    """By its type alone: the rest may be personal data."""
    if isinstance(given, type):
        return f"the class {given.__name__}: give objects of it, {given.__name__}(…)"
    return f"one {type(given).__name__}: give objects of events' classes"


def encode_events(
    store: str,
    stream: str,
    events: Sequence[Event],
    declared: AbstractSet[type[Event]],
    serde: Serde,
    record_bytes: int,
) -> list[bytes]:
    """The events of an append, in wire format. `record_bytes`: what a record of the log holds.

    Raises:
        ValueError, TooManyEvents, EventNotDeclared, AppendTooLarge, MessageTooLarge: see `EventStore.append`.
    """
    if len(events) == 1 and type(event := events[0]) in declared:  # the usual case, checked at once
        value = serde.encode(event)
        if len(value) + len(stream.encode()) + _BESIDE_BYTES <= min(record_bytes, BYTES_PER_APPEND):
            return [value]
    if not events:
        raise ValueError(f"{stream}: an append of no events: give at least one, or do not append")
    if len(events) > EVENTS_PER_APPEND:
        raise TooManyEvents(stream, count=len(events), limit=EVENTS_PER_APPEND)
    check_are_declared(store, events, declared)
    encoded = [serde.encode(event) for event in events]
    largest = max(map(len, encoded)) + len(stream.encode()) + _BESIDE_BYTES
    if largest > record_bytes:
        raise MessageTooLarge(events_of(store), size_bytes=largest, limit_bytes=record_bytes)
    total = sum(map(len, encoded))
    if total > BYTES_PER_APPEND:
        raise AppendTooLarge(stream, size_bytes=total, limit_bytes=BYTES_PER_APPEND)
    return encoded


def fingerprint(types: Sequence[str], contents: Sequence[bytes]) -> str:
    """Tells one append from another: a digest of the types' names in order, then two for each type, of its events'
    schemas and of what they say.

    `contents`: see `eventstore.content.content_of`.
    """
    by_type = dict[str, list[bytes]]()
    for name, content in zip(types, contents, strict=True):
        by_type.setdefault(name, []).append(content)
    parts = [f"{_digest(each[:HEADER_BYTES] for each in said)}.{_digest(said)}" for said in by_type.values()]
    return ",".join([_digest(name.encode() for name in types), *parts])


def are_different(one: str, other: str) -> bool:
    """Whether two fingerprints are of different appends, as far as can be told.

    Events of one type that were written with another schema, before or after a deploy, may say the same.
    """
    (types, *ones), (other_types, *others) = one.split(","), other.split(",")
    return types != other_types or any(
        mine != theirs and mine.partition(".")[0] == theirs.partition(".")[0]
        for mine, theirs in zip(ones, others, strict=True)
    )


def _digest(parts: Iterable[bytes]) -> str:
    digest = blake2b(digest_size=12)
    for part in parts:
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.hexdigest()


def append_id(stream: str, commit_id: str) -> str:
    """The input id of an append with a commit id: the same for every repeat."""
    return blake2b(f"{stream}\0{commit_id}".encode(), digest_size=16).hexdigest()
