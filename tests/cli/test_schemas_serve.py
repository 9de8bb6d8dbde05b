"""Foreign consumers read our topics: `sagalog schemas serve` and Confluent's own deserialiser (S9)."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from eventstore import NO_STREAM, EventStore
from eventstore.log import open_log
from eventstore.registry import TopicRegistry
from sagalog.cli import execute as run
from schemas import Event, Serde


class Line(BaseModel):
    sku: str
    price: Annotated[Decimal, Field(max_digits=9, decimal_places=2)]


class OrderWasPlaced(Event, name="foreign.order.placed"):
    order_id: UUID
    at: datetime
    lines: list[Line]
    note: str | None = None


class OrderWasPaid(Event, name="foreign.order.paid"):
    cents: int


FOREIGN = """
import json, sys
from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

bootstrap, topic, url, count = sys.argv[1:]
read = AvroDeserializer(SchemaRegistryClient({"url": url}))
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic + "-foreign", "auto.offset.reset": "earliest",
                     "isolation.level": "read_committed"})
consumer.subscribe([topic])
found = []
while len(found) < int(count):
    record = consumer.poll(1.0)
    if record is not None and record.error() is None:
        found.append(read(record.value(), SerializationContext(topic, MessageField.VALUE)))
consumer.close()
assert not [name for name in sys.modules if name.split(".")[0] in ("schemas", "eventstore", "sagalog")]
print(json.dumps(found, default=str))
"""


@contextmanager
def serving(log: str) -> Generator[str]:
    """`sagalog schemas serve` as a process of its own: its URL."""
    command = [sys.executable, "-m", "sagalog", "schemas", "serve", "--log", log, "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(20)
    assert code == 130


async def test_confluents_deserialiser_reads_our_events(kafka: str, unique: Callable[[str], str]) -> None:
    """From a real Kafka, with the registry served over HTTP and nothing of ours in the consumer's process."""
    name, url = unique("foreign"), f"kafka://{kafka}"
    placed = OrderWasPlaced(
        order_id=UUID(int=7), at=datetime(2026, 1, 2, tzinfo=UTC), lines=[Line(sku="a", price=Decimal("12.50"))]
    )
    async with EventStore(name, events=[OrderWasPlaced, OrderWasPaid], log=url) as store:
        await store.append("order-1", [placed, OrderWasPaid(cents=1250)], expected=NO_STREAM)

    with serving(url) as registry:
        command = [sys.executable, "-I", "-c", FOREIGN, kafka, f"{name}.events", registry, "2"]
        ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)

    assert ended.returncode == 0, ended.stderr
    read: list[dict[str, Any]] = json.loads(ended.stdout)
    assert read == [
        {
            "order_id": "00000000-0000-0000-0000-000000000007",
            "at": "2026-01-02 00:00:00+00:00",
            "lines": [{"sku": "a", "price": "12.50"}],
            "note": None,
        },
        {"cents": 1250},
    ]


@pytest.fixture
def registry_url(tmp_path: Any) -> Generator[str]:
    """An embedded log with one schema, served."""
    log = open_log(f"embedded://{tmp_path}/log")
    with TopicRegistry(log) as registry:
        Serde(registry, [OrderWasPaid])
    log.close()
    with serving(f"embedded://{tmp_path}/log") as url:
        yield url


def test_the_command_line_reads_a_registry_behind_http(registry_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--registry` instead of `--log`; E: also of an embedded log."""
    assert run(["schemas", "show", "foreign.order.paid", "--registry", registry_url]) == 0

    assert capsys.readouterr().out.startswith("foreign.order.paid version 1, avro, id 1\n")


def test_a_port_that_is_taken_is_named(registry_url: str, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """It ends with 1."""
    port = registry_url.rpartition(":")[2]

    assert run(["schemas", "serve", "--log", f"embedded://{tmp_path}/log", "--port", port]) == 1

    assert f"cannot listen at 127.0.0.1:{port}" in capsys.readouterr().err
