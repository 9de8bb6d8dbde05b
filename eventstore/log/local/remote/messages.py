"""What a second process and the owner of an embedded folder say to each other.

A frame is: length of what follows, u32 big-endian; the version byte 1; a msgpack map with its kind under `type`. The
client sends a request and waits for its one answer; a connection carries one request at a time.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeAlias, TypeVar, cast

import msgspec

from eventstore.log.errors import (
    InvalidRecord,
    LogClosed,
    LogError,
    MessageTooLarge,
    OutcomeUnknown,
    PartitionCountChanged,
    TopicMissing,
)

T = TypeVar("T")
VERSION: Final = 1
MAX_FRAME_BYTES: Final = 1 << 30
LONGEST_READ_SECONDS: Final = 3_600.0
Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class Hello(msgspec.Struct, tag=True, frozen=True):
    """First request of a connection; answered by Welcome."""


class Welcome(msgspec.Struct, tag=True, frozen=True):
    """Who the owner is."""

    pid: int
    message_max_bytes: int


class TopicWish(msgspec.Struct, frozen=True, array_like=True):
    """A topic to create."""

    name: str
    partitions: int | None
    compacted: bool
    retention_ms: int | None
    settings: dict[str, str]
    has_unique_keys: bool = False


class Create(msgspec.Struct, tag=True, frozen=True):
    """Create topics; answered by Done."""

    topics: list[TopicWish]


class Describe(msgspec.Struct, tag=True, frozen=True):
    """Describe topics; answered by Described."""

    names: list[str] | None


class Described(msgspec.Struct, tag=True, frozen=True):
    """Name, id, partitions, manifest and wanted settings of each topic."""

    topics: list[tuple[str, str, int, int | None, dict[str, str]]]


class Configuration(msgspec.Struct, tag=True, frozen=True):
    """Ask for the settings in force of topics; answered by Configured."""

    names: list[str]


class Configured(msgspec.Struct, tag=True, frozen=True):
    """The settings of each topic, by name."""

    settings: dict[str, dict[str, str]]


class Configure(msgspec.Struct, tag=True, frozen=True):
    """Change settings of a topic; answered by Done."""

    topic: str
    settings: dict[str, str]


class Delete(msgspec.Struct, tag=True, frozen=True):
    """Delete topics; answered by Done."""

    names: list[str]


class NewRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record to append."""

    topic: str
    partition: Natural
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int | None


class Produce(msgspec.Struct, tag=True, frozen=True):
    """Append records, each for itself; answered by Produced. What is wrong with one is told of that one alone."""

    records: list[msgspec.Raw]
    """Each a NewRecord."""


class Failed(msgspec.Struct, tag=True, frozen=True):
    """An error of ours: its class and its fields."""

    error: str
    text: str
    fields: dict[str, str | int | bool]


class Produced(msgspec.Struct, tag=True, frozen=True):
    """The offset or the failure of each record, in their order."""

    results: list[int | Failed]


class Read(msgspec.Struct, tag=True, frozen=True):
    """Read partitions from positions; answered by Found."""

    positions: list[tuple[str, Natural, Natural]]
    max_records: Annotated[int, msgspec.Meta(ge=1)]
    timeout: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_READ_SECONDS)]


class FoundRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record as read."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Found(msgspec.Struct, tag=True, frozen=True):
    """Records, and the positions to go on from."""

    records: list[FoundRecord]
    positions: list[tuple[str, int, int]]


class Bounds(msgspec.Struct, tag=True, frozen=True):
    """Ask where partitions start and end; answered by Bounded."""

    partitions: list[tuple[str, Natural]]


class Bounded(msgspec.Struct, tag=True, frozen=True):
    """Start and end of each, in their order."""

    bounds: list[tuple[int, int]]


class Committed(msgspec.Struct, tag=True, frozen=True):
    """Ask for a group's positions; answered by Positions."""

    group: str
    partitions: list[tuple[str, Natural]]


class Positions(msgspec.Struct, tag=True, frozen=True):
    """Offset and metadata of each, in their order."""

    positions: list[tuple[int, str] | None]


class Groups(msgspec.Struct, tag=True, frozen=True):
    """Ask for the names of groups, or only of those that have members; answered by Names."""

    live: bool = False


class Names(msgspec.Struct, tag=True, frozen=True):
    """Names, sorted."""

    names: list[str]


class Yield(msgspec.Struct, tag=True, frozen=True):
    """Ask the owner to give the folder up, if it only uses it; answered by Yielded, or by the end of the connection."""


class Yielded(msgspec.Struct, tag=True, frozen=True):
    """Whether it is given up."""

    is_free: bool


class Done(msgspec.Struct, tag=True, frozen=True):
    """It is done."""


OfBroker = (
    Hello | Create | Describe | Configuration | Configure | Delete | Produce | Read | Bounds | Committed | Groups
)  # fmt: skip
"""Requests that the owner's broker answers."""
Request = OfBroker | Yield
Answer = Welcome | Described | Configured | Produced | Found | Bounded | Positions | Names | Yielded | Done | Failed

_encode = msgspec.msgpack.Encoder().encode
_decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode
_decode_answer: Callable[[bytes], Answer] = msgspec.msgpack.Decoder(Answer).decode
_decode_record: Callable[[bytes | msgspec.Raw], NewRecord] = msgspec.msgpack.Decoder(NewRecord).decode


def packed(record: NewRecord) -> bytes:
    """A record as it travels.

    Raises:
        InvalidRecord: it cannot: a part of it is of another type, or out of range.
    """
    try:
        body = _encode(record)
        _decode_record(body)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
        raise InvalidRecord(repr(record.topic)[1:-1], f"a part of it cannot be sent: {error}") from error
    return body


def unpacked(raw: msgspec.Raw) -> NewRecord:
    """The record that travelled.

    Raises:
        InvalidRecord: it is none of ours.
    """
    try:
        return _decode_record(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidRecord("?", f"it is none of ours: {error}") from error


def send(connection: socket.socket, message: Request | Answer) -> None:
    """Send one frame."""
    body = _encode(message)
    connection.sendall((len(body) + 1).to_bytes(4, "big") + bytes((VERSION,)) + body)


def receive_request(connection: socket.socket) -> Request | None:
    """The next request; None when the client is gone.

    Raises:
        ValueError: it is none of ours.
    """
    body = _receive(connection)
    return None if body is None else _decoded(_decode_request, body)


def receive_answer(connection: socket.socket) -> Answer:
    """The answer.

    Raises:
        ConnectionError: the owner is gone.
        ValueError: it is none of ours.
    """
    body = _receive(connection)
    if body is None:
        raise ConnectionError("the owner closed the connection")
    return _decoded(_decode_answer, body)


def _decoded(decode: Callable[[bytes], T], body: bytes) -> T:
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"a frame that is none of ours: {error}") from error


def _receive(connection: socket.socket) -> bytes | None:
    length = _exactly(connection, 4)
    if not length:
        return None
    frame = _exactly(connection, int.from_bytes(length, "big"))
    if not frame or frame[0] != VERSION:
        raise ValueError(f"a frame of version {frame[:1].hex() or 'none'}, this program speaks {VERSION}")
    return frame[1:]


def _exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or none at the end of the connection."""
    if size > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {size:,} bytes: not one of ours")
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(min(size - len(parts), 1 << 20))
        if not part:
            return b""
        parts += part
    return bytes(parts)


def failure(error: LogError) -> Failed:
    """An error as it travels."""
    fields = {name: value for name, value in vars(error).items() if isinstance(value, str | int)}
    return Failed(type(error).__name__, str(error), fields)


def error_of(failed: Failed) -> LogError:
    """The error that travelled."""
    try:
        return _error_of(failed, failed.fields)
    except (KeyError, TypeError):
        return LogError(failed.text)


def _error_of(failed: Failed, given: Mapping[str, object]) -> LogError:
    fields = cast("Mapping[str, Any]", given)
    match failed.error:
        case "TopicMissing":
            return TopicMissing(fields["topic"])
        case "InvalidRecord":
            return InvalidRecord(fields["topic"], fields["why"])
        case "MessageTooLarge":
            return MessageTooLarge(fields["topic"], size_bytes=fields["size_bytes"], limit_bytes=fields["limit_bytes"])
        case "PartitionCountChanged":
            return PartitionCountChanged(
                fields["topic"], manifest=fields["manifest"], actual=fields["actual"], is_asked=fields["is_asked"]
            )
        case "LogClosed":
            return LogClosed(failed.text)
        case "OutcomeUnknown":
            return OutcomeUnknown(failed.text)
        case _:
            return LogError(failed.text)
