"""Whose personal data a file holds that nobody can read in the log it is imported into.

Sealed values name subject and key (see `schemas.sealing`). A key is *here* if the log's key topic has it, or has
destroyed it: then the subject was forgotten here, and redaction is meant. Any other key stayed in the log that the file
comes from; keys are never exported.

Values are found without their classes: every leaf of an event that has the sealed form, where the schema declares
personal data at all. Memory: the ids of the subjects whose keys are not here.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from eventstore.log.port import Log
from eventstore.subject_keys.masters import LocalMasterKeys
from eventstore.subject_keys.ring import TOPIC, KeyRing
from eventstore.transfer.entries import Entry, EventEntry, declares_personal
from schemas import Schema
from schemas.avro import AvroCodec
from schemas.codec import Read
from schemas.json_codec import JsonCodec
from schemas.sealing import PersonalDamaged, Sealed, parse
from schemas.wire import HEADER_BYTES


def reader_of(schema: Schema) -> Read:
    """What reads values that were written with the schema, without the class."""
    return (AvroCodec() if schema.format == "avro" else JsonCodec()).reader(schema)


class MissingKeys:
    """Counts events whose personal data has its key elsewhere."""

    def __init__(self, log: Log, schemas: Mapping[int, Schema]) -> None:
        """`log`: the one that the events are imported into. `schemas`: those of the file. Blocks.

        Raises:
            LogError, ReadStalled, KeysUnreadable: the keys of the log cannot be read.
        """
        self._reads = {
            number: reader_of(schema) for number, schema in schemas.items() if declares_personal(schema.text)
        }
        self._ring: KeyRing | None = None
        if self._reads and TOPIC in log.describe([TOPIC]):
            self._ring = KeyRing(log, LocalMasterKeys({}))
            self._ring.catch_up()
        self.events = 0
        self.subjects: set[str] = set()

    def looked(self, entries: Iterable[Entry]) -> Iterator[EventEntry]:
        """The events among the entries of the file, each looked at."""
        for entry in entries:
            if isinstance(entry, EventEntry):
                self._look(entry)
                yield entry

    def _look(self, event: EventEntry) -> None:
        read = self._reads.get(event.schema)
        if read is None:
            return
        missing = {sealed.subject for sealed in _sealed(_fields(read, event)) if not self._is_here(sealed)}
        self.events += bool(missing)
        self.subjects |= missing

    def _is_here(self, sealed: Sealed) -> bool:
        return self._ring is not None and self._ring.knows(sealed.subject, sealed.key_id)


def _fields(read: Read, event: EventEntry) -> Any:
    try:
        return read(bytes(HEADER_BYTES) + event.payload)
    except Exception:  # noqa: BLE001 - whatever is wrong with the bytes, they are imported as they are
        return None


def _sealed(value: Any) -> Iterator[Sealed]:
    """What has the sealed form in it."""
    if isinstance(value, Mapping):
        for each in cast("Any", value).values():
            yield from _sealed(each)
    elif isinstance(value, list | tuple):
        for each in cast("Any", value):
            yield from _sealed(each)
    elif isinstance(value, bytes | str):
        try:
            yield parse(value if isinstance(value, bytes) else base64.urlsafe_b64decode(value))
        except (PersonalDamaged, binascii.Error, ValueError):
            return
