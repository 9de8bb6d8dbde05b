"""A process under test: serves the store or only uses it, and has callers that record what they do.

    python -m tests.chaos.streams.member --log kafka://… --slot 0 --history FILE [--state DIR [--standby]]
        [--callers N] [--seed S]

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
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from eventstore.component import Host, Plan
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
from tests.chaos.streams.alarms import AlarmClient, plan_of, set_alarms
from tests.chaos.streams.client import Client
from tests.chaos.streams.full_disk import LimitedState
from tests.chaos.streams.history import Recorder, Stalled, now
from tests.chaos.streams.model import STORE, Noted, make_store
from tests.chaos.streams.planted import plant
from tests.chaos.streams.subscriptions import file_of, subscribe
from tests.chaos.streams.ways import Ways, watch
from tests.chaos.streams.workload import Caller

STALL_NS = 1_500_000_000
"""What did not run for so long may have lost its partitions without knowing it, or be about to."""
TICK_SECONDS = 0.25
ALARMS_SHARE = 3
"""One of so many callers has another one beside it that sets alarms."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", required=True)
    parser.add_argument("--store", default=STORE)
    parser.add_argument("--slot", required=True)
    parser.add_argument("--state", help="folder of an owner; without it this is a guest")
    parser.add_argument("--standby", action="store_true", help="an owner follows what others own")
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
        hosting = await _start(store, chosen, opened, stopped)
        if hosting is None:
            return
        print("up", flush=True)
        try:
            work = _work(store, hosting, chosen, recorder, opened)
            waiting = asyncio.create_task(stopped.wait())
            done, _ = await asyncio.wait([*work, waiting], return_when=asyncio.FIRST_COMPLETED)
            for task in [*work, waiting]:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            for task in done - {waiting}:
                task.result()  # a caller ends by a bug only
        finally:
            await to_the_end(opened.close)


def _work(
    store: EventStore[Noted], hosting: Hosting, chosen: argparse.Namespace, recorder: Recorder, opened: ExitStack
) -> list[asyncio.Task[None]]:
    ways, process, count = Ways(store), chosen.history.stem, chosen.callers
    work: list[Coroutine[Any, Any, None]] = [_notice_stalls(recorder)]
    for number in range(count):
        caller = Caller(Client(store, recorder, ways, process, number), f"{chosen.seed} {process} {number}")
        work.append(caller.run())
    if count:
        work.append(subscribe(store, file_of(chosen.history), f"{chosen.seed} {process}"))
    for number in range(count, count + count // ALARMS_SHARE):
        client = AlarmClient(store.name, hosting, recorder, process, number)
        opened.callback(client.close)
        work.append(set_alarms(client, f"{chosen.seed} {process} {number}"))
    return [asyncio.create_task(each) for each in work]


async def _start(
    store: EventStore[Noted], chosen: argparse.Namespace, opened: ExitStack, stopped: asyncio.Event
) -> Hosting | None:
    """Host the store, again and again while the log cannot be reached. None: asked to stop meanwhile."""
    parent = os.getppid()
    while not stopped.is_set() and os.getppid() == parent:
        try:
            return await to_the_end(_host, store, chosen, opened)
        except EventStoreError as error:
            print(f"not started: {error}", flush=True)
            await to_the_end(opened.close)
    return None


def _host(store: EventStore[Noted], chosen: argparse.Namespace, opened: ExitStack) -> Hosting:
    plans = [store.__component__(), plan_of(store.name)]
    log = open_log(chosen.log)
    opened.callback(log.close)
    host = make_host(store.name, log, slot=chosen.slot, state=chosen.state or "memory://")
    opened.callback(host.close)
    if chosen.state:
        host.state = _limited(host.state, Path(chosen.state))
    hosting = Hosting(host, plans, standby=chosen.standby) if chosen.state else as_guest(host, plans)
    hosting.start()
    opened.callback(stop_or_leave, hosting, timedelta(seconds=5), opened)
    return hosting


def as_guest(host: Host, plans: Sequence[Plan]) -> Hosting:
    """What uses the plans' processors and owns none of them."""
    return Hosting(host, [], used=plans)


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
        self: Commits,
        batch: Batch,
        written: Collection[TopicPartition] = (),
        out: Sequence[Outgoing] = (),
        meanwhile: Callable[[], None] | None = None,
    ) -> Any:
        if asked.exists() and any(topic.endswith(".events") for topic, *_ in out):
            asked.rename(asked.with_suffix(".halted"))
            os.kill(os.getpid(), signal.SIGSTOP)
        return real(self, batch, written, out, meanwhile)

    Commits.commit = commit  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
