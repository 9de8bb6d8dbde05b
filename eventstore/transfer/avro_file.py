"""Files of streams as Avro object container files, compressed by deflate.

A file's records are a union of `sagalog.export.Event`, `Schema`, `Mark` and `End`, with the fields of
`eventstore.transfer.entries`; the header is JSON in the file's metadata, under `sagalog.export`. Metadata of events is
JSON in a string, payloads are bytes in the Avro or JSON encoding of the schema that their `schema` names. A mark ends
its block. A block without the file's sync marker behind it is the rest of an interrupted export.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import fastavro
import msgspec
from fastavro.write import Writer

from eventstore.transfer.entries import End, Entry, EventEntry, Header, Mark, SchemaEntry

MAGIC = b"Obj\x01"
_HEADER = "sagalog.export"
_NULL = msgspec.Raw(b"null")
_fastavro: Any = fastavro  # its types hold unknown ones
_Writer: Any = Writer


def _record(name: str, fields: dict[str, str]) -> dict[str, object]:
    listed = [{"name": field, "type": type_} for field, type_ in fields.items()]
    return {"type": "record", "name": name, "namespace": "sagalog.export", "fields": listed}


_EVENT = {
    "stream": "string", "version": "long", "begins": "boolean", "timestamp_ms": "long", "type": "string",
    "type_version": "int", "meta": "string", "payload": "bytes", "schema": "int", "partition": "int", "offset": "long",
}  # fmt: skip
_SCHEMA = {"id": "int", "name": "string", "version": "int", "format": "string", "text": "string"}
_MARK = {"events": "long", "trail": "string"}
_END = {"events": "long", "checksum": "string", "trail": "string"}
_FILE: Any = fastavro.parse_schema(
    [_record("Event", _EVENT), _record("Schema", _SCHEMA), _record("Mark", _MARK), _record("End", _END)]
)
_NAMES: dict[type[Entry], str] = {
    EventEntry: "sagalog.export.Event", SchemaEntry: "sagalog.export.Schema", Mark: "sagalog.export.Mark",
    End: "sagalog.export.End",
}  # fmt: skip
_SYNC_BYTES, _SEARCH_BYTES = 16, 1024 * 1024
_TYPES = {name: type_ for type_, name in _NAMES.items()}


class AvroWriter:
    """Writes entries to the end of a file, in blocks."""

    is_for_people = False

    def __init__(self, path: Path, header: Header | None) -> None:
        """A new file with this header; without one, the file is there."""
        self._file: BinaryIO = path.open("r+b" if header is None else "w+b")
        self._file.seek(0, 2)
        metadata = {} if header is None else {_HEADER: msgspec.json.encode(header).decode()}
        self._writer = _Writer(self._file, _FILE, codec="deflate", metadata=metadata)

    def write(self, entry: Entry) -> None:
        """Append an entry. A mark ends the block, so that the file can be cut behind it."""
        fields = msgspec.structs.asdict(entry)
        if isinstance(entry, EventEntry):
            fields["meta"] = bytes(entry.meta).decode()
            del fields["event"]
        self._writer.write((_NAMES[type(entry)], fields))
        if isinstance(entry, Mark):
            self.flush()

    def flush(self) -> None:
        """End the block, and hand what was written to the operating system."""
        self._writer.flush()
        self._file.flush()

    def close(self) -> None:
        """Flush and close, also if what is left cannot be written."""
        try:
            self.flush()
        finally:
            self._file.close()


class AvroReader:
    """Reads a file from its start."""

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            ValueError: the file does not begin with one.
        """
        self._file: BinaryIO = path.open("rb")
        self.damage = ""
        try:
            self._blocks: Any = _fastavro.block_reader(self._file, return_record_name=True)
            self.header = msgspec.json.decode(self._blocks.metadata.get(_HEADER, ""), type=Header)
        except Exception as error:
            self._file.close()
            raise ValueError(str(error)) from error
        self.body = self._file.tell()

    def entries(self) -> Iterator[tuple[Entry, int]]:
        """The entries, each with the offset in the file behind its block. Ends where the file does, or is damaged."""
        with self._file:
            end = self.body
            while True:
                try:
                    block = next(self._blocks)
                    entries = [_entry(*record) for record in block]
                except Exception as error:  # noqa: BLE001 - fastavro names no errors of its own
                    self.damage = f"byte {end}: {error}" if self._has_block_behind(end) else ""
                    return
                end = block.offset + block.size
                for entry in entries:
                    yield entry, end

    def _has_block_behind(self, offset: int) -> bool:
        """Whether what lies there was whole once: then its sync marker is behind it, and the file is not just cut."""
        self._file.seek(self.body - _SYNC_BYTES)
        sync, before = self._file.read(_SYNC_BYTES), b""
        self._file.seek(offset)
        while read := self._file.read(_SEARCH_BYTES):
            if sync in before + read:
                return True
            before = (before + read)[-_SYNC_BYTES:]
        return False

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _entry(name: str, fields: dict[str, Any]) -> Entry:
    if name == _NAMES[EventEntry]:
        fields["meta"], fields["event"] = msgspec.Raw(fields["meta"].encode()), _NULL
    return _TYPES[name](**fields)
