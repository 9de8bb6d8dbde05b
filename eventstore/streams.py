"""The values of the event store: recorded events, positions, what an append expects and returns.

A *version* numbers a stream's events from 0. A *position* says how far the store's topic was read, as the next offset
of each partition, and of which generation of the topic: one that was deleted and made again has another id, and the
same offsets mean other events there. The printable form begins with its own version number:

    2:4f1c…:0=12,1=7  of the topic with this id, partition 0 was read up to offset 12, partition 1 up to 7
    2::0=12           the generation is not known
    2::               nothing was read
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Self

import msgspec
from typing_extensions import TypeVar

from eventstore.expected import ANY, NO_STREAM, STREAM_EXISTS, Expected
from schemas import Event, Metadata

__all__ = [
    "ANY",
    "NO_STREAM",
    "STREAM_EXISTS",
    "Appended",
    "Erased",
    "Expected",
    "Position",
    "Recorded",
    "check_stream_id",
]

E_co = TypeVar("E_co", bound=Event, default=Event, covariant=True)

STREAM_ID_MAX_BYTES = 500


class Position(msgspec.Struct, frozen=True):
    """How far a store's topic was read: the next offset of each partition. Partitions that are not named were not read.

    Positions are a partial order: of two, neither need cover the other. They can be dictionary keys.
    """

    offsets: tuple[tuple[int, int], ...] = ()
    """(partition, next offset), by partition. Make them with `of`, `at` or `parse`, which sort."""
    generation: str = ""
    """The id of the topic as it was when the position was taken; empty if that is not known."""

    @classmethod
    def of(cls, offsets: Mapping[int, int], generation: str = "") -> Self:
        """A position from next offsets by partition."""
        return cls(tuple(sorted(offsets.items())), generation)

    @classmethod
    def at(cls, partition: int, offset: int, generation: str = "") -> Self:
        """A position in one partition."""
        return cls(((partition, offset),), generation)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The position whose printable form this is.

        Raises:
            ValueError: it is none.
        """
        version, _, rest = text.partition(":")
        generation, colon, pairs = rest.partition(":")
        if version != "2":
            raise ValueError(f"{text!r} is no position of a known version: {_EXAMPLE}")
        try:
            if not colon:
                raise ValueError(text)
            return cls.of(dict(_pair(pair) for pair in pairs.split(",") if pair), generation)
        except ValueError:
            raise ValueError(f"{text!r} is no position: {_EXAMPLE}") from None

    def __str__(self) -> str:
        return f"2:{self.generation}:" + ",".join(f"{partition}={offset}" for partition, offset in self.offsets)

    def __or__(self, other: Position) -> Position:
        """The smallest position that covers both.

        Raises:
            ValueError: they are of different generations of the topic.
        """
        if not self._is_comparable(other):
            raise ValueError(f"{self} and {other} are of different generations of a topic: nothing covers both")
        merged = dict(self.offsets)
        for partition, offset in other.offsets:
            merged[partition] = max(offset, merged.get(partition, 0))
        return Position.of(merged, self.generation or other.generation)

    def offset(self, partition: int) -> int:
        """The next offset of a partition; 0 if it was not read."""
        return next((offset for named, offset in self.offsets if named == partition), 0)

    def covers(self, other: Position) -> bool:
        """Whether everything before `other` is before this one too; not if they are of different generations."""
        if not self._is_comparable(other):
            return False
        mine = dict(self.offsets)
        return all(mine.get(partition, 0) >= offset for partition, offset in other.offsets)

    def _is_comparable(self, other: Position) -> bool:
        return self.generation == other.generation or not (self.generation and other.generation)


_EXAMPLE = "pass what str(position) gave, such as '2:4f1c:0=12,1=7'"


def _pair(text: str) -> tuple[int, int]:
    partition, offset = text.split("=")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise ValueError(text)
    return int(partition), int(offset)


class Recorded(msgspec.Struct, Generic[E_co], frozen=True):
    """An event as it stands in the store.

    - `event`: the event, as an instance of its class.
    - `version`: its place in its stream, from 0.
    - `stream`: the id of its stream.
    - `metadata`: what travels beside it: its `id`, `commit`, `correlation`, `causation`, `attributes`.
    - `timestamp`: when it was recorded, UTC, in milliseconds.
    - `position`: after this event. From a stream: in the stream's partition. From a subscription: in all partitions so
      far; to go on from there, pass it as `after=`.
    """

    event: E_co
    version: int
    stream: str
    metadata: Metadata
    timestamp: datetime
    position: Position

    def __repr__(self) -> str:
        """What people look for; the rest by name."""
        at = self.timestamp.isoformat(timespec="milliseconds")
        return f"Recorded(stream={self.stream!r}, version={self.version}, event={self.event!r}, timestamp={at})"


class Appended(msgspec.Struct, frozen=True):
    """What an append did."""

    version: int
    """The version of the last event appended."""
    position: Position
    """After it, in its partition, or later: views that are at least there show it."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What a deletion or truncation did."""

    events: int
    """How many events it erased: 0 if they were erased before, or never were."""
    first: int
    """The first version that is kept; of a deleted stream, the version that the next event gets."""


def utf8_of(what: str, text: str) -> bytes:
    """The bytes of a text that somebody gave as `what`.

    Raises:
        ValueError: it holds half of a surrogate pair.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} {text!r} cannot be written in UTF-8: remove its lone surrogates") from None


def check_stream_id(stream: str) -> bytes:
    """Refuse what cannot be a stream's id: it is 1 to 500 bytes of UTF-8 without the character U+0000. Returns them.

    Raises:
        TypeError: it is no str.
        ValueError: it is empty, too long, or holds U+0000 or half of a surrogate pair.
    """
    try:
        raw = utf8_of("stream id", stream)
    except AttributeError:
        raise TypeError(f"a stream id is a str, such as 'account-5', and not {type(stream).__name__}") from None
    if not 1 <= (size := len(raw)) <= STREAM_ID_MAX_BYTES:
        raise ValueError(f"stream id {stream[:40]!r} has {size} bytes of UTF-8: 1 to {STREAM_ID_MAX_BYTES} are taken")
    if "\0" in stream:
        raise ValueError(
            f"stream id {stream!r} contains U+0000: it separates ids from versions in the index, remove it"
        )
    return raw
