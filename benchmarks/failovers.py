"""Seconds from kill −9 of an owner until a client has an append acknowledged in each partition that it had.

The journals hold a million events, clients append to all partitions all the time, and who takes over has nothing of
the lost partitions on its disk, as on another machine; with a standby it has followed them. Six seconds of each are the
session, which tells the group that a process died. Two processes, killed in turn.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from statistics import median
from threading import Event, Thread

from benchmarks.commands import ACCOUNTS, Account, Deposit
from benchmarks.crew import Crew
from benchmarks.figures import Figure, Target
from benchmarks.restores import fill
from benchmarks.setting import PARTITIONS, Setting, until
from consumers.client import Client
from eventstore import AskTimedOut
from eventstore.log import open_log
from eventstore.log.partition import partition_of
from eventstore.registry import TopicRegistry
from schemas import Serde

KILLS = 6
PER_SECOND = 25
"""Appends to each partition."""
PATIENCE_S = 300.0


class Callers:
    """Clients that append to every partition, whatever becomes of what they asked before."""

    def __init__(self, url: str) -> None:
        self._url, self._stopped = url, Event()
        self._keys = {partition_of(key, PARTITIONS): key for key in (f"account-{n:04}" for n in range(ACCOUNTS))}
        self.acknowledged: dict[int, list[tuple[float, float]]] = {number: [] for number in range(PARTITIONS)}
        """Of each partition's appends: when it was asked for, and when it was acknowledged."""

    @contextmanager
    def going_on(self) -> Generator[None]:
        """Append until the block ends."""
        thread = Thread(target=lambda: asyncio.run(self._run()))
        thread.start()
        try:
            until(lambda: all(self.acknowledged.values()), every_s=0.05)
            yield
        finally:
            self._stopped.set()
            thread.join()

    def first_after(self, moment: float, partition: int) -> float | None:
        """When the first append was acknowledged of those that were asked for after that moment."""
        return min((acked for asked, acked in list(self.acknowledged[partition]) if asked > moment), default=None)

    async def _run(self) -> None:
        tasks = set[asyncio.Task[None]]()
        async with Client(log=self._url, name="bench-callers") as client:
            while not self._stopped.is_set():
                tasks |= {asyncio.create_task(self._append(client, number)) for number in range(PARTITIONS)}
                await asyncio.sleep(1 / PER_SECOND)
                tasks = {task for task in tasks if not task.done()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _append(self, client: Client, number: int) -> None:
        asked = time.perf_counter()
        try:
            await client.ask(Deposit(account=self._keys[number], cents=1), timeout=timedelta(seconds=PATIENCE_S))
        except AskTimedOut:
            return
        self.acknowledged[number].append((asked, time.perf_counter()))


def measure(setting: Setting) -> list[Figure]:
    """Without a standby, then with one."""
    events, kills = setting.count(1_000_000, 20_000), 2 if setting.quick else KILLS
    log = open_log(setting.url)
    first = Crew(setting.url, log, setting.folder / "first", standby=False)
    first.start(0)  # so that the group has positions before the journals have records
    until(lambda: len(first.owners()) == PARTITIONS, every_s=0.1)
    first.close()
    fill(log, Serde(TopicRegistry(log), Account.__component__().messages), events)
    figures: list[Figure] = []
    for standby in (False, True):
        crew = Crew(setting.url, log, setting.folder / f"standby-{standby}", standby=standby)
        try:
            took, restored = _kill_in_turn(crew, setting.url, kills)
        finally:
            crew.close()
        name = "with a standby" if standby else "without a standby"
        figures += [
            Figure(f"failover {name}, {events:,} events, p50", median(took), "s", target=Target(at_most=10)),
            Figure(f"failover {name}, {events:,} events, max", max(took), "s", target=Target(at_most=10)),
            Figure(f"records that a successor reads, {name}, p50", median(restored), ""),
        ]
    log.close()
    return figures


def _kill_in_turn(crew: Crew, url: str, kills: int) -> tuple[list[float], list[float]]:
    """Seconds of each kill until all that was lost is served again, and how many records were read for that."""
    took, restored = list[float](), list[float]()
    crew.start(0)
    crew.start(1)
    callers = Callers(url)
    with callers.going_on():
        for kill in range(kills):
            victim, successor = kill % 2, 1 - kill % 2
            crew.settle()
            lost = {number for number, owner in crew.owners().items() if owner == victim}
            crew.forget_unless_followed(successor, lost)
            before = crew.restored(successor)
            moment = time.perf_counter()
            crew.kill(victim)
            took.append(_until_served(callers, moment, lost) - moment)
            restored.append(crew.restored(successor) - before)
            print(f"kill {kill}: {took[-1]:.1f} s, {restored[-1]:,.0f} records read", file=sys.stderr, flush=True)
            crew.start(victim)
    return took, restored


def _until_served(callers: Callers, moment: float, partitions: set[int]) -> float:
    """When the last of these partitions acknowledged its first append that was asked for after that moment."""
    first = dict[int, float]()

    def are_served() -> bool:
        found = {number: callers.first_after(moment, number) for number in partitions}
        first.update({number: at for number, at in found.items() if at is not None})
        return len(first) == len(partitions)

    until(are_served, every_s=0.02, patience_s=PATIENCE_S)
    return max(first.values())
