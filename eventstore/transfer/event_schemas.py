"""The schemas that recorded events were written with, found by the ids in their payloads.

Ids belong to a registry: under the same one another registry has another type, or nothing. So the type that an event's
metadata names is compared with that of the schema. Not promised: that a registry which is not the writers' is noticed
where it has another version of the same type under the id.
"""

from __future__ import annotations

import msgspec

from eventstore.log.port import Log
from eventstore.log.records import TopicPartition
from eventstore.registry_choice import called
from eventstore.scanning import Scan
from eventstore.transfer.errors import SchemaOfOtherType
from eventstore.transfer.personal import reader_of
from schemas import Registry, Schema, UnknownSchema
from schemas.codec import Read
from schemas.wire import schema_id_of

_LAST = 100
"""How many records at the end of a partition are looked through for an event."""


class _Named(msgspec.Struct):
    type: str = ""


_named = msgspec.json.Decoder(_Named).decode


class EventSchemas:
    """Finds schemas. Those found once are kept."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[int, tuple[Schema, Read, bytes]] = {}

    def of(self, value: bytes, meta: bytes) -> tuple[Schema, Read]:
        """The schema of an event with this payload and metadata, and what reads values that were written with it.

        Raises:
            UnknownSchema: the registry has none of the id.
            SchemaOfOtherType: it has that of another type.
        """
        id_ = schema_id_of(value)
        if (known := self._known.get(id_)) is None:
            known = self._known[id_] = self._found(id_)
        schema, read, said = known
        if said not in meta and (type_ := _type_in(meta)) not in ("", schema.name):
            raise SchemaOfOtherType(id_, asked=called(self._registry), wanted=type_, found=schema.name)
        return schema, read

    def _found(self, id_: int) -> tuple[Schema, Read, bytes]:
        schema = self._registry.find(id_)
        if schema is None:
            raise UnknownSchema(id_, asked=called(self._registry))
        return schema, reader_of(schema), b'"type":"%s"' % schema.name.encode()


def check_registry(log: Log, topic: str, partitions: int, registry: Registry) -> None:
    """Compare the last event of each partition with the registry. Nothing is said of a store without events.

    Raises:
        UnknownSchema, SchemaOfOtherType: its schema is not there.
        ReadStalled: the log has records that could not be read in time.
    """
    schemas, at = EventSchemas(registry), [TopicPartition(topic, number) for number in range(partitions)]
    for one, end in log.end_positions(at, isolation="uncommitted").items():
        scan = Scan(log, topic, {one.partition: max(0, end - _LAST)}, end=end)
        last: tuple[bytes, bytes] | None = None
        try:
            while not scan.is_done:
                for record in scan.page():
                    metas = [content for name, content in record.headers if name == "meta"]
                    if record.value is not None and metas:
                        last = record.value, metas[0]
        finally:
            scan.close()
        if last is not None:
            schemas.of(*last)


def _type_in(meta: bytes) -> str:
    """The type that metadata names; empty if it names none."""
    try:
        return _named(meta).type
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
