"""Processes that host a store, or only use it: in this process, and as child processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

from eventstore.hosting import Hosting, stop_or_leave
from eventstore.log import open_log
from eventstore.offload import to_the_end
from eventstore.process_host import make_host
from eventstore.store import EventStore
from tests.eventstore.streams.accounts import Deposited, Opened

Accounts = EventStore[Opened | Deposited]
ROOT = Path(__file__).parents[3]


def store_named(name: str) -> Accounts:
    """A store for a service."""
    return EventStore[Opened | Deposited](name, events=[Opened, Deposited], partitions=4)


@asynccontextmanager
async def hosting(
    store: Accounts, url: str, *, slot: str = "0", owns: bool = True, state: str = "memory://"
) -> AsyncGenerator[Hosting]:
    """A process of the service that has the store's name; one that owns nothing leaves the partitions to others."""
    plan, opened = store.__component__(), ExitStack()

    def start() -> Hosting:
        log = open_log(url)
        opened.callback(log.close)
        host = make_host(store.name, log, slot=slot, state=state)
        opened.callback(host.close)
        found = Hosting(host, [plan]) if owns else Hosting(host, [], elsewhere=[plan])
        found.start()
        opened.callback(stop_or_leave, found, timedelta(seconds=5), opened)
        return found

    try:
        yield await to_the_end(start)
    finally:
        await to_the_end(opened.close)


@contextmanager
def child(*arguments: str, output: Path, **environment: str) -> Generator[subprocess.Popen[bytes]]:
    """A process of `tests.eventstore.streams.store_process`, killed in the end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    with output.open("ab") as to:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.eventstore.streams.store_process", *arguments],
            env=environment,
            stdout=to,
            stderr=to,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
