"""Files of streams as JSON lines: an entry is a JSON object on a line of its own, in UTF-8, the header first.

`kind` says what a line is; the other members are the fields of `eventstore.transfer.entries`, payloads in base64.
A line without a line feed is the rest of an interrupted export.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from eventstore.transfer.entries import End, Entry, EventEntry, Header, Mark, SchemaEntry

_encode = msgspec.json.Encoder().encode
_header = msgspec.json.Decoder(Header)
_entry: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(SchemaEntry | EventEntry | Mark | End)


class JsonLinesWriter:
    """Writes entries to the end of a file."""

    is_for_people = True

    def __init__(self, path: Path, header: Header | None) -> None:
        """A new file with this header; without one, the file is there."""
        self._file: BinaryIO = path.open("ab" if header is None else "wb")
        if header is not None:
            self._write(header)

    def write(self, entry: Entry) -> None:
        """Append an entry."""
        self._write(entry)

    def _write(self, entry: Entry | Header) -> None:
        self._file.write(_encode(entry) + b"\n")

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Flush and close."""
        self._file.close()


class JsonLinesReader:
    """Reads a file from its start."""

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            ValueError: the file does not begin with one.
        """
        self._file: BinaryIO = path.open("rb")
        self.damage = ""
        try:
            line = self._file.readline()
            self.header = _header.decode(line if line.endswith(b"\n") else b"")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._file.close()
            raise ValueError(str(error)) from error
        self.body = self._file.tell()

    def entries(self) -> Iterator[tuple[Entry, int]]:
        """The entries, each with the offset in the file behind it. Ends where the file does, or is damaged."""
        with self._file as lines:
            end = self.body
            for line in lines:
                end += len(line)
                if not line.endswith(b"\n"):
                    return
                try:
                    entry = _entry.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    self.damage = f"byte {end - len(line)}: {error}"
                    return
                yield entry, end

    def close(self) -> None:
        """Close the file."""
        self._file.close()
