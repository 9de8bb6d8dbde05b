"""Files of streams: which form, how one is begun, gone on with, read, and seen to be whole."""

from __future__ import annotations

import os
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from eventstore.folder_lock import FolderLock
from eventstore.streams import check_stream_id
from eventstore.transfer.avro_file import MAGIC, AvroReader, AvroWriter
from eventstore.transfer.entries import FORMAT, Content, End, Entry, EventEntry, Header, Mark, SchemaEntry
from eventstore.transfer.errors import ExportDiffers, ExportIncomplete, ExportInUse, ExportUnreadable, FileUnusable
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
    is_begun: bool = False
    """Whether the header is there, and right."""
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
def held(path: Path) -> Generator[None]:
    """Keep other exports from the file; it is made if there is none, and stays as it is.

    Raises:
        ExportInUse: another one has it, in this process or elsewhere.
        FileUnusable: it cannot be opened or made.
    """
    try:
        path.open("ab").close()  # with the rights of a file, and in a folder that is there
    except OSError as error:
        raise FileUnusable(path, error) from error
    lock = FolderLock.acquire(path, 0)
    if lock is None:
        raise ExportInUse(path)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def reading(path: Path) -> Generator[FileReader]:
    """A reader, by what the file begins with.

    Raises:
        ExportUnreadable: it begins with no header that this version knows.
        FileUnusable: it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            is_avro = file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise FileUnusable(path, error) from error
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
    schemas = dict[int, Schema]()
    with reading(path) as file:
        content, entries = Content(file.header), file.entries()
        for entry, behind in entries:
            if isinstance(entry, End):
                _check_end(entry, content, path)
                _check_last(entries, behind, path)
                return Whole(file.header, schemas, entry)
            if isinstance(entry, SchemaEntry):
                schemas[entry.id] = entry.schema
            _take(content, entry, path)
    if file.damage:
        raise ExportUnreadable(path, file.damage)
    raise ExportIncomplete(path, content.events)


def resumed(path: Path, wanted: Header, form: FileFormat | None = None) -> Written:
    """What the file of an interrupted export holds, up to its last mark. Behind it it is cut, so that it can go on.

    A file that ends before its first mark is begun anew. One that is damaged is left as it is. `form`: None: any.

    Raises:
        ExportDiffers: it is a file of another export.
        ExportUnreadable: it is none, or damaged.
    """
    with reading(path) as file:
        for what in ("store", "generation", "after", "prefix", "streams"):
            there, want = getattr(file.header, what), getattr(wanted, what)
            if there != want:
                raise ExportDiffers(path, what, there=there, wanted=want)
        if form not in (None, there := _form(file)):
            raise ExportDiffers(path, "format", there=there, wanted=form)
        written, end = _up_to_mark(file, path)
        if file.damage:
            raise ExportUnreadable(path, file.damage)
    if not written.is_begun:
        written.header, written.content = wanted, Content(wanted)
    if not written.is_complete:
        os.truncate(path, end)
    return written


def _up_to_mark(file: FileReader, path: Path) -> tuple[Written, int]:
    """What a file holds up to its end or its last mark, and the offset behind that."""
    content, last, end = Content(file.header), None, 0
    written, entries = Written(_form(file), file.header, content), file.entries()
    for entry, behind in entries:
        if isinstance(entry, End):
            _check_end(entry, content, path)
            _check_last(entries, behind, path)
            written.content, written.last, written.is_complete = content, last, True
            break
        _take(content, entry, path)
        if isinstance(entry, Mark):
            written.content, written.last, written.is_begun, end = content.copy(), last, True, behind
        elif isinstance(entry, EventEntry):
            last = entry
    return written, end


def _form(file: FileReader) -> FileFormat:
    return "avro" if isinstance(file, AvroReader) else "jsonl"


def _check_end(end: End, content: Content, path: Path) -> None:
    if end != content.end:
        raise ExportUnreadable(path, f"its checksum says {end}, its events say {content.end}")


def _check_last(rest: Iterator[tuple[Entry, int]], behind: int, path: Path) -> None:
    """Nothing may follow the last entry, neither in its block nor behind it: nobody would import it."""
    if next(rest, None) is not None or path.stat().st_size > behind:
        raise ExportUnreadable(path, f"it goes on after its end, at byte {behind}, as if it were several files in one")


def _take(content: Content, entry: SchemaEntry | EventEntry | Mark, path: Path) -> None:
    if isinstance(entry, Mark):
        if entry != content.mark:
            raise ExportUnreadable(path, f"up to event {content.events} it is not as it was written")
        return
    if isinstance(entry, SchemaEntry):
        _take_schema(content, entry, path)
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


def _take_schema(content: Content, entry: SchemaEntry, path: Path) -> None:
    try:
        entry.text.encode()
        named = Schema.parse(entry.format, entry.text)
        content.know(entry)
    except (ValueError, struct.error, SchemaInvalid) as error:
        raise ExportUnreadable(path, f"schema {entry.id} is none: {error}") from error
    if named != entry.schema:
        raise ExportUnreadable(path, f"schema {entry.id} is called {entry.name!r} and describes {named.name!r}")
