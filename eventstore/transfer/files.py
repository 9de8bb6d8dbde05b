"""Files of streams: which form, how one is begun, gone on with, read, and seen to be whole."""

from __future__ import annotations

import os
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from eventstore.streams import check_stream_id
from eventstore.transfer.avro_file import MAGIC, AvroReader, AvroWriter
from eventstore.transfer.entries import FORMAT, Content, End, Entry, EventEntry, Header, SchemaEntry
from eventstore.transfer.errors import ExportDiffers, ExportIncomplete, ExportUnreadable
from eventstore.transfer.json_lines import JsonLinesReader, JsonLinesWriter
from schemas import Metadata, Schema, SchemaInvalid, Undecodable

FileFormat: TypeAlias = Literal["jsonl", "avro"]


class FileWriter(Protocol):
    """A file that entries are added to."""

    is_for_people: bool
    """Whether an event's fields are wanted beside its bytes."""

    def write(self, entry: Entry) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class FileReader(Protocol):
    """A file that is read from its start."""

    header: Header
    body: int
    """The offset of the first entry."""
    damage: str
    """Why reading ended before the file did; empty if it did not."""

    def entries(self) -> Iterator[tuple[Entry, int]]:
        """Each entry, with the offset up to which the file is whole."""
        ...

    def close(self) -> None: ...


@dataclass(slots=True)
class Written:
    """What a file holds so far."""

    form: FileFormat
    header: Header
    content: Content
    last: EventEntry | None = None
    is_complete: bool = False


@dataclass(frozen=True, slots=True)
class Whole:
    """A file that was read to its end, and is as it was written."""

    header: Header
    schemas: dict[int, Schema]
    end: End


def form_of(path: Path, wanted: FileFormat | None) -> FileFormat:
    """The form that was asked for, else the one that the name says: Avro for `.avro`, JSON lines for others."""
    return wanted or ("avro" if path.suffix == ".avro" else "jsonl")


def writer(path: Path, form: FileFormat, header: Header | None) -> FileWriter:
    """A new file with a header; without one, more of the one that is there."""
    return AvroWriter(path, header) if form == "avro" else JsonLinesWriter(path, header)


@contextmanager
def reading(path: Path) -> Generator[FileReader]:
    """A reader, by what the file begins with.

    Raises:
        ExportUnreadable: it begins with no header that this version knows.
        FileNotFoundError, PermissionError: it cannot be opened.
    """
    with path.open("rb") as file:
        is_avro = file.read(len(MAGIC)) == MAGIC
    try:
        found: FileReader = AvroReader(path) if is_avro else JsonLinesReader(path)
    except ValueError as error:
        raise ExportUnreadable(path, f"it has no header ({error})") from error
    try:
        if found.header.format != FORMAT:
            raise ExportUnreadable(path, f"its format is {found.header.format}, this sagalog reads {FORMAT}")
        yield found
    finally:
        found.close()


def whole(path: Path) -> Whole:
    """Read a file to its end and check it.

    Raises:
        ExportIncomplete: it is cut.
        ExportUnreadable: it is damaged, or no export.
    """
    content, schemas = Content(), dict[int, Schema]()
    with reading(path) as file:
        for entry, _ in file.entries():
            if isinstance(entry, End):
                if entry != content.end:
                    raise ExportUnreadable(path, f"its checksum says {entry}, its events say {content.end}")
                return Whole(file.header, schemas, entry)
            if isinstance(entry, SchemaEntry):
                schemas[entry.id] = entry.schema
            _take(content, entry, path)
    if file.damage:
        raise ExportUnreadable(path, file.damage)
    raise ExportIncomplete(path, content.events)


def resumed(path: Path, wanted: Header) -> Written:
    """What the file of an interrupted export holds. Behind its last whole entry it is cut, so that it can go on.

    Raises:
        ExportDiffers: it is a file of another export.
        ExportUnreadable: it is none.
    """
    with reading(path) as file:
        for what in ("store", "generation", "after", "prefix", "streams"):
            there, want = getattr(file.header, what), getattr(wanted, what)
            if there != want:
                raise ExportDiffers(path, what, there=there, wanted=want)
        written, end = Written(_form(file), file.header, Content()), file.body
        for entry, behind in file.entries():
            end = behind
            if isinstance(entry, End):
                if entry != written.content.end:
                    raise ExportUnreadable(path, f"its checksum says {entry}, its events say {written.content.end}")
                written.is_complete = True
                break
            _take(written.content, entry, path)
            if isinstance(entry, EventEntry):
                written.last = entry
    if not written.is_complete:
        os.truncate(path, end)
    return written


def _form(file: FileReader) -> FileFormat:
    return "avro" if isinstance(file, AvroReader) else "jsonl"


def _take(content: Content, entry: SchemaEntry | EventEntry, path: Path) -> None:
    if isinstance(entry, SchemaEntry):
        _check_schema(entry, path)
        content.know(entry)
        return
    if not content.knows(entry.schema):
        why = f"{entry.stream}/{entry.version} has schema {entry.schema}, which it does not hold"
        raise ExportUnreadable(path, why)
    try:
        check_stream_id(entry.stream)
        Metadata.decode(bytes(entry.meta))
        content.add(entry)
    except (ValueError, struct.error, Undecodable) as error:
        raise ExportUnreadable(path, f"event {content.events} is none: {error}") from error


def _check_schema(entry: SchemaEntry, path: Path) -> None:
    try:
        entry.text.encode()
        named = Schema.parse(entry.format, entry.text)
    except (ValueError, SchemaInvalid) as error:
        raise ExportUnreadable(path, f"schema {entry.id} is none: {error}") from error
    if named != entry.schema:
        raise ExportUnreadable(path, f"schema {entry.id} is called {entry.name!r} and describes {named.name!r}")
