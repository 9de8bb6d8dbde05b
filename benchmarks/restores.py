"""Events a second from a service's start, its state folder wiped, until it serves.

Its inbox is empty, and its events topic holds the events of 5,000 accounts with what is recorded beside each: commit,
answer, input. The bare loop reads the same topic from its start to its end and writes one RocksDB row per
event, 1,000 at once. `--events 4000000` is a million for each partition.
"""

from __future__ import annotations

from datetime import timedelta

from benchmarks.bare import restore_loop
from benchmarks.commands import ACCOUNTS, NAME, Account, Balance, Deposited
from benchmarks.figures import Figure, Target
from benchmarks.setting import PARTITIONS, RUN, Setting, Stopwatch, until
from eventstore.hosting import Hosting
from eventstore.log import open_log
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.process_host import ProcessHost, make_host
from eventstore.processor.topics import events_of
from schemas import Handled, Metadata, Serde

LONGEST_S = 900.0


def measure(setting: Setting) -> list[Figure]:
    """The bare loop, a start with wiped state, and one with the state still there."""
    count = setting.count(1_000_000, 5_000)
    log = open_log(setting.url)
    first, second = (
        make_host(f"bench-{RUN}", log, state="memory://" if setting.engine == "memory" else str(setting.folder / name))
        for name in ("before", "after")
    )
    _start(first)  # so that the group has positions before the journals have records
    fill(log, first.serde, count)
    bare = bare_cpu = None
    if setting.bootstrap:
        watch = Stopwatch()
        bare = restore_loop(setting.bootstrap, setting.folder / "bare", events_of(NAME), count, 1_000)
        bare_cpu = watch.cpu / count * 1e6
    (wiped, cpu), (again, _) = _start(second), _start(second)
    first.close()
    second.close()
    log.close()
    aim = Target(ratio=0.5) if bare else Target(at_least=100_000)
    return [
        Figure("restore, wiped state to serving", count / wiped, "/s", bare, aim),
        Figure("processor time of a restored event", cpu / count * 1e6, "µs", bare_cpu),
        Figure(f"wiped state to serving, {count:,} events", wiped, "s"),
        Figure("start, state still there", again, "s"),
    ]


def _start(host: ProcessHost) -> tuple[float, float]:
    """Seconds until the partitions are served, and how many of the processors'."""
    hosting = Hosting(host, [Account.__component__()])
    watch = Stopwatch()
    hosting.start()
    try:
        until(lambda: _served(hosting) == PARTITIONS, every_s=0.02, patience_s=LONGEST_S)
        return watch.seconds, watch.cpu
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
