"""The stateful workload: count and sum per key of JSON events of 140 bytes, 10,000 keys, 4 partitions, by a view.

Both are timed from joining their group to the last event. The bare loop does it exactly once, with one output for each
event: it commits every 100 ms, and its transaction holds the outputs, one changelog record for each key that changed
and the group's positions; then it writes the rows to RocksDB. A view has no outputs, and needs no changelog, because
its topic is one: rows and positions are one write. What both computed is compared.
"""

from __future__ import annotations

from benchmarks.bare import Loop
from benchmarks.bare_totals import Totals, totals_loop
from benchmarks.figures import Figure, Target
from benchmarks.setting import Setting, Stopwatch
from benchmarks.view import TOPIC, Measured, produce, run_view
from eventstore.log import open_log
from schemas import MemoryRegistry, Serde


def measure(setting: Setting) -> list[Figure]:
    """The bare loop, then the view."""
    count = setting.count(1_000_000, 5_000)
    serde = Serde(MemoryRegistry(), [Measured], format="json")
    log = open_log(setting.url)
    produce(log, serde, count)
    bare: Loop | None = None
    expected: Totals | None = None
    if setting.bootstrap:
        bare, expected = totals_loop(setting.bootstrap, setting.folder / "bare", TOPIC, count, has_joining=True)
    watch = Stopwatch()
    rows = run_view(setting.url, setting.folder / "view", count, serde)
    seconds, cpu = watch.seconds, watch.cpu
    log.close()
    assert expected in (None, rows), "the view and the bare loop disagree"
    aim = Target(ratio=0.5) if bare else Target(at_least=100_000)
    return [
        Figure("view, stateful workload", count / seconds, "/s", bare.per_second if bare else None, aim),
        Figure("processor time of an event", cpu / count * 1e6, "µs", bare.cpu_us if bare else None),
    ]
