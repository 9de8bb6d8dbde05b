"""What callers do: appends of every kind, reads of every kind, chosen by a seed, one after the other per caller.

Streams are few and grow for some seconds, then new ones take their place, so that writers race and reads stay short. An
append whose outcome is unknown is mostly repeated under its commit id until it is known, as users do.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import aclosing
from random import Random

from eventstore.errors import CommitIdReused, EventStoreError, InputFailed, WrongExpectedVersion
from eventstore.expected import ANY, Expected
from eventstore.expected import NO_STREAM as NO_EVENTS
from eventstore.store import EventStore
from tests.chaos.streams.history import ANYTHING, NO_STREAM, Invoke, Kind, Outcome, Recorder, Return, now
from tests.chaos.streams.model import Noted, Notes, label
from tests.chaos.streams.ways import Ways

STREAMS = 10
STREAM_SECONDS = 15.0
REMEMBERED = 50
"""How many commits a caller knows to repeat."""
PAUSE_SECONDS = 0.04
_SIZES = (1, 1, 1, 1, 2, 3, 5, 40)
_CHOICES = {"any": 4, "expected": 8, "repeat": 2, "reuse": 0.3, "read": 4, "consistent": 3, "load": 1}


class Caller:
    """One of several in a process. Cancel `run` to end it."""

    def __init__(self, store: EventStore[Noted], recorder: Recorder, ways: Ways, process: str, number: int, seed: int):
        self._store, self._recorder, self._ways = store, recorder, ways
        self._process, self._number = process, number
        self._chance = Random(f"caller {seed} {process} {number}")
        self._heads = dict[str, int]()
        self._known: deque[Invoke] = deque(maxlen=REMEMBERED)
        self._open: list[Invoke] = []
        """Appends of unknown outcome, to be repeated."""

    async def run(self) -> None:
        """Go on for ever."""
        while True:
            await asyncio.sleep(self._chance.uniform(0, PAUSE_SECONDS))
            if self._open and self._chance.random() < 0.5:
                await self._again(self._open.pop(0))
            else:
                await self._something()

    async def _something(self) -> None:
        match self._chance.choices(list(_CHOICES), list(_CHOICES.values()))[0]:
            case "any":
                await self._append_new(self._stream(), ANYTHING, with_commit=self._chance.random() < 0.6)
            case "expected":
                stream = self._stream()
                await self._append_new(stream, self._heads.get(stream, -1), with_commit=self._chance.random() < 0.6)
            case "repeat":
                if self._known:
                    await self._again(self._chance.choice(self._known))
            case "reuse":
                if self._known:
                    await self._reuse(self._chance.choice(self._known))
            case "load":
                await self._load(self._stream(), consistent=self._chance.random() < 0.5)
            case kind:
                await self._read(self._stream(), consistent=kind == "consistent")

    def _stream(self) -> str:
        return f"{int(time.monotonic() / STREAM_SECONDS)}-{self._chance.randrange(STREAMS)}"

    # Appends

    async def _append_new(self, stream: str, expected: int, *, with_commit: bool) -> None:
        op = self._recorder.next_op()
        content = f"{self._process}:{op}"
        await self._append(op, stream, expected, content, f"c{content}" if with_commit else "", self._size())

    async def _again(self, before: Invoke) -> None:
        op = self._recorder.next_op()
        await self._append(op, before.stream, before.expected, before.content, before.commit, before.count)

    async def _reuse(self, before: Invoke) -> None:
        """Another content under a commit id that was used."""
        op = self._recorder.next_op()
        await self._append(op, before.stream, ANYTHING, f"{self._process}:{op}", before.commit, 1)

    def _size(self) -> int:
        return self._chance.choice(_SIZES)

    async def _append(self, op: int, stream: str, expected: int, content: str, commit: str, count: int) -> None:
        events = [Noted(content=content, place=place, of=count) for place in range(count)]
        invoke = self._begin(
            op, "append", stream, expected=expected, commit=commit, content=content, count=count
        )  # fmt: skip
        outcome, version, error = await self._appended(stream, events, expected, commit)
        self._recorder.write(Return(op=op, at=now(), outcome=outcome, version=version, error=error))
        if version is not None:
            self._heads[stream] = version
        if commit and outcome == "unknown" and self._chance.random() < 0.8:
            self._open.append(invoke)
        if commit and outcome in ("ok", "unknown"):
            self._known.append(invoke)

    async def _appended(
        self, stream: str, events: list[Noted], expected: int, commit: str
    ) -> tuple[Outcome, int | None, str]:
        wanted: int | Expected = {ANYTHING: ANY, NO_STREAM: NO_EVENTS}.get(expected, expected)
        try:
            done = await self._store.append(stream, events, expected=wanted, commit_id=commit or None)
        except WrongExpectedVersion as lost:
            return "lost", -1 if lost.actual is NO_EVENTS else lost.actual, ""
        except (CommitIdReused, InputFailed) as error:
            return "refused", None, type(error).__name__
        except EventStoreError as error:
            return "unknown", None, type(error).__name__
        return "ok", done.version, ""

    # Reads

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
        op = self._recorder.next_op()
        self._begin(
            op, "read", stream, consistent=consistent, after=after, until=until, backwards=backwards, limit=limit
        )
        events, first_at = list[tuple[int, str]](), 0
        with self._ways.watched(stream) as way:
            try:
                async with aclosing(
                    self._store.read(
                        stream, after=after, until=until, backwards=backwards, limit=limit, consistent=consistent
                    )
                ) as found:
                    async for recorded in found:
                        first_at = first_at or now()
                        events.append((recorded.version, label(recorded.event)))
            except EventStoreError as error:
                self._failed(op, error)
                return
        self._recorder.write(
            Return(op=op, at=now(), outcome="ok", events=events, first_at=first_at, way=way.found)
        )  # fmt: skip
        if events:
            self._heads[stream] = max(events[0][0], events[-1][0])

    async def _load(self, stream: str, *, consistent: bool) -> None:
        op = self._recorder.next_op()
        self._begin(op, "load", stream, consistent=consistent)
        with self._ways.watched(stream) as way:
            try:
                notes = await self._store.load(Notes, stream, consistent=consistent)
            except EventStoreError as error:
                self._failed(op, error)
                return
        self._recorder.write(
            Return(op=op, at=now(), outcome="ok", count=notes.count, digest=notes.digest, way=way.found)
        )
        self._heads[stream] = notes.count - 1

    def _failed(self, op: int, error: EventStoreError) -> None:
        self._recorder.write(Return(op=op, at=now(), outcome="failed", error=type(error).__name__))

    def _begin(
        self, op: int, do: Kind, stream: str, *, expected: int = ANYTHING, commit: str = "", content: str = "",
        count: int = 0, consistent: bool = False, after: int | None = None, until: int | None = None,
        backwards: bool = False, limit: int | None = None,
    ) -> Invoke:  # fmt: skip
        invoke = Invoke(
            op=op, at=now(), caller=self._number, do=do, stream=stream, expected=expected, commit=commit,
            content=content, count=count, consistent=consistent, after=after, until=until, backwards=backwards,
            limit=limit,
        )  # fmt: skip
        self._recorder.write(invoke)
        return invoke
