"""Typed commands a second by a processor, an event and a reply each, and the processor time of one.

The inbox holds all commands before the service starts: 5,000 accounts, one deposit after the other, answers asked for
on a topic. The bare loop reads as many small JSON commands, keeps a dictionary of balances, and in transactions of
1,000 commands writes two outputs and an event each, besides one RocksDB row per account that changed.
"""

from __future__ import annotations

from datetime import timedelta

from benchmarks.bare import Loop, decide_loop
from benchmarks.figures import Figure, Target
from benchmarks.setting import PARTITIONS, RUN, Setting, Stopwatch, until
from eventstore import Aggregate, decide, evolve
from eventstore.hosting import Hosting
from eventstore.log import open_log
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.log.records import Topic
from eventstore.process_host import make_host
from eventstore.processor.topics import inbox_of, topics_of
from schemas import Command, Event, Metadata, Reply, ReplyTo, Serde

NAME, ANSWERS = f"bench_{RUN}_account", f"bench-{RUN}-answers"
ACCOUNTS = 5_000


class Deposited(Event, name="bench.deposited"):
    """What happened."""

    cents: int


class Balance(Reply, name="bench.balance"):
    """The answer."""

    cents: int


class Deposit(Command[Balance], to=NAME, key="account"):
    """The command."""

    account: str
    cents: int


class Account(Aggregate[Deposited], name=NAME):
    """What decides."""

    cents: int = 0

    @decide
    def deposit(self, command: Deposit) -> Balance:
        """Never refused."""
        self.record(Deposited(cents=command.cents))
        return Balance(cents=self.cents)

    @evolve
    def deposited(self, event: Deposited) -> None:
        """Add it."""
        self.cents += event.cents


def measure(setting: Setting) -> list[Figure]:
    """Both loops, the bare one first."""
    count = setting.count(100_000, 3_000)
    bare = decide_loop(setting.bootstrap, setting.folder / "bare", count) if setting.bootstrap else None
    rate, cpu_us = _service(setting, count)
    return [
        Figure("commands", rate, "/s", _rate(bare), Target(ratio=0.5) if bare else Target(at_least=22_500)),
        Figure("processor time of a command", cpu_us, "µs", _cpu(bare)),
    ]


def _service(setting: Setting, count: int) -> tuple[float, float]:
    """Commands a second and µs each, between the first batch and the last."""
    plan, log = Account.__component__(), open_log(setting.url)
    host = make_host(f"bench-{RUN}", log, state=setting.state)
    hosting = Hosting(host, [plan])
    log.create([*topics_of(plan.processors[0], host.service), Topic(name=ANSWERS, partitions=PARTITIONS)])
    host.serde.register(plan.messages)
    fill(log, host.serde, count)
    hosting.start()
    try:
        until(lambda: _handled(hosting) > 0)
        first, watch = _handled(hosting), Stopwatch()
        until(lambda: _handled(hosting) >= count)
        seconds, cpu = watch.seconds, watch.cpu
    finally:
        hosting.stop(timedelta(seconds=5))
        host.close()
        log.close()
    return (count - first) / seconds, cpu / (count - first) * 1e6


def fill(log: Log, serde: Serde, count: int) -> None:
    """Write the commands."""
    producer, inbox = log.producer(), inbox_of(NAME)
    keys = [f"account-{number:04}" for number in range(ACCOUNTS)]
    places = {key: (partition_of(key, PARTITIONS), serde.encode(Deposit(account=key, cents=5))) for key in keys}
    for number in range(count):
        key = keys[number % ACCOUNTS]
        partition, value = places[key]
        meta = Metadata(
            id=f"{number:024x}", type=Deposit.__type_name__, correlation=f"{number:024x}",
            reply=ReplyTo(topic=ANSWERS, partition=partition, correlation=f"{number:024x}"),
        )  # fmt: skip
        producer.produce(inbox, partition, key.encode(), value, (("meta", meta.encode()),))
        if number % 1_000 == 0:
            producer.poll(0)
    producer.flush(60)
    producer.close()


def _handled(hosting: Hosting) -> float:
    return sum(loop.get("processor_inputs_total", 0.0) for loop in hosting.metrics().values())


def _rate(bare: Loop | None) -> float | None:
    return None if bare is None else bare.per_second


def _cpu(bare: Loop | None) -> float | None:
    return None if bare is None else bare.cpu_us
