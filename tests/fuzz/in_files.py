"""Decoders of files: exports of streams, what embedded and state folders hold, committed schemas."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# Lambdas that hypothesis fills have no types.

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec
from hypothesis import strategies as st

from eventstore.log.local.remote.owner import socket_of, write_note
from eventstore.log.local.rows import (
    BOUNDS,
    FORMAT,
    PARTITION,
    RowUnreadable,
    decode_bounds,
    decode_position,
    decode_record,
    decode_topic,
    group_of,
)
from eventstore.log.local.store import TopicRow
from eventstore.state import open_state
from eventstore.transfer.entries import Content, EventEntry, Header, SchemaEntry
from eventstore.transfer.errors import ExportDiffers, ExportIncomplete, ExportUnreadable
from eventstore.transfer.files import FileFormat, resumed, whole, writer
from sagalog.schema_folder import SchemaFolder
from schemas import SchemaInvalid
from schemas.avro import AvroCodec
from schemas.json_codec import JsonCodec
from tests.fuzz.decoders import Decoder
from tests.fuzz.in_rows import blobs, counts, signed, texts
from tests.schemas.samples import Flat

_HEADER = Header(store="s", generation="g", after="", until="2::0=2", prefix="", streams=[])
_SCHEMA = AvroCodec().schema_of(Flat)
_PACK = msgspec.msgpack.encode


def _event(version: int) -> EventEntry:
    return EventEntry(
        stream="a", version=version, begins=version == 0, timestamp_ms=7, type="sample.flat", type_version=1,
        meta=msgspec.Raw(b'{"v":1,"id":"1"}'), event=msgspec.Raw(b"null"), payload=b"xyz", schema=1, partition=0,
        offset=version,
    )  # fmt: skip


def _export(form: FileFormat) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        file, content = writer(path, form, _HEADER), Content(_HEADER)
        entry = SchemaEntry(id=1, name=_SCHEMA.name, version=_SCHEMA.version, format="avro", text=_SCHEMA.text)
        file.write(entry)
        content.know(entry)
        for version in range(3):
            event = _event(version)
            content.add(event)
            file.write(event)
            file.write(content.mark)
        file.write(content.end)
        file.close()
        return path.read_bytes()


@cache
def _folder() -> Path:
    """One for all examples; each writes its file anew."""
    return Path(tempfile.mkdtemp(prefix="sagalog-fuzz-"))


def _at(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Read a file of this name that holds the bytes; its folder is given."""

    def decode(data: bytes) -> object:
        path = _folder() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        try:
            return read(path)
        finally:
            shutil.rmtree(_folder(), ignore_errors=True)

    return decode


def _opened(path: Path) -> None:
    open_state(path.parents[1]).open("p", "i").close()


def _note() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write_note(Path(folder), Path("/run/socket"))
        return Path(folder, "owner").read_bytes()


_READ = (ExportUnreadable, ExportIncomplete)
_RESUMED = (ExportUnreadable, ExportDiffers)
_RECORDS = st.tuples(signed, st.none() | blobs, st.none() | blobs, st.lists(st.tuples(texts, blobs), max_size=3))
_TOPICS = st.builds(
    TopicRow, texts, texts, st.integers(0, 99), st.integers(1, 9), st.integers(1, 9), st.booleans(), st.none() | counts
)

FILES = (
    Decoder("export as JSON lines", _at("export", whole), st.just(_export("jsonl")), _READ),
    Decoder("export as Avro", _at("export", whole), st.just(_export("avro")), _READ),
    Decoder(
        "export to go on with, JSON lines",
        _at("export", lambda path: resumed(path, _HEADER)),
        st.just(_export("jsonl")),
        _RESUMED,
    ),
    Decoder(
        "export to go on with, Avro",
        _at("export", lambda path: resumed(path, _HEADER)),
        st.just(_export("avro")),
        _RESUMED,
    ),
    Decoder(
        "record of an embedded log", decode_record, _RECORDS.map(lambda row: FORMAT + _PACK(row)), (RowUnreadable,)
    ),
    Decoder("topic of an embedded log", decode_topic, _TOPICS.map(lambda row: FORMAT + _PACK(row)), (RowUnreadable,)),
    Decoder(
        "position in an embedded log",
        decode_position,
        st.tuples(counts, texts).map(lambda row: FORMAT + _PACK(row)),
        (RowUnreadable,),
    ),
    Decoder(
        "bounds in an embedded log",
        decode_bounds,
        st.tuples(counts, counts, counts).map(lambda row: FORMAT + BOUNDS.pack(*row)),
        (RowUnreadable,),
    ),
    Decoder(
        "group in an embedded log",
        group_of,
        texts.map(lambda group: PARTITION.pack(b"G", 1, 2) + group.encode()),
        (RowUnreadable,),
    ),
    Decoder(
        "note of an embedded folder's owner",
        _at("owner", lambda path: socket_of(path.parent)),
        st.just(_note()),
        (ValueError,),
    ),
    Decoder("identity of a state folder", _at("p/identity", _opened), st.just(b'{"v":1,"identity":"i"}'), (), 0.1),
    Decoder(
        "committed Avro schema",
        _at("sample.flat/v1.avsc", lambda path: SchemaFolder(path.parents[1])),
        st.just(_SCHEMA.text.encode()),
        (SchemaInvalid,),
    ),
    Decoder(
        "committed JSON schema",
        _at("sample.flat/v1.json", lambda path: SchemaFolder(path.parents[1])),
        st.just(JsonCodec().schema_of(Flat).text.encode()),
        (SchemaInvalid,),
    ),
)
