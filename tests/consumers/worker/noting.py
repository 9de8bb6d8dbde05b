"""A program that runs a worker and notes in a file what it handled: what the tests kill.

`python noting.py BOOTSTRAP TOPIC SERVICE FILE` handles `Placed` from TOPIC until it is told to stop by SIGTERM; a
line per record is `pid key number`, written before the record is acknowledged.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import threading
from types import FrameType

from consumers.worker import Worker
from eventstore.clock import SystemClock
from eventstore.log import open_log
from eventstore.registry import TopicRegistry
from schemas import Serde
from tests.consumers.host import TestHost, running
from tests.consumers.worker.bench import Placed


def main(bootstrap: str, topic: str, service: str, file: str) -> None:
    """Run until SIGTERM."""
    notes = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    log = open_log(f"kafka://{bootstrap}")
    host = TestHost(log=log, service=service, serde=Serde(TopicRegistry(log), [Placed]), clock=SystemClock())
    worker = Worker("noter", topics=[topic], concurrency=20)

    @worker.on
    async def note(event: Placed) -> None:
        await asyncio.sleep(random.random() * 0.005)
        os.write(notes, f"{os.getpid()} {event.order} {event.number}\n".encode())

    stopping = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    with running(worker.__component__().loops[0](host), host) as driver:
        while not stopping.wait(0.1) and driver.error is None:
            pass
    log.close()
    if driver.error is not None:
        raise driver.error


if __name__ == "__main__":
    main(*sys.argv[1:])
