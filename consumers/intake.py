"""Sort what was polled: what no handler names is skipped undecoded, the rest becomes deliveries (rule W2).

A record's type is known by its schema id, one dictionary lookup on the first five bytes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Literal

from consumers.delivery import Delivery, Share, entity_key
from consumers.errors import UnknownCommand
from consumers.handlers import Bound
from eventstore.log.records import Record, TopicPartition
from schemas import Serde
from schemas.errors import SchemaError

PREFIX_BYTES = 5
RECORD_BYTES = 300
"""What a record takes in memory beside its key and value, about."""


class Intake:
    """Makes deliveries of records, for one worker."""

    def __init__(
        self, handlers: Mapping[str, Bound], serde: Serde, order: Literal["key", "partition", "none"], worker: str
    ) -> None:
        self._handlers, self._serde, self._order, self._worker = handlers, serde, order, worker
        self._by_schema: dict[bytes, Bound | None] = {}
        self.skipped = 0

    def accept(self, records: Sequence[Record], shares: Mapping[TopicPartition, Share]) -> list[Delivery]:
        """The deliveries of these records; the shares learn of all of them."""
        deliveries: list[Delivery] = []
        share: Share | None = None
        for record in records:
            if share is None or share.tp.partition != record.partition or share.tp.topic != record.topic:
                share = shares.get(TopicPartition(record.topic, record.partition))
                if share is None:
                    continue
            acks = share.acks
            if acks.is_complete(record.offset):
                acks.passed(record.offset)
                continue
            delivery = self._delivery(record, share)
            if delivery is None:
                self.skipped += 1
                acks.passed(record.offset)
            else:
                acks.delivered(record.offset)
                share.bytes += delivery.size
                deliveries.append(delivery)
        return deliveries

    def _delivery(self, record: Record, share: Share) -> Delivery | None:
        value = record.value
        if value is None:
            return None
        error: Exception | None = None
        try:
            handler = self._by_schema[value[:PREFIX_BYTES]]
        except KeyError:
            handler, error = self._look_up(value)
        if handler is None and error is None:
            if not share.is_inbox:
                return None
            error = UnknownCommand(self._worker, self._serde.type_of(value).name)
        key = record.key
        size = len(value) + len(key or b"") + RECORD_BYTES
        delivery = Delivery(record, share, handler, self._lane(key, share), size)
        delivery.error = error
        return delivery

    def _look_up(self, value: bytes) -> tuple[Bound | None, Exception | None]:
        try:
            handler = self._handlers.get(self._serde.type_of(value).name)
        except SchemaError as error:
            return None, error
        self._by_schema[value[:PREFIX_BYTES]] = handler
        return handler, None

    def _lane(self, key: bytes | None, share: Share) -> Hashable:
        if self._order == "key":
            return None if key is None else entity_key(key, share.by_stream)
        return "" if self._order == "partition" else None
