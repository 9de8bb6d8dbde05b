"""Inputs that are larger than a record: cut into parts on their way through the inbox.

Only messages whose class says `may_be_split` are cut. All parts carry the metadata of the whole and go to one
partition, in order; the owner keeps them in memory until the last one is there, and then decides on the whole. The
parts that came in an aborted batch come again, and are the same.

Not promised: that an input survives a change of the owner between its parts. It then never happens: whoever asked gets
no answer in time and asks again, under the same id. Parts whose rest does not come are forgotten after a minute, and
the oldest ones when all of them are larger than 256 MiB.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

import structlog

from eventstore.processor.inputs import Input
from schemas import Message

log = structlog.get_logger()

KEPT_MS = 60_000
KEPT_BYTES = 256 * 1024 * 1024
ROOM_BYTES = 2_048
"""What a part's key, metadata and wire format may take of a record."""

Whole: TypeAlias = tuple[str, str]
"""An input as one asker sent it: its id and the correlation of the answer."""


class Part(Message, name="sagalog.part"):
    """A part of an encoded message, from number 0."""

    number: int
    of: int
    data: bytes


def split(data: bytes, key: str, record_bytes: int) -> list[Part]:
    """The parts of an encoded message, each of which fits into a record beside its key."""
    size = record_bytes - len(key.encode()) - ROOM_BYTES
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return [Part(number=number, of=len(pieces), data=piece) for number, piece in enumerate(pieces)]


@dataclass(slots=True)
class _Gathered:
    since_ms: int
    pieces: dict[int, bytes] = field(default_factory=dict[int, bytes])

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces.values()))


class Parts:
    """The parts that came to a unit. One thread."""

    def __init__(self) -> None:
        self._gathered: dict[Whole, _Gathered] = {}
        self._bytes = 0

    def add(self, item: Input, part: Part, now_ms: int) -> bytes | None:
        """Keep a part; the whole, if this was the last one that was missing. What is no part of anything is nothing."""
        if not 0 <= part.number < part.of:
            return b""
        whole = whole_of(item)
        gathered = self._gathered.setdefault(whole, _Gathered(now_ms))
        if part.number not in gathered.pieces:
            gathered.pieces[part.number] = part.data
            self._bytes += len(part.data)
        if len(gathered.pieces) >= part.of and all(number in gathered.pieces for number in range(part.of)):
            return b"".join(gathered.pieces[number] for number in range(part.of))
        self._forget_old(now_ms, but=whole)
        return None

    def forget(self, wholes: Iterable[Whole]) -> None:
        """These were decided on, and that is committed."""
        for whole in wholes:
            gathered = self._gathered.pop(whole, None)
            self._bytes -= 0 if gathered is None else gathered.size

    def _forget_old(self, now_ms: int, but: Whole) -> None:
        for whole, gathered in list(self._gathered.items()):
            if self._bytes <= KEPT_BYTES and now_ms - gathered.since_ms <= KEPT_MS:
                return
            if whole != but:
                log.warning("parts_forgotten", id=whole[0], parts=len(gathered.pieces), bytes=gathered.size)
                self.forget([whole])


def whole_of(item: Input) -> Whole:
    """Which whole a part belongs to."""
    return item.metadata.id, item.metadata.correlation
