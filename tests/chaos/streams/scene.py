"""A small stage: owners in processes of their own, one guest here that records what it does, and the checker."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from eventstore.hosting import Hosting, stop_or_leave
from eventstore.log import open_log
from eventstore.offload import to_the_end
from eventstore.process_host import make_host
from eventstore.store import EventStore
from tests.chaos.streams.alarms import AlarmClient, plan_of
from tests.chaos.streams.checker import Verdict, check
from tests.chaos.streams.client import Client, Done
from tests.chaos.streams.crew import Place, Running
from tests.chaos.streams.history import Recorder, read_histories
from tests.chaos.streams.log_scan import Final, scan
from tests.chaos.streams.member import as_guest
from tests.chaos.streams.model import Noted, make_store
from tests.chaos.streams.ways import Ways, watch
from tests.waiting import eventually_async

PATIENCE = 60.0


class Owner:
    """An owner without callers of its own."""

    def __init__(self, scene: Scene, slot: str, *, planted: str, url: str) -> None:
        self._halt = scene.folder / f"{slot}.halt"
        place = Place(
            url, scene.folder / slot, 0, environment={"CHAOS_PLANTED": planted, "CHAOS_HALT": str(self._halt)}
        )
        self._running = Running(slot, place, scene.folder, 0, 0, store=scene.store.name)

    async def halt_at_next_append(self, append: Callable[[], object]) -> None:
        """Have it stop itself between its decision on an append and the transaction."""
        self._halt.touch()
        append()
        await eventually_async(self._halt.with_suffix(".halted").exists, PATIENCE)

    def wake(self) -> None:
        """Let it go on."""
        self._running.signal(signal.SIGCONT)

    async def leave(self) -> None:
        """Have it end in order."""
        self._running.signal(signal.SIGTERM)
        await self.has(lambda: self._running.code is not None)

    async def has(self, condition: Callable[[], bool]) -> None:
        """Wait for what is to happen."""
        await eventually_async(condition, PATIENCE)

    async def says(self, *words: str) -> None:
        """Wait until one of these is in its log."""
        await self.has(lambda: any(word in self._running.log.read_text(errors="replace") for word in words))

    def kill(self) -> None:
        """kill −9."""
        self._running.kill()


class Scene:
    """A store of its own on a Kafka that others use too."""

    def __init__(self, kafka: str, name: str, folder: Path, stack: ExitStack) -> None:
        self.kafka, self.folder, self._stack = kafka, folder, stack
        self.store: EventStore[Noted] = make_store(name)
        (folder / "history").mkdir()
        self._recorder = Recorder(folder / "history" / "here.jsonl")
        stack.callback(self._recorder.close)
        self.client = Client(self.store, self._recorder, Ways(self.store), "here", 0)

    def use(self, hosting: Hosting) -> None:
        """What the guest runs."""
        self.alarms = AlarmClient(self.store.name, hosting, self._recorder, "here", 1)
        self._stack.callback(self.alarms.close)

    def owner(self, slot: str, *, planted: str = "", url: str | None = None) -> Owner:
        """Start an owner."""
        owner = Owner(self, slot, planted=planted, url=url or f"kafka://{self.kafka}")
        self._stack.callback(owner.kill)
        return owner

    async def append(self, stream: str = "s", *, commit: str | None = "", count: int = 1) -> Done:
        """Append, and repeat it under its commit id until it is answered."""
        done = await self.client.append(stream, commit=commit, count=count)
        while done.outcome == "unknown":
            done = await self.client.repeat(done.invoke)
        return done

    async def erase(self, stream: str = "s", *, before: int | None = None) -> Done:
        """Delete or truncate, and repeat it under its commit id until it is answered."""
        done = await self.client.erase(stream, before=before)
        while done.outcome == "unknown":
            done = await self.client.repeat(done.invoke)
        return done

    async def alarm(self, due_ms: int) -> str:
        """Set an alarm; returns its key."""
        while (key := await self.alarms.arm(due_ms)) is None:
            pass
        return key

    async def verdict(self) -> Verdict:
        """What the checker says now."""
        return check(read_histories(self.folder / "history"), await self.final())

    async def final(self) -> Final:
        """What the log says now."""
        return await asyncio.to_thread(self._scan)

    def _scan(self) -> Final:
        log = open_log(f"kafka://{self.kafka}")
        try:
            return scan(log, self.store.name)
        finally:
            log.close()


@asynccontextmanager
async def scene(kafka: str, name: str, folder: Path) -> AsyncGenerator[Scene]:
    """The stage with its guest, which owns nothing."""
    watch()
    with ExitStack() as stack:
        made = Scene(kafka, name, folder, stack)
        plans, opened = [made.store.__component__(), plan_of(name)], ExitStack()

        def start() -> Hosting:
            log = open_log(f"kafka://{kafka}")
            opened.callback(log.close)
            host = make_host(name, log, slot="here", state="memory://")
            opened.callback(host.close)
            hosting = as_guest(host, plans)
            hosting.start()
            opened.callback(stop_or_leave, hosting, timedelta(seconds=5), opened)
            return hosting

        try:
            made.use(await to_the_end(start))
            yield made
        finally:
            await to_the_end(opened.close)
