"""Events a second from a service's start, its state folder wiped, until it serves.

Its inbox is empty, and its events topic holds the events of 5,000 accounts with what is recorded beside each: commit,
answer, input. The bare loop reads the same topic from its start to its end and writes one RocksDB row per
event, 1,000 at once.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from rocksdict import WriteBatch

from benchmarks.bare import opened
from benchmarks.commands import ACCOUNTS, NAME, Account, Balance, Deposited
from benchmarks.figures import Figure, Target
from benchmarks.setting import PARTITIONS, RUN, Setting, Stopwatch, until
from eventstore.hosting import Hosting
from eventstore.log import open_log
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.process_host import ProcessHost, make_host
from eventstore.processor.topics import events_of, topics_of
from schemas import Handled, Metadata, Serde


def measure(setting: Setting) -> list[Figure]:
    """The bare loop, a start with wiped state, and one with the state still there."""
    count = setting.count(200_000, 5_000)
    log = open_log(setting.url)
    plan = Account.__component__()
    log.create(topics_of(plan.processors[0], f"bench-{RUN}"))
    host = make_host(f"bench-{RUN}", log, state=setting.state)
    host.serde.register(plan.messages)
    fill(log, host.serde, count)
    bare = _bare(setting.bootstrap, setting.folder / "bare", count) if setting.bootstrap else None
    wiped, again = _start(host), _start(host)
    host.close()
    log.close()
    aim = Target(ratio=0.5) if bare else Target(at_least=100_000)
    return [
        Figure("restore, wiped state to serving", count / wiped, "/s", bare, aim),
        Figure("start, state still there", again, "s"),
    ]


def _start(host: ProcessHost) -> float:
    """Seconds until the partitions are served."""
    hosting = Hosting(host, [Account.__component__()])
    watch = Stopwatch()
    hosting.start()
    try:
        until(lambda: _served(hosting) == PARTITIONS)
        return watch.seconds
    finally:
        hosting.stop(timedelta(seconds=5))


def _served(hosting: Hosting) -> float:
    return sum(loop.get("processor_partitions", 0.0) for loop in hosting.metrics().values())


def fill(log: Log, serde: Serde, count: int) -> None:
    """Write events as a processor does."""
    producer, topic = log.producer(), events_of(NAME)
    keys = [f"account-{number:04}" for number in range(ACCOUNTS)]
    places = [partition_of(key, PARTITIONS) for key in keys]
    value, answer = serde.encode(Deposited(cents=5)), serde.encode(Balance(cents=5))
    for number in range(count):
        version, account = divmod(number, ACCOUNTS)
        source = f"{number:024x}"
        meta = Metadata(
            id=f"{source}.0", type=Deposited.__type_name__, correlation=source, causation=source, commit=source,
            done=Handled(step=number, input=source, answer=answer),
        )  # fmt: skip
        key = f"{keys[account]}/{version}".encode()
        producer.produce(topic, places[account], key, value, (("meta", meta.encode()),))
        if number % 1_000 == 0:
            producer.poll(0)
    producer.flush(60)
    producer.close()


def _bare(bootstrap: str, folder: Path, count: int) -> float:
    """Events a second."""
    watch, state, seen = Stopwatch(), opened(folder), 0
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bare",
            "queued.min.messages": 200_000,
            "fetch.queue.backoff.ms": 1,
        }
    )
    consumer.assign([TopicPartition(events_of(NAME), partition, 0) for partition in range(PARTITIONS)])
    while seen < count:
        batch, positions = WriteBatch(raw_mode=True), dict[int, int]()
        message = consumer.poll(0.1)
        for each in [message, *consumer.consume(999, 0)] if message is not None else []:
            key, value = each.key(), each.value()
            assert key is not None
            assert value is not None
            batch.put(key, value)
            positions[each.partition() or 0] = each.offset() or 0
            seen += 1
        for partition, position in positions.items():
            batch.put(b"p%d" % partition, b"%d" % position)
        state.write(batch)
    per_second = count / watch.seconds
    consumer.close()
    state.close()
    return per_second
