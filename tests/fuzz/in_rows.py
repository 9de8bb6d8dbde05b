"""Decoders of what state folders hold: rows of partitions and of views."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# Lambdas that hypothesis fills have no types.

from __future__ import annotations

import msgspec
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from consumers.keys import KeyCodec
from consumers.values import ValueCodec
from consumers.view_errors import RowTypeChanged
from eventstore.log.records import Record
from eventstore.processor import changelog
from eventstore.processor.erasure import Erasure, decode_erasure, encode_erasure
from eventstore.processor.guard import decode_stage, stage_row
from eventstore.processor.index import StoredEvent, event_row, head_row, stored_event, version_of_head
from eventstore.processor.pages import packed, unpacked
from eventstore.processor.row_layout import RowDamaged
from eventstore.processor.rows import (
    Outcome,
    SyncedTo,
    Timer,
    decode_outcome,
    decode_synced,
    decode_timer,
    encode_outcome,
    encode_synced,
    encode_timer,
    step_of,
    timer_key,
    timer_of,
)
from eventstore.processor.snapshots import Snapshot, decode_snapshot, encode_snapshot
from eventstore.processor.stash import decode_stashed
from eventstore.processor.tombstones import decode_last
from schemas import Undecodable
from tests.fuzz.decoders import Decoder

counts = st.integers(0, 2**63 - 1)
signed = st.integers(-(2**63), 2**63 - 1)
blobs = st.binary(max_size=30)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
outcomes = st.builds(Outcome, counts, signed, st.none() | blobs, st.booleans(), counts).map(encode_outcome)
timers = st.builds(Timer, counts, signed, blobs).map(encode_timer)
erasures = st.builds(Erasure, counts, counts, counts, counts).map(encode_erasure)
stored = st.builds(StoredEvent, counts, signed, signed, blobs, blobs)
snapshots = st.builds(Snapshot, counts, st.binary(min_size=16, max_size=16), blobs).map(encode_snapshot)


def _state(step: int, data: bytes) -> bytes:
    return changelog.header(step) + data


def _value(row: tuple[bytes, bytes | None]) -> bytes:
    assert row[1] is not None, "made just now"
    return row[1]


def _stashed(record: Record) -> bytes:
    kept = (record.key, record.value, list(record.headers), record.timestamp_ms)
    return b"\1" + msgspec.msgpack.encode(kept)


records = st.builds(
    Record, st.just("t"), st.just(0), st.just(-1), signed, st.none() | blobs, st.none() | blobs,
    st.lists(st.tuples(texts, blobs), min_size=1, max_size=3),
)  # fmt: skip


class Total(BaseModel):
    model_config = ConfigDict(frozen=True)

    cents: int
    names: tuple[str, ...] = ()


_KEYS = KeyCodec[tuple[str, int, bytes]](tuple[str, int, bytes])
_NUMBERS, _NAMES = KeyCodec[int](int), KeyCodec[str](str)
_ROWS, _RAW = ValueCodec[Total](Total), ValueCodec[bytes](bytes)
keys = st.tuples(texts, signed, blobs).map(_KEYS.encode)
totals = st.builds(Total, cents=signed, names=st.lists(texts, max_size=3).map(tuple)).map(_ROWS.encode)
_STATES = st.builds(_state, counts, blobs)

ROWS = (
    Decoder("outcome", decode_outcome, outcomes, (RowDamaged,)),
    Decoder("timer", decode_timer, timers, (RowDamaged,)),
    Decoder("timer's key", timer_of, st.builds(timer_key, texts, texts), (RowDamaged,)),
    Decoder("step of an outcome or timer", step_of, outcomes | timers, (RowDamaged,)),
    Decoder(
        "position of a state",
        decode_synced,
        st.builds(SyncedTo, counts, signed, signed, signed).map(encode_synced),
        (RowDamaged,),
    ),
    Decoder("head of a stream", version_of_head, counts.map(lambda at: _value(head_row(b"s", at))), (RowDamaged,)),
    Decoder(
        "event of a stream",
        lambda data: stored_event(b"es\0" + bytes(8), data),
        st.builds(
            lambda ms, at, meta, value: _value(event_row(b"s", 0, ms, at, meta, value)), signed, signed, blobs, blobs
        ),
        (RowDamaged,),
    ),
    Decoder("erasure", decode_erasure, erasures, (RowDamaged,)),
    Decoder(
        "last tombstone",
        decode_last,
        st.builds(
            lambda ms, at: b"\1" + ms.to_bytes(8, "big", signed=True) + at.to_bytes(8, "big") + b"s", signed, counts
        ),
        (RowDamaged,),
    ),
    Decoder(
        "stage of a saga's step",
        decode_stage,
        st.sampled_from([1, 2]).map(lambda stage: _value(stage_row(b"g", stage))),
        (RowDamaged,),
    ),
    Decoder("stashed input", lambda data: decode_stashed(data, "t", 0), records.map(_stashed), (RowDamaged,)),
    Decoder(
        "state of a key",
        changelog.state_in,
        st.builds(lambda step, data: changelog.header(step) + data, counts, blobs),
        (RowDamaged,),
    ),
    Decoder("snapshot", decode_snapshot, snapshots),
    Decoder("page of events", unpacked, st.lists(stored, max_size=4).map(packed), (Undecodable,)),
    Decoder("key of a view's row", _KEYS.decode, keys, (RowDamaged,)),
    Decoder("number as a view's key", _NUMBERS.decode, signed.map(_NUMBERS.encode), (RowDamaged,)),
    Decoder("text as a view's key", _NAMES.decode, texts.map(_NAMES.encode), (RowDamaged,)),
    Decoder("row of a view", _ROWS.decode, totals, (RowDamaged, RowTypeChanged)),
    Decoder("bytes as a view's row", _RAW.decode, blobs.map(_RAW.encode), (RowDamaged,)),
)
