"""Turn librdkafka's messages into the port's records, and measure records before they are sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from confluent_kafka import Message

from eventstore.log.errors import MessageTooLarge
from eventstore.log.records import Headers, Record, TopicPartition

HEADER_BYTES = 10
"""What the length fields of one header take at most in the wire format."""


def records_of(messages: Iterable[Any]) -> list[Record]:
    """The records among consumed messages; events in place of records are left out."""
    return [
        Record(m.topic(), m.partition(), m.offset(), m.timestamp()[1], m.key(), m.value(), m.headers() or ())
        for m in messages
        if m.error() is None
    ]


def partition_of(message: Message) -> TopicPartition:
    """Where it came from; an event has one too."""
    return TopicPartition(message.topic() or "", message.partition() or 0)


def size_of(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """What a record takes of the limit."""
    size = (len(key) if key else 0) + (len(value) if value else 0)
    for name, content in headers:
        size += len(name) + len(content) + HEADER_BYTES
    return size


def require_size(topic: str, size_bytes: int, limit_bytes: int) -> None:
    """Raises MessageTooLarge if the record is larger than the limit."""
    if size_bytes > limit_bytes:
        raise MessageTooLarge(topic, size_bytes=size_bytes, limit_bytes=limit_bytes)
