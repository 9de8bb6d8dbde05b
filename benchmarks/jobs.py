"""A worker's durable no-op records a second and its latency: `benchmarks.worker`, put into the table."""

from __future__ import annotations

from benchmarks.figures import Figure, Target
from benchmarks.setting import RUN, Setting
from benchmarks.worker import BenchHost, Done, bare, fill, latency, worker
from eventstore.log import open_log
from eventstore.registry import TopicRegistry
from schemas import Serde


def measure(setting: Setting) -> list[Figure]:
    """The bare loop is one through the log port, which adds next to nothing."""
    count, topic = setting.count(100_000, 20_000), f"bench-{RUN}-jobs"
    log = open_log(setting.url)
    registry = TopicRegistry(log)
    host = BenchHost(log, Serde(registry, [Done]), f"bench-{RUN}")
    fill(log, host.serde, topic, count)
    loop = bare(log, topic, count)
    rate, cpu_us = worker(host, topic, count)
    p50, p99 = latency(host, f"{topic}-latency")
    registry.close()
    log.close()
    return [
        Figure("worker, durable no-op", rate, "/s", loop, Target(at_least=10_000)),
        Figure("processor time of a record", cpu_us, "µs"),
        Figure("worker p50, one at a time", p50, "ms", target=Target(at_most=5)),
        Figure("worker p99, one at a time", p99, "ms"),
    ]
