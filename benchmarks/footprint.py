"""What importing all of `sagalog` takes, what an idle service holds in memory, and how long a broker takes to start.

The service has one component of each kind and nothing to do. The bare figures are those of confluent-kafka, rocksdict,
pydantic and fastavro imported, and of a process that holds a group consumer, a transactional producer and a RocksDB
folder. The broker is started when its caches are there, beside the one of the run; the fastest of several starts
counts.
"""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.figures import Figure, Target
from benchmarks.setting import Setting
from sagalog.broker import broker

_IMPORT = "import time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"
_RESIDENT = """
def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / 2**20
"""
_BARE = (
    "import resource, sys, time\n"
    + _RESIDENT
    + """
from pathlib import Path
from benchmarks import bare
topic = f"bare-{bare.RUN}-idle"
bare.create(sys.argv[1], topic)
consumer, producer = bare.consumer_of(sys.argv[1], topic), bare.transactor_of(sys.argv[1], topic)
state = bare.opened(Path(sys.argv[2]) / "bare")
while not consumer.assignment():
    consumer.poll(0.1)
print(resident())
"""
)
_SERVICE = (
    "import resource, sys\n"
    + _RESIDENT
    + """
import asyncio
from benchmarks.kinds import service
async def main():
    async with service(log=f"kafka://{sys.argv[1]}", state=sys.argv[2]) as running:
        await running.settled()
        await asyncio.sleep(1)
        print(resident())
asyncio.run(main())
"""
)


def measure(setting: Setting) -> list[Figure]:
    """Each in processes of its own, the fastest of several."""
    times = 2 if setting.quick else 7
    ours = min(_said(_IMPORT.format("from sagalog import *")) for _ in range(times))
    bare = min(
        _said(_IMPORT.format("import confluent_kafka, rocksdict, pydantic, fastavro, structlog")) for _ in range(times)
    )
    idle, bare_idle = (_said(code, setting.bootstrap, str(setting.folder)) for code in (_SERVICE, _BARE))
    start = min(_seconds_to_start() for _ in range(times))
    return [
        Figure("from sagalog import *", ours, "s", bare, Target(at_most=0.5)),
        Figure("idle memory", idle, "MiB", bare_idle, Target(at_most=120)),
        Figure("warm start of a broker", start, "s", None, Target(at_most=1.5)),
    ]


def _seconds_to_start() -> float:
    began = time.perf_counter()
    with broker(provider="local"):
        return time.perf_counter() - began


def _said(code: str, *arguments: str) -> float:
    done = subprocess.run([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, timeout=60, check=True)
    return float(done.stdout)
