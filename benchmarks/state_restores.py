"""States a second from a service's start, its state folder empty, until it serves.

The changelog holds one record for each of the keys. The bare loop reads the same topic from its start to its end and
writes one RocksDB row per state, 2,000 at once.
"""

from __future__ import annotations

from datetime import timedelta

from benchmarks.bare import restore_loop
from benchmarks.figures import Figure, Target
from benchmarks.setting import PARTITIONS, RUN, Setting, Stopwatch, until
from benchmarks.states import ByStruct, Sum, metric
from eventstore.component import Plan
from eventstore.hosting import Hosting
from eventstore.log import open_log
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.process_host import ProcessHost, make_host
from eventstore.processor.changelog import PREFIX as STATE_PREFIX
from eventstore.processor.changelog import header
from eventstore.processor.port import AnyProcessor
from eventstore.processor.topics import state_of


class _Kept(ByStruct):
    """A processor whose states are only restored."""

    name = f"bench_{RUN}_kept"


def measure(setting: Setting) -> list[Figure]:
    """The bare loop, then a start with an empty folder."""
    log = open_log(setting.url)
    figure = _restored(setting, log, setting.count(200_000, 5_000))
    log.close()
    return [figure]


def _restored(setting: Setting, log: Log, keys: int) -> Figure:
    """States a second from a service's start, its state folder empty, until it serves."""
    processor, service = _Kept(), f"bench-{RUN}-kept"
    first, second = (
        make_host(service, log, state="memory://" if setting.engine == "memory" else str(setting.folder / name))
        for name in ("before", "after")
    )
    topic = state_of(processor.name)
    _start(first, processor)  # so that the group has positions before the journal has records
    _fill(log, topic, processor, keys)
    bare = restore_loop(setting.bootstrap, setting.folder / "bare", topic, keys, 2_000) if setting.bootstrap else None
    seconds = _start(second, processor)
    first.close()
    second.close()
    aim = Target(ratio=0.5) if bare else Target(at_least=100_000)
    return Figure("restore of states, wiped folder to serving", keys / seconds, "/s", bare, aim)


def _start(host: ProcessHost, processor: AnyProcessor) -> float:
    hosting = Hosting(host, [Plan(name=processor.name, processors=[processor])])
    watch = Stopwatch()
    hosting.start()
    try:
        until(lambda: metric(hosting, "processor_partitions") == PARTITIONS)
        return watch.seconds
    finally:
        hosting.stop(timedelta(seconds=5))


def _fill(log: Log, topic: str, processor: ByStruct, keys: int) -> None:
    producer = log.producer()
    for number in range(keys):
        key, value = f"sensor-{number:06}", processor.encode_state(Sum(number, number * 7))
        producer.produce(topic, partition_of(key, PARTITIONS), STATE_PREFIX + key.encode(), header(number) + value)
        if number % 1_000 == 0:
            producer.poll(0)
    producer.flush(60)
    producer.close()
