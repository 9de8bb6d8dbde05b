"""A process that hosts a store of accounts, or follows one, until it is killed.

`python -m tests.eventstore.streams.store_process ROLE URL NAME SLOT OUTPUT`, where ROLE is

- `serve`: host the store;
- `read`: host it, and begin a consistent read of stream `a` again and again. OUTPUT gets a line for each read: when it
  began, the version that it saw. Once there is a file of that name that ends in .stop, the process stops itself
  (SIGSTOP) at the worst moment: a batch was polled, and nothing of it is decided. Awake again it goes on when reads
  have begun that join this batch;
- `race`: host it (`guest`: own nothing of it), and append to stream `a` until COUNT appends (in the environment, as the
  folder of STATE) have won, under commit ids that begin with OUTPUT's name. OUTPUT gets a line for each of them, its
  version, as soon as it is known, and how many have lost as the last one;
- `follow`: subscribe from the position of OUTPUT's last line; OUTPUT gets a line for each event: stream, version,
  position.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from eventstore.errors import AskTimedOut, EventStoreError, WrongExpectedVersion
from eventstore.log.port import Batch
from eventstore.processor.unit import Unit
from eventstore.streams import Position
from tests.eventstore.streams.accounts import collect, deposits
from tests.eventstore.streams.hosts import Accounts, hosting, store_named
from tests.waiting import eventually

WRITERS = 4
"""Callers of one process that race."""


async def main(role: str, url: str, name: str, slot: str, output: str) -> None:
    store = store_named(name)
    owns, state = role not in ("follow", "guest"), os.environ.get("STATE", "memory://")
    async with hosting(store, url, slot=slot, owns=owns, state=state):
        match role:
            case "read":
                await _read(store, Path(output))
            case "follow":
                await _follow(store, Path(output))
            case "race" | "guest":
                await _race(store, Path(output))
            case _:
                await asyncio.Event().wait()


async def _read(store: Accounts, output: Path) -> None:
    _stop_at_the_worst_moment(output)
    with output.open("a", buffering=1) as to:

        async def read() -> None:
            began = time.time()
            try:
                seen = await collect(store.read("a", backwards=True, limit=1, consistent=True))
            except EventStoreError as error:
                print(f"{type(error).__name__}: {error}", flush=True)
            else:
                to.write(f"{began} {seen[0].version if seen else -1}\n")

        async with asyncio.TaskGroup() as reads:
            while True:
                reads.create_task(read())
                await asyncio.sleep(0.02)


async def _race(store: Accounts, output: Path) -> None:
    left, lost = [int(os.environ["COUNT"])], 0
    with output.open("a", buffering=1) as to:

        async def write(writer: int) -> None:
            nonlocal lost
            version, number = -1, 0
            while left[0] > 0:
                left[0] -= 1
                won = None
                while won is None:
                    commit = f"{output.stem}-{writer}-{number}"
                    try:
                        won = (await store.append("a", deposits(number), expected=version, commit_id=commit)).version
                    except WrongExpectedVersion as behind:
                        lost += 1
                        version = behind.actual if isinstance(behind.actual, int) else -1
                    except AskTimedOut:
                        continue
                version, number = won, number + 1
                to.write(f"{version}\n")

        async with asyncio.TaskGroup() as writers:
            for writer in range(WRITERS):
                writers.create_task(write(writer))
        to.write(f"lost {lost}\n")
    await asyncio.Event().wait()  # others may still need what this process owns


def _stop_at_the_worst_moment(output: Path) -> None:
    asked, stopped, real = output.with_suffix(".stop"), output.with_suffix(".stopped"), Unit._run

    def run(self: Unit, batch: Batch) -> bool:
        if asked.exists():
            asked.unlink()
            stopped.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
            waiting = len(self._calls._waiting)
            eventually(lambda: len(self._calls._waiting) >= waiting + 3, timeout=60)
        return real(self, batch)

    Unit._run = run  # type: ignore[method-assign]


async def _follow(store: Accounts, output: Path) -> None:
    after = _stored(output)
    with output.open("a", buffering=1) as to:
        async for recorded in store.subscribe(after=after):
            to.write(f"{recorded.stream} {recorded.version} {recorded.position}\n")


def _stored(output: Path) -> Position | None:
    """The position of the last whole line; what stands behind it, cut off by a kill, is removed."""
    done = output.read_text() if output.exists() else ""
    whole = done[: done.rfind("\n") + 1]
    output.write_text(whole)
    return Position.parse(whole.splitlines()[-1].split()[2]) if whole else None


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
