"""Who serves which partitions of a view: notes in the metadata of its group's positions.

A note is ASCII JSON, its version first (at most 4,095 characters; a layout that would not fit is given by its hash):

    {"v":1,"address":"10.0.0.7:8080","live":true,"layout":"by_order:str->Total","at":{"payments.events":17}}
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

import msgspec

from consumers.view_errors import ViewAmbiguous
from eventstore.log.port import Log
from eventstore.log.records import TopicPartition

_MAX_LAYOUT = 1_000


class OwnerNote(msgspec.Struct, frozen=True, kw_only=True):
    """What the owner of a partition says of itself."""

    v: int = 1
    address: str
    """`host:port` where it can be read; empty: it has no endpoint."""
    live: bool
    """Whether it has caught up and serves reads."""
    layout: str
    """What the rows are: code of the same layout can read them."""
    at: dict[str, int] = {}
    """Positions of the topics that are followed."""

    def encode(self) -> str:
        """The note as commit metadata."""
        fields = msgspec.structs.replace(self, layout=short_layout(self.layout))
        return "".join(c if c < "\x7f" else f"\\u{ord(c):04x}" for c in msgspec.json.encode(fields).decode())

    @staticmethod
    def decode(metadata: str) -> OwnerNote | None:
        """The note; None if nothing, or something else, was written."""
        try:
            note = _decoder.decode(metadata)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None
        return note if note.v == 1 else None


_decoder = msgspec.json.Decoder(OwnerNote)


def short_layout(layout: str) -> str:
    """The layout, or its hash where it is long or not ASCII."""
    if len(layout) <= _MAX_LAYOUT and layout.isascii():
        return layout
    return hashlib.sha256(layout.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Owners:
    """Who serves a version of a view, as of the last look."""

    service: str
    version: int
    notes: dict[int, OwnerNote] = field(default_factory=dict[int, OwnerNote])

    def has_caught_up(self, partitions: int, layout: str) -> bool:
        """Whether all of it is live, and its rows can be read as `layout`."""
        return len(self.notes) == partitions and all(
            note.live and note.layout == short_layout(layout) for note in self.notes.values()
        )


def owners_of(log: Log, view: str, topic: str, partitions: int, *, service: str | None) -> list[Owners]:
    """Who serves the versions of a view, the newest first. Blocks.

    `service`: preferred if it runs the view.

    Raises:
        ViewAmbiguous: several other services run it.
    """
    found = [match for match in (re.fullmatch(rf"(.+)\.{view}\.v(\d+)", group) for group in log.groups()) if match]
    services = sorted({str(match[1]) for match in found})
    if service not in services and len(services) > 1:
        raise ViewAmbiguous(view, services)
    chosen = service if service is not None and service in services else next(iter(services), "")
    versions = sorted((int(match[2]) for match in found if match[1] == chosen), reverse=True)
    return [_owners(log, view, topic, partitions, chosen, version) for version in versions]


def _owners(log: Log, view: str, topic: str, partitions: int, service: str, version: int) -> Owners:
    places = [TopicPartition(topic, number) for number in range(partitions)]
    positions = log.group_positions(f"{service}.{view}.v{version}", places, stable=False)
    notes = {
        at.partition: OwnerNote.decode(position.metadata) for at, position in positions.items() if position is not None
    }
    return Owners(service, version, {number: note for number, note in notes.items() if note is not None})
