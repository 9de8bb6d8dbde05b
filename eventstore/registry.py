"""The schema registry in a compacted topic (rule E5).

Topic `sagalog.schemas`, one partition. One record per schema, never changed:

    key    the id as ASCII digits
    value  JSON {"v": 1, "id": 7, "subject": "order.placed", "name": "order.placed", "version": 2, "format": "avro",
    "text": "…"}

Ids are dense from 1 and never change, however many processes register at once: who finds something missing becomes the
one writer by taking over the transactional id `sagalog.schemas`, reads to the end *again*, because an earlier writer
may have written up to the moment it lost the id, and only then gives out ids. A writer that was taken over itself waits
a random moment and starts again from reading, which usually shows that nothing is missing any more.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from eventstore.errors import SchemasUnreadable
from eventstore.log.errors import Fenced, OutcomeUnknown, TransactionAborted
from eventstore.log.port import Log, Transactor
from eventstore.log.records import Record, Topic
from eventstore.scanning import Scan
from schemas import Schema

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


_decoder = msgspec.json.Decoder(_Row)
_encoder = msgspec.json.Encoder()


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
        self._schemas: dict[int, Schema] = {}
        self._ids: dict[tuple[str, Schema], int] = {}
        self._next_offset = 0
        self._writer: Transactor | None = None
        log.create([Topic(name=TOPIC, partitions=1, compacted=True)])
        self.refresh()

    def get(self, id: int) -> Schema | None:
        """The schema of an id, as far as the topic was read."""
        return self._schemas.get(id)

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
        if record.value is None:
            return
        try:
            row = _decoder.decode(record.value)
        except msgspec.DecodeError as error:
            raise SchemasUnreadable(TOPIC, record.offset, str(error)) from error
        if row.v != 1:
            raise SchemasUnreadable(TOPIC, record.offset, f"layout version {row.v}, this sagalog reads 1")
        self._schemas[row.id] = row.schema
        self._ids[row.subject, row.schema] = row.id

    def register(self, subject: str, schema: Schema) -> int:
        """The id of a schema, a new one if it has none yet under this subject.

        Raises:
            LogError: the topic cannot be read or written.
        """
        return self.register_many([(subject, schema)])[0]

    def register_many(self, entries: Sequence[tuple[str, Schema]]) -> list[int]:
        """The ids of schemas, in one transaction at most.

        Raises:
            LogError: the topic cannot be read or written.
        """
        with self._lock:
            if self._missing(entries):
                self.refresh()
            for attempt in range(_ATTEMPTS):
                if not self._missing(entries):
                    break
                self._try_writing(entries, attempt)
            else:
                raise Fenced(TOPIC)
            return [self._ids[entry] for entry in entries]

    def _missing(self, entries: Sequence[tuple[str, Schema]]) -> list[tuple[str, Schema]]:
        return [entry for entry in dict.fromkeys(entries) if entry not in self._ids]

    def _try_writing(self, entries: Sequence[tuple[str, Schema]], attempt: int) -> None:
        try:
            writer = self._writer = self._writer or self._log.transactor(TOPIC)
            self.refresh()
            if missing := self._missing(entries):
                self._write(writer, missing)
        except (Fenced, OutcomeUnknown, TransactionAborted):
            self._close_writer()
            longest = min(_FIRST_PAUSE_SECONDS * 2**attempt, _LONGEST_PAUSE_SECONDS)
            self._pause(random.uniform(0, longest))
        self.refresh()

    def _write(self, writer: Transactor, missing: Sequence[tuple[str, Schema]]) -> None:
        first = max(self._schemas, default=0) + 1
        writer.begin()
        for number, (subject, schema) in enumerate(missing, first):
            row = _Row(1, number, subject, schema.name, schema.version, schema.format, schema.text)
            writer.produce(TOPIC, 0, str(number).encode(), _encoder.encode(row))
        writer.commit()

    def _close_writer(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()

    def close(self) -> None:
        """Release the connection that wrote, if there was one. What is known stays readable."""
        with self._lock:
            self._close_writer()
