"""A process under test: serves the store or only uses it, and has callers that record what they do.

    python -m tests.chaos.streams.member --log kafka://… --slot 0 --history FILE [--state DIR] [--callers N] [--seed S]

Without `--state` it is a guest, which owns nothing. It says "up" in a line of its output when it works, and ends in
order at SIGTERM. SIGUSR1 makes it write the stacks of its threads.

For tests alone it understands two variables: CHAOS_PLANTED names a protection that is taken out
(`tests.chaos.streams.planted`), CHAOS_HALT a file: when that file is there, the process stops itself (SIGSTOP) at the
worst moment, between its decision on an append and the transaction, and renames the file to `….halted`.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import os
import signal
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from eventstore.errors import EventStoreError
from eventstore.hosting import Hosting, stop_or_leave
from eventstore.log import open_log
from eventstore.log.port import Batch
from eventstore.log.records import TopicPartition
from eventstore.offload import to_the_end
from eventstore.process_host import make_host
from eventstore.processor.commits import Commits
from eventstore.processor.inputs import Outgoing
from eventstore.state.port import StateEngine
from eventstore.store import EventStore
from sagalog.logs import configure
from tests.chaos.streams.client import Client
from tests.chaos.streams.full_disk import LimitedState
from tests.chaos.streams.history import Recorder, Stalled, now
from tests.chaos.streams.model import STORE, Noted, make_store
from tests.chaos.streams.planted import plant
from tests.chaos.streams.ways import Ways, watch
from tests.chaos.streams.workload import Caller

STALL_NS = 1_500_000_000
"""What did not run for so long may have lost its partitions without knowing it, or be about to."""
TICK_SECONDS = 0.25


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", required=True)
    parser.add_argument("--store", default=STORE)
    parser.add_argument("--slot", required=True)
    parser.add_argument("--state", help="folder of an owner; without it this is a guest")
    parser.add_argument("--history", required=True, type=Path)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    configure(format="text")
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    plant(os.environ.get("CHAOS_PLANTED", ""))
    if os.environ.get("CHAOS_HALT"):
        _halt_at_the_worst_moment(Path(os.environ["CHAOS_HALT"]))
    watch()
    asyncio.run(_run(chosen))


async def _run(chosen: argparse.Namespace) -> None:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    recorder, store = Recorder(chosen.history), make_store(chosen.store)
    with ExitStack() as opened:
        if not await _start(store, chosen, opened, stopped):
            return
        print("up", flush=True)
        try:
            work = _work(store, chosen, recorder)
            waiting = asyncio.create_task(stopped.wait())
            done, _ = await asyncio.wait([*work, waiting], return_when=asyncio.FIRST_COMPLETED)
            for task in [*work, waiting]:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            for task in done - {waiting}:
                task.result()  # a caller ends by a bug only
        finally:
            await to_the_end(opened.close)


def _work(store: EventStore[Noted], chosen: argparse.Namespace, recorder: Recorder) -> list[asyncio.Task[None]]:
    ways = Ways(store)
    process = chosen.history.stem
    clients = [Client(store, recorder, ways, process, number) for number in range(chosen.callers)]
    callers = [Caller(client, f"{chosen.seed} {process} {number}") for number, client in enumerate(clients)]
    return [asyncio.create_task(_notice_stalls(recorder)), *(asyncio.create_task(each.run()) for each in callers)]


async def _start(
    store: EventStore[Noted], chosen: argparse.Namespace, opened: ExitStack, stopped: asyncio.Event
) -> bool:
    """Host the store, again and again while the log cannot be reached. False: asked to stop meanwhile."""
    parent = os.getppid()
    while not stopped.is_set() and os.getppid() == parent:
        try:
            await to_the_end(_host, store, chosen, opened)
        except EventStoreError as error:
            print(f"not started: {error}", flush=True)
            await to_the_end(opened.close)
        else:
            return True
    return False


def _host(store: EventStore[Noted], chosen: argparse.Namespace, opened: ExitStack) -> None:
    plan = store.__component__()
    log = open_log(chosen.log)
    opened.callback(log.close)
    host = make_host(store.name, log, slot=chosen.slot, state=chosen.state or "memory://")
    opened.callback(host.close)
    if chosen.state:
        host.state = _limited(host.state, Path(chosen.state))
    mine = plan if chosen.state else replace(plan, processors=())
    hosting = Hosting(host, [mine], elsewhere=[] if mine is plan else [plan])
    hosting.start()
    opened.callback(stop_or_leave, hosting, timedelta(seconds=5), opened)


def _limited(engine: StateEngine, folder: Path) -> StateEngine:
    return LimitedState(engine, folder)


async def _notice_stalls(recorder: Recorder) -> None:
    """Record when the process did not run. Ends with the process that started this one."""
    before, parent = now(), os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(TICK_SECONDS)
        after = now()
        if after - before > STALL_NS:
            recorder.write(Stalled(before, after))
        before = after


def _halt_at_the_worst_moment(asked: Path) -> None:
    real = Commits.commit

    def commit(
        self: Commits, batch: Batch, written: Collection[TopicPartition] = (), out: Sequence[Outgoing] = ()
    ) -> Any:
        if asked.exists() and any(topic.endswith(".events") for topic, *_ in out):
            asked.rename(asked.with_suffix(".halted"))
            os.kill(os.getpid(), signal.SIGSTOP)
        return real(self, batch, written, out)

    Commits.commit = commit  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
