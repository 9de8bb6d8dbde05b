"""What callers do: appends, erasures and reads of every kind, chosen by a seed, one after the other per caller.

Streams are few and grow for some seconds, then new ones take their place, so that writers race and reads stay short. An
append whose outcome is unknown is mostly repeated under its commit id until it is known, as users do.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from random import Random

from tests.chaos.streams.client import Client, Done
from tests.chaos.streams.history import ANYTHING, Invoke
from tests.chaos.streams.model import AGGREGATES

STREAMS = 10
STREAM_SECONDS = 15.0
REMEMBERED = 50
"""How many commits a caller knows to repeat."""
PAUSE_SECONDS = 0.04
_SIZES = (1, 1, 1, 1, 2, 3, 5, 40)
_CHOICES = {
    "any": 4, "expected": 8, "truncate": 0.6, "delete": 0.3, "repeat": 2, "reuse": 0.3,
    "read": 4, "consistent": 3, "load": 2,
}  # fmt: skip


class Caller:
    """One of several in a process. Cancel `run` to end it."""

    def __init__(self, client: Client, seed: str) -> None:
        self._client, self._chance = client, Random(seed)
        self._heads = dict[str, int]()
        self._known: deque[Invoke] = deque(maxlen=REMEMBERED)
        self._open: list[Invoke] = []
        """Appends and erasures of unknown outcome, to be repeated."""

    async def run(self) -> None:
        """Go on for ever."""
        while True:
            await asyncio.sleep(self._chance.uniform(0, PAUSE_SECONDS))
            if self._open and self._chance.random() < 0.5:
                self._learn(await self._client.repeat(self._open.pop(0)))
            else:
                await self._something(self._stream())

    async def _something(self, stream: str) -> None:
        chance, client = self._chance, self._client
        commit = "" if chance.random() < 0.6 else None
        match chance.choices(list(_CHOICES), list(_CHOICES.values()))[0]:
            case "any":
                self._learn(await client.append(stream, commit=commit, count=chance.choice(_SIZES)))
            case "expected":
                expected = self._heads.get(stream, -1)
                done = await client.append(stream, expected=expected, commit=commit, count=chance.choice(_SIZES))
                self._learn(done)
            case "repeat":
                if self._known:
                    self._learn(await client.repeat(chance.choice(self._known)))
            case "reuse":
                if self._known:
                    await self._reuse(chance.choice(self._known))
            case "truncate" | "delete" as kind:
                await self._erase(stream, is_deletion=kind == "delete")
            case "load":
                aggregate, consistent = chance.choice(list(AGGREGATES)), chance.random() < 0.5
                self._note(stream, await client.load(stream, aggregate=aggregate, consistent=consistent))
            case kind:
                await self._read(stream, consistent=kind == "consistent")

    async def _erase(self, stream: str, *, is_deletion: bool) -> None:
        head = self._heads.get(stream, -1)
        before = None if is_deletion else max(0, head + self._chance.randrange(-15, 3))
        expected = self._chance.choice((head, ANYTHING))
        self._learn(await self._client.erase(stream, before=before, expected=expected))

    async def _reuse(self, before: Invoke) -> None:
        """A commit id that stands for something else."""
        if self._chance.random() < 0.7:
            await self._client.append(before.stream, commit=before.commit)
        else:
            await self._client.erase(before.stream, before=1_000_000, commit=before.commit)

    async def _read(self, stream: str, *, consistent: bool) -> None:
        chance, head = self._chance, self._heads.get(stream, -1)
        after = until = limit = None
        backwards = chance.random() < 0.5
        match chance.randrange(4):
            case 0:
                limit = chance.choice((1, 1, 10)) if backwards else None
            case 1:
                after = max(-1, head - chance.randrange(20))
            case 2:
                until, limit = head + chance.randrange(-5, 20), chance.choice((None, 5))
            case _:
                after, limit = max(-1, head - 3), chance.choice((None, 2))
        seen = await self._client.read(
            stream, consistent=consistent, after=after, until=until, backwards=backwards, limit=limit
        )
        if seen is not None and seen >= 0:  # what gave nothing may have been asked for too much
            self._note(stream, seen)

    def _learn(self, done: Done) -> None:
        is_deletion = done.invoke.do == "delete" and done.outcome == "ok"
        self._note(done.invoke.stream, -1 if is_deletion else done.version)
        if done.invoke.commit and done.outcome == "unknown" and self._chance.random() < 0.8:
            self._open.append(done.invoke)
        if done.invoke.commit and done.outcome in ("ok", "unknown"):
            self._known.append(done.invoke)

    def _note(self, stream: str, head: int | None) -> None:
        if head is not None:
            self._heads[stream] = head

    def _stream(self) -> str:
        return f"{int(time.monotonic() / STREAM_SECONDS)}-{self._chance.randrange(STREAMS)}"
