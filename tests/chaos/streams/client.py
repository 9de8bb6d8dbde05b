"""Do one operation on a store and record it: its begin, its end, and what it gave."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import aclosing
from dataclasses import dataclass

from eventstore.errors import CommitIdReused, EventStoreError, InputFailed, WrongExpectedVersion
from eventstore.expected import ANY, Expected
from eventstore.expected import NO_STREAM as NO_EVENTS
from eventstore.store import EventStore
from eventstore.streams import Appended, Erased
from tests.chaos.streams.history import ANYTHING, NO_STREAM, Invoke, Outcome, Recorder, Return, now
from tests.chaos.streams.model import AGGREGATES, Noted, label
from tests.chaos.streams.ways import Ways


@dataclass(frozen=True, slots=True)
class Done:
    """How an append or erasure went."""

    invoke: Invoke
    outcome: Outcome
    version: int | None = None
    """Of its last event, or of the stream's head if the race was lost. None after an erasure."""
    erased: int = 0
    first: int = 0
    error: str = ""


class Client:
    """The store as one caller uses it. Operations of one caller follow each other."""

    def __init__(self, store: EventStore[Noted], recorder: Recorder, ways: Ways, process: str, number: int) -> None:
        self._store, self._recorder, self._ways = store, recorder, ways
        self._process, self._number = process, number

    async def append(self, stream: str, *, expected: int = ANYTHING, commit: str | None = None, count: int = 1) -> Done:
        """Append new content. `commit`: None for no commit id, empty for one of its own."""
        op = self._recorder.next_op()
        content = f"{self._process}:{op}"
        id_ = f"c{content}" if commit == "" else commit or ""
        return await self._append(op, stream, expected, content, id_, count)

    async def erase(
        self, stream: str, *, before: int | None = None, expected: int = ANYTHING, commit: str = ""
    ) -> Done:
        """Delete the stream, or truncate it. `commit`: empty for one of its own."""
        op = self._recorder.next_op()
        return await self._erase(op, stream, before, expected, commit or f"c{self._process}:{op}")

    async def repeat(self, before: Invoke) -> Done:
        """Append the same content, or erase the same, under the same commit id again."""
        op = self._recorder.next_op()
        if before.do != "append":
            return await self._erase(op, before.stream, before.before, before.expected, before.commit)
        return await self._append(op, before.stream, before.expected, before.content, before.commit, before.count)

    async def read(
        self, stream: str, *, consistent: bool = False, after: int | None = None, until: int | None = None,
        backwards: bool = False, limit: int | None = None,
    ) -> int | None:  # fmt: skip
        """Read; returns the highest version it gave, −1 for none, None if it failed."""
        invoke = Invoke(
            op=self._recorder.next_op(), at=now(), caller=self._number, do="read", stream=stream,
            consistent=consistent, after=after, until=until, backwards=backwards, limit=limit,
        )  # fmt: skip
        self._recorder.write(invoke)
        found = self._store.read(
            stream, after=after, until=until, backwards=backwards, limit=limit, consistent=consistent
        )
        events, first_at = list[tuple[int, str]](), 0
        with self._ways.watched(stream) as way:
            try:
                async with aclosing(found):
                    async for recorded in found:
                        first_at = first_at or now()
                        events.append((recorded.version, label(recorded.event)))
            except EventStoreError as error:
                self._failed(invoke, error)
                return None
        self._recorder.write(
            Return(op=invoke.op, at=now(), outcome="ok", events=events, first_at=first_at, way=way.found)
        )
        return max((version for version, _ in events), default=-1)

    async def load(self, stream: str, *, aggregate: str = "notes", consistent: bool = False) -> int | None:
        """Load an aggregate; returns the version it was folded up to, None if it failed."""
        invoke = Invoke(
            op=self._recorder.next_op(), at=now(), caller=self._number, do="load", stream=stream,
            aggregate=aggregate, consistent=consistent,
        )  # fmt: skip
        self._recorder.write(invoke)
        with self._ways.watched(stream) as way:
            try:
                notes = await self._store.load(AGGREGATES[aggregate], stream, consistent=consistent)
            except EventStoreError as error:
                self._failed(invoke, error)
                return None
        self._recorder.write(
            Return(
                op=invoke.op, at=now(), outcome="ok", version=notes.version, count=notes.count, digest=notes.digest,
                way=way.found, is_from_snapshot=way.is_from_snapshot,
            )
        )  # fmt: skip
        return notes.version

    async def _append(self, op: int, stream: str, expected: int, content: str, commit: str, count: int) -> Done:
        events = [Noted(content=content, place=place, of=count) for place in range(count)]
        invoke = Invoke(
            op=op, at=now(), caller=self._number, do="append", stream=stream, expected=expected, commit=commit,
            content=content, count=count,
        )  # fmt: skip
        self._recorder.write(invoke)
        append = self._store.append(stream, events, expected=_said(expected), commit_id=commit or None)
        return await self._ended(invoke, append)

    async def _erase(self, op: int, stream: str, before: int | None, expected: int, commit: str) -> Done:
        invoke = Invoke(
            op=op, at=now(), caller=self._number, do="delete" if before is None else "truncate", stream=stream,
            expected=expected, commit=commit, before=before,
        )  # fmt: skip
        self._recorder.write(invoke)
        if before is None:
            return await self._ended(invoke, self._store.delete(stream, expected=_said(expected), commit_id=commit))
        erased = self._store.truncate(stream, before=before, expected=_said(expected), commit_id=commit)
        return await self._ended(invoke, erased)

    async def _ended(self, invoke: Invoke, call: Awaitable[Appended | Erased]) -> Done:
        done = await _done(invoke, call)
        self._recorder.write(
            Return(
                op=invoke.op, at=now(), outcome=done.outcome, version=done.version, erased=done.erased,
                first=done.first, error=done.error,
            )
        )  # fmt: skip
        return done

    def _failed(self, invoke: Invoke, error: EventStoreError) -> None:
        self._recorder.write(Return(op=invoke.op, at=now(), outcome="failed", error=type(error).__name__))


def _said(expected: int) -> int | Expected:
    named: dict[int, Expected] = {ANYTHING: ANY, NO_STREAM: NO_EVENTS}
    return named.get(expected, expected)


async def _done(invoke: Invoke, call: Awaitable[Appended | Erased]) -> Done:
    try:
        done = await call
    except WrongExpectedVersion as lost:
        return Done(invoke, "lost", lost.actual if isinstance(lost.actual, int) else -1)
    except (CommitIdReused, InputFailed) as error:
        return Done(invoke, "refused", error=type(error).__name__)
    except EventStoreError as error:
        return Done(invoke, "unknown", error=type(error).__name__)
    if isinstance(done, Appended):
        return Done(invoke, "ok", done.version)
    return Done(invoke, "ok", erased=done.events, first=done.first)
