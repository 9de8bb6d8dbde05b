"""Snapshots: what an entity's events were folded to, so that loading it need not fold them all again (E3).

A snapshot is a cache and nothing else: it is used only by code of the same fingerprint, only if it says what the events
that are kept go on from, and whoever does not use it folds the events.

Row and record of the state topic, integers big-endian:

    b"n" stream-bytes 0x00 name-bytes  ->  1 version:u64 fingerprint:16 bytes checksum:u32 state

`name`: the aggregate's, for several may be loaded of one stream. `version`: of the last event in it. `fingerprint`: of
the code that folded it. `checksum`: CRC-32 of all else in the value, its first byte included.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable
from zlib import crc32

from eventstore.processor.erasure import Erasure
from eventstore.state.port import State
from schemas.option_values import DURATION, WHOLE, check_value

S = TypeVar("S")

PREFIX = b"n"
NEVER = 1 << 62
"""A version that no stream reaches."""
_SNAPSHOT = struct.Struct(">BQ16s")
_CHECKSUM = struct.Struct(">I")
_STATE = _SNAPSHOT.size + _CHECKSUM.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """When snapshots of an aggregate or decider are taken. At least one of `every` and `folding` is given.

    Raises:
        ValueError: neither is given, or one is not positive.
    """

    every: int | None = None
    """After so many events since the last one."""
    folding: timedelta | None = None
    """When loading an entity took longer than this."""
    version: int = 1
    """Increase it when code changed that the fingerprint does not notice: earlier snapshots are ignored then."""

    def __post_init__(self) -> None:
        check_value("Snapshots", "every", self.every, WHOLE, or_none=True)
        check_value("Snapshots", "folding", self.folding, DURATION, or_none=True)
        check_value("Snapshots", "version", self.version, WHOLE)
        if self.every is None and self.folding is None:
            raise ValueError("Snapshots() are never taken: say when, Snapshots(every=500) or Snapshots(folding=…)")
        if self.every is not None and self.every < 1:
            raise ValueError(f"Snapshots(every={self.every}): give a number of events, 1 at least")
        if self.folding is not None and self.folding <= timedelta():
            raise ValueError(f"Snapshots(folding={self.folding}): give a positive duration")

    def due_at(self, after: int, version: int, seconds: float) -> int:
        """From which version on one is to be taken.

        `after`: the version that loading went on from; `version`: that it led to, in `seconds`.
        """
        if self.folding is not None and version > after and seconds > self.folding.total_seconds():
            return version
        return NEVER if self.every is None else after + self.every


class StateForm(Protocol[S]):
    """How states of one kind of entity become snapshots, and what a snapshot of them depends on."""

    name: str
    policy: Snapshots

    @property
    def fingerprint(self) -> bytes:
        """16 bytes that change with the code that folds, and with what it folds from and to."""
        ...

    def encode(self, state: S) -> bytes:
        """The state in bytes.

        Raises:
            Exception: it cannot be written, or would not be read as it is.
        """
        ...

    def decode(self, key: str, version: int, data: bytes) -> S:
        """The state of an entity that these bytes are.

        Raises:
            Exception: they are none.
        """
        ...


@runtime_checkable
class Snapshotting(Protocol):
    """Mixed into a processor whose entities may have snapshots."""

    snapshots: StateForm[Any] | None


class Wanted(NamedTuple):
    """Which snapshot of a stream would be used."""

    name: str
    fingerprint: bytes


class Snapshot(NamedTuple):
    """A snapshot as it is stored."""

    version: int
    fingerprint: bytes
    state: bytes


class Ignored(Enum):
    """Why a snapshot that is there is not used."""

    STALE = "stale"
    """Other code folded it."""
    CORRUPT = "corrupt"
    ERASED = "erased"
    """It says less, or more, than the events that are kept go on from."""


class NotTaken(Enum):
    """Why a snapshot that is due is not taken."""

    TOO_LARGE = "too_large"
    """It does not fit into a record."""
    NOT_EXACT = "not_exact"
    """The state cannot be written, or would be read as another one."""


def snapshot_key(stream: bytes, name: str) -> bytes:
    """Where a snapshot of a stream is."""
    return b"%b%b\0%b" % (PREFIX, stream, name.encode())


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """The row's value."""
    head = _SNAPSHOT.pack(1, snapshot.version, snapshot.fingerprint)
    return head + _CHECKSUM.pack(crc32(snapshot.state, crc32(head))) + snapshot.state


def decode_snapshot(value: bytes) -> Snapshot | None:
    """What `encode_snapshot` was given; None if the value is damaged, or of another layout."""
    if len(value) < _STATE or value[0] != 1:
        return None
    (checksum,), state = _CHECKSUM.unpack_from(value, _SNAPSHOT.size), value[_STATE:]
    if checksum != crc32(state, crc32(value[: _SNAPSHOT.size])):
        return None
    _, version, fingerprint = _SNAPSHOT.unpack_from(value)
    return Snapshot(version, fingerprint, state)


def version_of_snapshot(value: bytes) -> int:
    """The version of a snapshot's value; −1 if it is damaged."""
    found = decode_snapshot(value)
    return -1 if found is None else found.version


def stands(version: int, erased: Erasure) -> bool:
    """Whether the events that are kept go on from a snapshot of this version.

    After a deletion they do not go on from what was deleted, though the next version follows it.
    """
    is_deletion = erased.first == erased.head + 1
    return version >= erased.first if is_deletion else version + 1 >= erased.first


def usable(value: bytes, fingerprint: bytes, erased: Erasure) -> Snapshot | Ignored:
    """The snapshot in a row, or why it is not used."""
    snapshot = decode_snapshot(value)
    if snapshot is None:
        return Ignored.CORRUPT
    if snapshot.fingerprint != fingerprint:
        return Ignored.STALE
    return snapshot if stands(snapshot.version, erased) else Ignored.ERASED


def snapshots_of(state: State, stream: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The rows of a stream's snapshots."""
    prefix = PREFIX + stream
    return state.scan(prefix + b"\0", prefix + b"\1")
