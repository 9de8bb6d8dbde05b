"""The schema registry in a compacted topic (rule E5).

Topic `sagalog.schemas`, one partition. One record per schema, never changed:

    key    the id as ASCII digits
    value  JSON {"v": 1, "id": 7, "subject": "order.placed", "name": "order.placed", "version": 2, "format": "avro",
    "text": "…"}

and one per compatibility mode that was set (`schemas.compatibility`), which the next one or a tombstone replaces:

    key    "mode/" and the subject; "mode/" alone: what holds for subjects without a mode of their own
    value  JSON {"v": 1, "mode": "full"}

Ids are dense from 1 and never change, however many processes register at once: who finds something missing becomes the
one writer by taking over the transactional id `sagalog.schemas`, reads to the end *again*, because an earlier writer
may have written up to the moment it lost the id, checks that modes allow what it adds, and only then gives out ids. A
writer that was taken over itself waits a random moment and starts again from reading, which usually shows that nothing
is missing any more.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal, Self, TypeAlias, TypeVar

import msgspec

from eventstore.errors import SchemasUnreadable
from eventstore.log.errors import Fenced, OutcomeUnknown, TransactionAborted
from eventstore.log.port import Log, Transactor
from eventstore.log.records import Record, Topic
from eventstore.scanning import Scan
from schemas import Registered, Schema
from schemas.compatibility import MODES, Mode
from schemas.registry import Catalog, Entry

TOPIC = "sagalog.schemas"
_ATTEMPTS = 100
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 1.0


class _Row(msgspec.Struct, frozen=True):
    v: int
    id: int
    subject: str
    name: str
    version: int
    format: Literal["avro", "json"]
    text: str

    @property
    def schema(self) -> Schema:
        return Schema(name=self.name, version=self.version, format=self.format, text=self.text)


class _ModeRow(msgspec.Struct, frozen=True):
    v: int
    mode: Mode


T = TypeVar("T", _Row, _ModeRow)
_Written: TypeAlias = tuple[bytes, bytes | None]
_MODE = "mode/"
_mode_decoder = msgspec.json.Decoder(_ModeRow)
_decoder = msgspec.json.Decoder(_Row)
_encoder = msgspec.json.Encoder()


def _read(decoder: msgspec.json.Decoder[T], record: Record, value: bytes) -> T:
    try:
        row = decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SchemasUnreadable(TOPIC, record.offset, str(error)) from error
    if row.v != 1:
        raise SchemasUnreadable(TOPIC, record.offset, f"layout version {row.v}, this sagalog reads 1")
    return row


class TopicRegistry:
    """Schema ids that every process of a log agrees on. Any thread."""

    def __init__(self, log: Log, *, pause: Callable[[float], None] = time.sleep) -> None:
        """Create the topic unless it exists, and read it. `pause` waits so many seconds after a lost race.

        Raises:
            LogError: the topic cannot be made or read.
            SchemasUnreadable: the topic holds what this version cannot read.
        """
        self._log, self._pause = log, pause
        self._lock = threading.RLock()
        self._catalog = Catalog()
        self._next_offset = 0
        self._writer: Transactor | None = None
        log.create([Topic(name=TOPIC, partitions=1, compacted=True)])
        self.refresh()

    def get(self, id: int) -> Schema | None:
        """The schema of an id, as far as the topic was read."""
        return self._catalog.get(id)

    def find(self, id: int) -> Schema | None:
        """The schema of an id; reads the topic to its end if it is not known yet.

        Raises:
            ReadStalled, LogError: the topic cannot be read.
            SchemasUnreadable: it holds what this version cannot read.
        """
        if self._catalog.get(id) is None:
            self.refresh()
        return self._catalog.get(id)

    def refresh(self) -> None:
        """Read to the end: everything that was registered before this call is known after it.

        Raises:
            ReadStalled, LogError: the topic cannot be read.
            SchemasUnreadable: it holds what this version cannot read.
        """
        with self._lock:
            scan = Scan(self._log, TOPIC, {0: self._next_offset})
            try:
                while not scan.is_done:
                    for record in scan.page():
                        self._learn(record)
                self._next_offset = max(self._next_offset, scan.position(0))
            finally:
                scan.close()

    def _learn(self, record: Record) -> None:
        key = (record.key or b"").decode(errors="replace")
        if key.startswith(_MODE):
            mode = None if record.value is None else _read(_mode_decoder, record, record.value).mode
            self._catalog.learn_mode(key.removeprefix(_MODE) or None, mode)
        elif record.value is not None:
            found = _read(_decoder, record, record.value)
            self._catalog.learn(found.id, found.subject, found.schema)

    def subjects(self) -> list[str]:
        """All subjects, sorted, as far as the topic was read."""
        with self._lock:
            return self._catalog.subjects()

    def versions(self, subject: str) -> list[Registered]:
        """The schemas of a subject, the oldest first, as far as the topic was read."""
        with self._lock:
            return self._catalog.versions(subject)

    def mode(self, subject: str | None = None) -> Mode:
        """The compatibility mode of a subject, as far as the topic was read; of None: of those that have none."""
        return self._catalog.mode(subject)

    def own_mode(self, subject: str | None) -> Mode | None:
        """The mode that was set for the subject itself."""
        return self._catalog.own_mode(subject)

    def register(self, subject: str, schema: Schema) -> int:
        """The id of a schema, a new one if it has none yet under this subject.

        Raises:
            Incompatible: the subject's mode forbids it after the earlier ones.
            LogError: the topic cannot be read or written.
        """
        return self.register_many([(subject, schema)])[0]

    def register_many(self, entries: Sequence[Entry]) -> list[int]:
        """The ids of schemas, in one transaction at most; all or none.

        Raises:
            Incompatible: a subject's mode forbids one of them after the earlier ones.
            LogError: the topic cannot be read or written.
        """
        with self._lock:
            if self._catalog.missing(entries):
                self.refresh()
                self._catalog.check(self._catalog.missing(entries))  # before it takes anybody's place as writer
            self._write_until(lambda: not self._catalog.missing(entries), lambda: self._records(entries))
            return [self._catalog.id_of(entry) for entry in entries]

    def set_mode(self, subject: str | None, mode: Mode | None) -> None:
        """Set the compatibility mode of a subject; of None: of those without one. The mode None takes it away.

        What is registered already is not checked again.

        Raises:
            LogError: the topic cannot be read or written.
        """
        if mode is not None and mode not in MODES:
            raise ValueError(f"{mode!r} is no mode: give one of {', '.join(MODES)}")
        value = None if mode is None else _encoder.encode(_ModeRow(1, mode))
        key = f"{_MODE}{subject or ''}".encode()
        with self._lock:
            self.refresh()
            self._write_until(lambda: self._catalog.own_mode(subject) == mode, lambda: [(key, value)])

    def _records(self, entries: Sequence[Entry]) -> list[_Written]:
        """What registers the missing ones. Called by the one writer, who has read to the end."""
        missing = self._catalog.missing(entries)
        self._catalog.check(missing)
        rows = (
            _Row(1, number, subject, schema.name, schema.version, schema.format, schema.text)
            for number, (subject, schema) in enumerate(missing, self._catalog.last_id + 1)
        )
        return [(str(row.id).encode(), _encoder.encode(row)) for row in rows]

    def _write_until(self, is_done: Callable[[], bool], records: Callable[[], list[_Written]]) -> None:
        for attempt in range(_ATTEMPTS):
            if is_done():
                return
            self._try_writing(records, attempt)
        raise Fenced(TOPIC)

    def _try_writing(self, records: Callable[[], list[_Written]], attempt: int) -> None:
        try:
            writer = self._writer = self._writer or self._log.transactor(TOPIC)
            self.refresh()
            if found := records():
                writer.begin()
                for key, value in found:
                    writer.produce(TOPIC, 0, key, value)
                writer.commit()
        except (Fenced, OutcomeUnknown, TransactionAborted):
            self._close_writer()
            longest = min(_FIRST_PAUSE_SECONDS * 2**attempt, _LONGEST_PAUSE_SECONDS)
            self._pause(random.uniform(0, longest))
        self.refresh()

    def _close_writer(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the connection that wrote, if there was one. What is known stays readable."""
        with self._lock:
            self._close_writer()
