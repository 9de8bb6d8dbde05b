"""The bare loops: the least code on confluent-kafka and rocksdict that does comparable work, exactly once.

They check nothing, know one type of message, survive no rebalance, and remember no input: what they leave out is what
the processors are for.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from rocksdict import Options, Rdict, WriteBatch

from benchmarks.setting import PARTITIONS, RUN, Stopwatch

META = b'{"v":1,"id":"000000000000000000000001","type":"bench.deposited","correlation":"000000000000000000000001"}'
API_S = 30.0


@dataclass(frozen=True, slots=True)
class Loop:
    """How a bare loop went."""

    per_second: float
    cpu_us: float
    """Processor time of one record, client threads included."""


class Deposit(msgspec.Struct):
    """The bare loops' command."""

    account: str
    cents: int


def create(bootstrap: str, *topics: str) -> None:
    """Create topics and wait for them."""
    admin: Any = AdminClient({"bootstrap.servers": bootstrap})  # its types hold unknown ones
    made: dict[str, Future[None]] = admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in topics])
    for future in made.values():
        future.result(API_S)


def consumer_of(bootstrap: str, topic: str) -> Consumer:
    """A member of a group of its own, reading committed records from the start."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"{topic}-bare",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "queued.min.messages": 200_000,
            "fetch.queue.backoff.ms": 1,
        }
    )
    consumer.subscribe([topic])
    return consumer


def transactor_of(bootstrap: str, name: str) -> Producer:
    """A transactional producer, ready."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": name,
            "retry.backoff.ms": 1,
            "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    producer.init_transactions(API_S)
    return producer


def opened(folder: Path) -> Rdict:
    """A RocksDB folder."""
    return Rdict(str(folder), Options(raw_mode=True))


def commit(producer: Producer, consumer: Consumer, positions: dict[int, int], topic: str) -> None:
    """End a transaction with the group's positions."""
    places = [TopicPartition(topic, partition, position) for partition, position in positions.items()]
    producer.send_offsets_to_transaction(places, consumer.consumer_group_metadata(), API_S)
    producer.commit_transaction(API_S)


def decide_loop(bootstrap: str, folder: Path, count: int, batch: int = 1_000) -> Loop:
    """Small commands, two outputs and an event each, so many per transaction."""
    inbox, events, outputs = (f"bare-{RUN}-{name}" for name in ("inbox", "events", "outputs"))
    create(bootstrap, inbox, events, outputs)
    _fill(bootstrap, inbox, count)
    consumer, producer, state = consumer_of(bootstrap, inbox), transactor_of(bootstrap, f"{inbox}-tx"), opened(folder)
    decode, encode = msgspec.json.Decoder(Deposit).decode, msgspec.json.Encoder().encode
    balances: dict[str, int] = {}
    pending: list[Message] = _first(consumer)
    watch, seen = Stopwatch(), 0
    while seen < count:
        changed: dict[str, None] = {}
        positions: dict[int, int] = {}
        producer.begin_transaction()
        for message in pending:
            value, key, partition = message.value(), message.key(), message.partition() or 0
            assert value is not None
            assert key is not None
            command = decode(value)
            balances[command.account] = balance = balances.get(command.account, 0) + command.cents
            changed[command.account] = None
            out = encode({"cents": balance})
            producer.produce(events, encode({"cents": command.cents}), key, partition, headers=[("meta", META)])
            producer.produce(outputs, out, key, partition, headers=[("meta", META)])
            producer.produce(outputs, out, key, partition, headers=[("meta", META)])
            positions[partition] = (message.offset() or 0) + 1
        if positions:
            commit(producer, consumer, positions, inbox)
            _store(state, changed, balances, positions)
        else:
            producer.abort_transaction(API_S)
        seen += len(pending)
        pending = _consumed(consumer, batch) if seen < count else []
    took = Loop(count / watch.seconds, watch.cpu / count * 1e6)
    consumer.close()
    state.close()
    return took


def _first(consumer: Consumer) -> list[Message]:
    """The first record, however long joining the group takes."""
    deadline = time.monotonic() + API_S
    while time.monotonic() < deadline:
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            return [message]
    raise TimeoutError("nothing came")


def _consumed(consumer: Consumer, limit: int) -> list[Message]:
    message = consumer.poll(0.1)
    return [] if message is None else [message, *consumer.consume(limit - 1, 0)]


def _store(state: Rdict, changed: dict[str, None], balances: dict[str, int], positions: dict[int, int]) -> None:
    batch = WriteBatch(raw_mode=True)
    for account in changed:
        batch.put(account.encode(), b"%d" % balances[account])
    for partition, position in positions.items():
        batch.put(b"p%d" % partition, b"%d" % position)
    state.write(batch)


def _fill(bootstrap: str, inbox: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "queue.buffering.max.messages": 1_000_000})
    commands: Sequence[tuple[bytes, bytes]] = [
        (key.encode(), msgspec.json.encode(Deposit(key, 5))) for key in (f"account-{n:04}" for n in range(5_000))
    ]
    headers: list[Any] = [("meta", META)]
    for number in range(count):
        key, value = commands[number % len(commands)]
        producer.produce(inbox, value, key, number % PARTITIONS, headers=headers)
        if number % 1_000 == 0:
            producer.poll(0)
    producer.flush(60)


def restore_loop(bootstrap: str, folder: Path, topic: str, count: int, batch: int) -> float:
    """Records a second that are read from the topic's start, and written to RocksDB as they are, so many at once."""
    watch, state, seen = Stopwatch(), opened(folder), 0
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bare",
            "queued.min.messages": 200_000,
            "fetch.queue.backoff.ms": 1,
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    while seen < count:
        rows, positions = WriteBatch(raw_mode=True), dict[int, int]()
        for message in _consumed(consumer, batch):
            key, value = message.key(), message.value()
            assert key is not None
            assert value is not None
            rows.put(key, value)
            positions[message.partition() or 0] = message.offset() or 0
            seen += 1
        for partition, position in positions.items():
            rows.put(b"p%d" % partition, b"%d" % position)
        state.write(rows)
    per_second = count / watch.seconds
    consumer.close()
    state.close()
    return per_second
