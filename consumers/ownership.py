"""Who serves which partitions of a view: notes in the metadata of its group's positions.

A note is ASCII JSON, its version first (at most 4,095 characters; a layout that would not fit is given by its hash):

    {"v":1,"address":"10.0.0.7:8080","live":true,"layout":"by_order:str->Total#1f0c…","at":{"payments.events":17}}

They stand at the topic that decides who owns which partitions, which differs between versions of a view that is
re-keyed: each has a copy of its own. So for another version than the reader's it is looked at its copy, if there is
one, else at the topics that the reader's version reads or copies.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from consumers.rekeying import rekeyed_topic
from consumers.source import topics_of
from consumers.view_errors import ViewAmbiguous
from eventstore.log.port import Log
from eventstore.log.records import TopicPartition

if TYPE_CHECKING:
    from consumers.view import ViewDefinition

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


class Counts:
    """Partition counts of topics: they are frozen, so each topic is asked for until it exists. Any thread."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._known: dict[str, int] = {}

    def get(self, topic: str) -> int | None:
        """The count, if it was asked for before. Does not block."""
        return self._known.get(topic)

    def of(self, topics: Iterable[str]) -> Mapping[str, int]:
        """The counts of those that exist. Blocks."""
        wanted = list(topics)
        missing = [topic for topic in wanted if topic not in self._known]
        if missing:
            self._known |= {name: found.partitions for name, found in self._log.describe(missing).items()}
        return {topic: self._known[topic] for topic in wanted if topic in self._known}


@dataclass(frozen=True, slots=True)
class Owners:
    """Who serves a version of a view, as of the last look."""

    service: str
    version: int
    topic: str = ""
    """The one that decides who owns which partitions; empty: nobody has said that he owns one."""
    partitions: int = 0
    notes: Mapping[int, OwnerNote] = field(default_factory=dict[int, OwnerNote])

    def has_caught_up(self, partitions: int, layout: str) -> bool:
        """Whether all of it is live, its keys lie in so many partitions, and its rows can be read as `layout`."""
        return self.partitions == partitions == len(self.notes) and all(
            note.live and note.layout == short_layout(layout) for note in self.notes.values()
        )

    def follows(self, topic: str) -> bool:
        """Whether its positions are those of the topic."""
        return topic == self.topic or (bool(self.notes) and all(topic in note.at for note in self.notes.values()))


def owners_of(log: Log, counts: Counts, view: ViewDefinition, *, service: str | None) -> list[Owners]:
    """Who serves the versions of a view, the newest first. Blocks.

    `service`: preferred if it runs the view.

    Raises:
        ViewAmbiguous: several other services run it.
    """
    found = [match for match in (re.fullmatch(rf"(.+)\.{view.name}\.v(\d+)", group) for group in log.groups()) if match]
    services = sorted({str(match[1]) for match in found})
    if service not in services and len(services) > 1:
        raise ViewAmbiguous(view.name, services)
    chosen = service if service is not None and service in services else next(iter(services), "")
    versions = sorted((int(match[2]) for match in found if match[1] == chosen), reverse=True)
    return [_owners(log, counts.of(_leads(view, version)), view.name, chosen, version) for version in versions]


def _leads(view: ViewDefinition, version: int) -> list[str]:
    """Which topics may decide who owns partitions of a version, the likeliest first."""
    if version == view.version:
        return view.topics[:1]
    return [rekeyed_topic(f"{view.name}.v{version}"), *topics_of(view.sources)]


def _owners(log: Log, leads: Mapping[str, int], view: str, service: str, version: int) -> Owners:
    places = [TopicPartition(topic, number) for topic, count in leads.items() for number in range(count)]
    positions = log.group_positions(f"{service}.{view}.v{version}", places, stable=False)
    for topic, count in leads.items():
        own = {at.partition: shown for at, shown in positions.items() if at.topic == topic and shown is not None}
        notes = {number: OwnerNote.decode(position.metadata) for number, position in own.items()}
        if notes:
            known = {number: note for number, note in notes.items() if note is not None}
            return Owners(service, version, topic, count, known)
    return Owners(service, version)
