"""Decoders of what topics hold beside messages: keys, headers, records of ours, texts in positions."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# Lambdas that hypothesis fills have no types.

from __future__ import annotations

import json

from hypothesis import strategies as st

from consumers import acknowledge
from consumers.dead_letters import dead_letter_of
from consumers.delivery import metadata_of
from consumers.errors import BadAcknowledgement, NotADeadLetter
from consumers.origin import REDRIVE, origin_of
from consumers.ownership import OwnerNote
from eventstore.dead_letters import dead_letter_headers
from eventstore.errors import SchemasUnreadable
from eventstore.event_records import RecordUnreadable, meta_of, place_of
from eventstore.log import open_log
from eventstore.log.errors import LogError
from eventstore.log.kafka.manifest import decode_entry
from eventstore.log.records import Record, Topic
from eventstore.processor.erasure import erasure_key
from eventstore.processor.inputs import Input
from eventstore.processor.intake import Intake
from eventstore.processor.parts import Part, Parts
from eventstore.processor.predecessor import commit_metadata, transactional_id_of
from eventstore.processor.restore import Restore
from eventstore.processor.row_layout import RowDamaged
from eventstore.processor.rows import SyncedTo, outcome_key, timer_key
from eventstore.registry import TOPIC, TopicRegistry
from eventstore.state import open_state
from eventstore.streams import Position
from eventstore.subject_keys.masters import LocalMasterKeys, MasterKeyInvalid, generate
from eventstore.subject_keys.records import (
    KeysUnreadable,
    Kind,
    key_of_forgotten,
    key_of_key,
    value_of_forgotten,
    value_of_key,
)
from eventstore.subject_keys.ring import KeyRing
from sagas.turn import address_of, address_text
from schemas import DecodeError, Metadata, Serde, Undecodable
from schemas.registry import MemoryRegistry
from tests.fuzz.decoders import Decoder, of_text
from tests.fuzz.in_rows import counts, erasures, outcomes, texts, timers
from tests.schemas.samples import Flat, flats
from tests.schemas.test_metadata import metadata, replies

_SERDE = Serde(MemoryRegistry(), [Flat, Part])
_INTAKE = Intake(_SERDE)
_META = Metadata(id="1").encode()
_NAMES = texts.filter(bool)
_KEY_IDS = st.binary(min_size=16, max_size=16)


def _record(
    *, key: bytes | None = b"s/0", value: bytes | None = b"", meta: bytes = _META, header: str = "meta"
) -> Record:
    return Record("t", 0, 0, 0, key, value, ((header, meta),))


def _restore() -> Restore:
    return Restore(open_state("memory://").open("p", "i"), SyncedTo(0, 0, 0, 0), 0)


def _restore_event(record: Record) -> None:
    restore = _restore()
    restore.events([record])
    restore.write()


def _restore_row(key: bytes, value: bytes) -> None:
    restore = _restore()
    restore.journaled([_record(key=key, value=value)])
    restore.journaled([_record(key=key, value=value)])
    restore.write()


def _schemas_topic(key: bytes, value: bytes) -> None:
    log = open_log("memory://")
    try:
        log.create([Topic(name=TOPIC, partitions=1, compacted=True)])
        producer = log.producer()
        producer.produce(TOPIC, 0, key, value)
        producer.flush(1)
        producer.close()
        registry = TopicRegistry(log)
        registry.subjects()
        registry.close()
    finally:
        log.close()


def _keys_topic(key: bytes, value: bytes | None) -> None:
    log = open_log("memory://")
    try:
        ring = KeyRing(log, LocalMasterKeys({}))
        ring.apply([Record("sagalog.keys", 0, 0, 0, key, value)], 1)
    finally:
        log.close()


def _part(data: bytes) -> None:
    message = _SERDE.decode(data)
    if isinstance(message, Part):
        Parts().add(Input("k", message, Metadata(id="1")), message, 0)


def _letter(data: bytes) -> Record:
    """Headers as lines `name=value`."""
    lines = (line.partition(b"=") for line in data.split(b"\n"))
    headers = tuple((name.decode(errors="replace"), value) for name, _, value in lines)
    return Record("t.g.dlq", 0, 0, 0, b"k", b"v", headers)


def _lines(offset: int, reason: str, redrives: int) -> bytes:
    headers = dead_letter_headers(
        headers=((REDRIVE, f"1 {redrives} {offset} 0 t".encode()),), topic="t", partition=0, offset=offset, group="g",
        error=ValueError(reason), attempts=5, now_ms=0,
    )  # fmt: skip
    return b"\n".join(name.encode() + b"=" + value.replace(b"\n", b" ") for name, value in headers)


def _distances(found: list[int]) -> bytes:
    return acknowledge.encode(10_000, sorted(set(found))).encode()


_EVENT_KEYS = st.builds(lambda stream, version: f"{stream}/{version}".encode(), _NAMES, counts)
_ROW = st.builds(
    lambda id, version, text: json.dumps(
        {"v": 1, "id": id, "subject": "s", "name": "n", "version": version, "format": "avro", "text": text}
    ).encode(),
    st.integers(1, 99), st.integers(1, 9), texts,
)  # fmt: skip
_POSITIONS = st.dictionaries(st.integers(0, 99), counts, max_size=4).map(
    lambda of: str(Position.of(of, "4f1c")).encode()
)
_WRAPPED = st.builds(
    lambda kind, data: value_of_key(kind, "m", data), st.sampled_from(Kind), st.binary(min_size=1, max_size=60)
)
_PARTS = st.builds(
    lambda number, more, data: Part(number=number, of=number + more, data=data),
    st.integers(0, 9),
    st.integers(1, 3),
    st.binary(max_size=9),
)
_NOTES = st.builds(
    lambda live, at: OwnerNote(address="h:1", live=live, layout="l", at=at).encode().encode(),
    st.booleans(), st.dictionaries(_NAMES, counts, max_size=3),
)  # fmt: skip

RECORDS = (
    Decoder("key of an event", lambda data: place_of(_record(key=data)), _EVENT_KEYS, (RecordUnreadable,)),
    Decoder(
        "header of an event",
        lambda data: meta_of(_record(header=data.decode(errors="replace"))),
        st.just(b"meta"),
        (RecordUnreadable,),
    ),
    Decoder(
        "event to restore, its key", lambda data: _restore_event(_record(key=data)), _EVENT_KEYS, (RecordUnreadable,)
    ),
    Decoder(
        "event to restore, its metadata",
        lambda data: _restore_event(_record(meta=data)),
        metadata.map(Metadata.encode),
        (RecordUnreadable, Undecodable, RowDamaged),
    ),
    Decoder("outcome to restore", lambda data: _restore_row(outcome_key("i"), data), outcomes, (RowDamaged,)),
    Decoder("timer to restore", lambda data: _restore_row(timer_key("k", "n"), data), timers, (RowDamaged,)),
    Decoder("erasure to restore", lambda data: _restore_row(erasure_key(b"s"), data), erasures, (RowDamaged,)),
    Decoder("stage to restore", lambda data: _restore_row(b"gs/p", data), st.just(b"\1\2"), (RowDamaged,)),
    Decoder("snapshot to restore", lambda data: _restore_row(b"ns\0n", data), st.binary(max_size=60)),
    Decoder("input, its key", lambda data: _INTAKE.record(_record(key=data)), texts.map(str.encode)),
    Decoder("input, its value", lambda data: _INTAKE.record(_record(value=data)), flats.map(_SERDE.encode)),
    Decoder("input, its metadata", lambda data: _INTAKE.record(_record(meta=data)), metadata.map(Metadata.encode)),
    Decoder("part of a large input", _part, _PARTS.map(_SERDE.encode), (DecodeError,)),
    Decoder(
        "metadata of a worker's record",
        lambda data: metadata_of(_record(meta=data)),
        metadata.map(Metadata.encode),
        (Undecodable,),
    ),
    Decoder("schema in the registry's topic", lambda data: _schemas_topic(b"1", data), _ROW, (SchemasUnreadable,), 0.5),
    Decoder(
        "mode in the registry's topic",
        lambda data: _schemas_topic(b"mode/s", data),
        st.just(b'{"v":1,"mode":"full"}'),
        (SchemasUnreadable,),
        0.5,
    ),
    Decoder(
        "key in the registry's topic",
        lambda data: _schemas_topic(data, b'{"v":1,"mode":"full"}'),
        st.just(b"mode/s"),
        (SchemasUnreadable,),
        0.5,
    ),
    Decoder(
        "entry of the manifest",
        lambda data: decode_entry("t", data),
        st.just(b'{"v":1,"partitions":3,"settings":{"a":"b"}}'),
        (LogError,),
    ),
    Decoder(
        "subject's key, record key",
        lambda data: _keys_topic(data, value_of_key(Kind.FIRST, "m", b"w")),
        st.builds(key_of_key, _NAMES, _KEY_IDS),
        (KeysUnreadable,),
    ),
    Decoder(
        "subject's key, record value",
        lambda data: _keys_topic(key_of_key("s", bytes(16)), data),
        _WRAPPED,
        (KeysUnreadable,),
    ),
    Decoder(
        "destroyed key",
        lambda data: _keys_topic(data, None),
        st.builds(key_of_key, _NAMES, _KEY_IDS),
        (KeysUnreadable,),
    ),
    Decoder(
        "forgotten subject, record key",
        lambda data: _keys_topic(data, value_of_forgotten(())),
        _NAMES.map(key_of_forgotten),
        (KeysUnreadable,),
    ),
    Decoder(
        "forgotten subject, record value",
        lambda data: _keys_topic(key_of_forgotten("s"), data),
        st.lists(_KEY_IDS, max_size=3).map(tuple).map(value_of_forgotten),
        (KeysUnreadable,),
    ),
    Decoder("master keys", of_text(LocalMasterKeys.parse), st.just(generate("a").encode()), (MasterKeyInvalid,)),
    Decoder("position of a store", of_text(Position.parse), _POSITIONS, (ValueError,)),
    Decoder(
        "acknowledgement map",
        of_text(acknowledge.decode),
        st.lists(st.integers(0, 9_999), max_size=20).map(_distances),
        (BadAcknowledgement,),
    ),
    Decoder(
        "metadata of a unit's position", of_text(transactional_id_of), st.just(commit_metadata("t", "h:1").encode())
    ),
    Decoder("note of a view's owner", of_text(OwnerNote.decode), _NOTES),
    Decoder(
        "origin of a redriven record",
        lambda data: origin_of(_record(header=REDRIVE, meta=data)),
        st.just(b"1 2 17 3 orders.events"),
    ),
    Decoder(
        "dead letter",
        lambda data: dead_letter_of(_letter(data)),
        st.builds(_lines, counts, texts, st.integers(0, 9)),
        (NotADeadLetter,),
    ),
    Decoder(
        "address in a saga's history", of_text(address_of), replies.map(address_text).map(str.encode), (Undecodable,)
    ),
)
