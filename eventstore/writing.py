"""Write to the streams of one store: appends and erasures on their way to the owner, and what came of them.

An append whose stream is owned by this process is put into the unit's next batch as it is; any other becomes a message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Generic, cast

from typing_extensions import TypeVar

from eventstore.appending import (
    EraseDone,
    EraseRefused,
    StoreProcessor,
    append_id,
    are_different,
    check_are_declared,
    check_are_several,
    encode_events,
    fingerprint,
)
from eventstore.component import ASK_PATIENCE, Runtime
from eventstore.content import content_of
from eventstore.errors import CommitIdReused, ErasureRefused, WrongExpectedVersion
from eventstore.expected import ANY, NEVER, NO_STREAM, Expected, number_of
from eventstore.ids import unique_id
from eventstore.log.partition import partition_of
from eventstore.log.records import TopicPartition
from eventstore.processor.append_call import Answer, Append, AppendCall, AppendDone, AppendLost, Erase, Landed
from eventstore.processor.asking import answer_of
from eventstore.processor.topics import inbox_of
from eventstore.processor.waiting import Line
from eventstore.reading import Streams
from eventstore.streams import Appended, Erased, check_stream_id, utf8_of
from eventstore.subject_keys.keys import SubjectForgotten
from schemas import Event, Message
from schemas.personal_fields import holds_personal

E = TypeVar("E", bound=Event, default=Event)

PATIENCE_SECONDS = ASK_PATIENCE.total_seconds()
"""How long an append waits for its answer."""


class Writer(Generic[E]):
    """Writes to the streams of one store, while a service runs it. `EventStore` says what is promised and raised."""

    def __init__(self, store: StoreProcessor, events: Sequence[type[E]], runtime: Runtime, streams: Streams[E]) -> None:
        self._store, self._runtime, self._streams = store, runtime, streams
        self._name, self._asking = store.name, runtime.asking
        self._declared, self._is_personal = frozenset(events), any(map(holds_personal, events))
        self._serde, self._record_bytes = runtime.host.serde, runtime.host.log.message_max_bytes
        self._inboxes: list[TopicPartition] = []
        self._line: Line[Answer | Landed] | None = None

    async def append(
        self, stream: str, events: Sequence[E], expected: int | Expected, commit_id: str | None
    ) -> Appended:
        """See `EventStore.append`."""
        raw, number = check_stream_id(stream), number_of(expected)
        if not isinstance(events, list):
            check_are_several(stream, events)
        if self._is_personal:
            check_are_declared(self._name, events, self._declared)
            sealed = await self._sealed(stream, events, commit_id)
            if isinstance(sealed, Appended):
                return sealed
            events = sealed
        encoded = encode_events(self._name, stream, events, self._declared, self._serde, self._record_bytes)
        id, content = None, ""
        if commit_id is not None:
            id = _input_id(stream, commit_id)
            content = fingerprint([event.__type_name__ for event in events], await self._content(events))
        line, correlation = self._own_line(), unique_id()
        future = line.join(correlation)
        try:
            inboxes, asking = self._inboxes or await self._learn(future), self._asking
            at = inboxes[partition_of(raw, len(inboxes))]
            call = AppendCall(
                self._name, at, stream, number, encoded, content, id or correlation, correlation, asking.home(), future,
                line.mailbox, asking.resolve, id is None,
            )  # fmt: skip
            asking.put(call)
            answered = await future
        except TimeoutError:
            what = f"{Append.__type_name__} for {self._name} {stream!r}"
            raise self._asking.timed_out(self._name, what, line.patience_s) from None
        finally:
            line.leave(correlation)
        if type(answered) is not Landed:
            return await self._appended(stream, answer_of(self._name, answered), content, expected, commit_id)
        if self._streams.is_located:
            return Appended(answered.version, self._streams.position_at(at.partition, answered.end))
        return Appended(answered.version, await self._streams.position(stream, answered.end))

    async def erase(self, stream: str, before: int | None, expected: int | Expected, commit_id: str | None) -> Erased:
        """See `EventStore.truncate`; `before` None erases all."""
        check_stream_id(stream)
        number = number_of(expected)
        if self._store.retention == "forever":
            raise ErasureRefused(self._name, stream)
        content = fingerprint([f"erase {before}"], [b""])
        command = Erase(before=before, expected=number, fingerprint=content)
        id = None if commit_id is None else _input_id(stream, commit_id)
        answer, _ = await self._runtime.ask_positioned(self._name, stream, command, id=id)
        done = cast("EraseDone", self._checked(stream, answer, content, expected, commit_id))
        return Erased(done.erased, done.first)

    async def _sealed(self, stream: str, events: Sequence[E], commit_id: str | None) -> Sequence[E] | Appended:
        """The events with their personal data sealed; or what an append under this id did before, if that cannot be.

        Raises:
            SubjectForgotten: a subject was forgotten, and nothing was appended under this id.
        """
        try:
            return await self._runtime.protection.protect(events)
        except SubjectForgotten:
            first = None if commit_id is None else await self._first(stream, commit_id)
            if first is None:
                raise
            return first

    async def _first(self, stream: str, commit_id: str) -> Appended | None:
        """What was appended under this id; what that was cannot be compared any more."""
        nothing = Append(events=[], expected=NEVER, fingerprint="")
        answer = await self._runtime.ask_positioned(self._name, stream, nothing, id=_input_id(stream, commit_id))
        if isinstance(answer[0], AppendLost):
            return None
        content = answer[0].fingerprint if isinstance(answer[0], AppendDone) else ""
        return await self._appended(stream, answer, content, ANY, commit_id)

    async def _is_past_comparison(self, stream: str, done: AppendDone | EraseDone, commit_id: str) -> bool:
        """Whether what was appended under this id holds personal data that nobody can read any more."""
        if not self._is_personal or not isinstance(done, AppendDone):
            return False
        id, keys = _input_id(stream, commit_id), self._runtime.protection
        async with aclosing(self._streams.read(stream, until=done.version, backwards=True, consistent=True)) as found:
            async for recorded in found:
                if recorded.metadata.commit != id:
                    return False
                if await keys.has_lost([recorded.event]):
                    return True
        return False

    async def _appended(
        self, stream: str, answer: Answer, content: str, expected: int | Expected, commit_id: str | None
    ) -> Appended:
        """What an owner elsewhere answered, or an earlier append under the same id."""
        try:
            done = cast("AppendDone", self._checked(stream, answer[0], content, expected, commit_id))
        except CommitIdReused:
            done = cast("AppendDone", answer[0])
            if not await self._is_past_comparison(stream, done, commit_id or ""):
                raise
        offsets = answer[1]
        if offsets is None:
            return Appended(done.version, await self._streams.end(stream))
        return Appended(done.version, await self._streams.position(stream, *offsets.values()))

    def _checked(
        self, stream: str, answer: Message | None, content: str, expected: int | Expected, commit_id: str | None
    ) -> AppendDone | EraseDone:
        """The answer, if it says that what this caller wants was done."""
        if isinstance(answer, AppendLost):
            raise _lost(stream, expected, answer.actual)
        if isinstance(answer, EraseRefused):
            raise ErasureRefused(self._name, stream)
        done = cast("AppendDone | EraseDone", answer)
        if are_different(done.fingerprint, content):
            raise CommitIdReused(stream, commit_id or "")
        return done

    def _own_line(self) -> Line[Answer | Landed]:
        """The running loop's."""
        line = self._line
        if line is None or line.loop is not asyncio.get_running_loop() or line.patience_s != PATIENCE_SECONDS:
            line = self._line = self._asking.line(PATIENCE_SECONDS)
        return line

    async def _learn(self, future: asyncio.Future[Answer | Landed]) -> list[TopicPartition]:
        """The partitions of the store's inbox, which are as many as those of its events."""
        if self._asking.partitions(self._name) is None:
            await self._asking.learn(self._name, future)
        inbox, count = inbox_of(self._name), self._asking.partitions(self._name) or 0
        self._inboxes = [TopicPartition(inbox, number) for number in range(count)]
        return self._inboxes

    async def _content(self, events: Sequence[E]) -> list[bytes]:
        """What tells these events from others: personal data is never sealed twice alike."""
        fixed = await self._runtime.protection.fixed(events) if self._is_personal else events
        return [content_of(event, self._serde) for event in fixed]


def _lost(stream: str, expected: int | Expected, actual: int) -> WrongExpectedVersion:
    return WrongExpectedVersion(
        stream, expected=NO_STREAM if expected == -1 else expected, actual=NO_STREAM if actual < 0 else actual
    )


def _input_id(stream: str, commit_id: str) -> str:
    if type(commit_id) is not str:
        raise TypeError(f"{stream}: commit_id={commit_id!r} is no str: give a text that only this commit has, or None")
    if not commit_id:
        raise ValueError(f"{stream}: an empty commit id: give a unique one, or None")
    utf8_of(f"{stream}: commit id", commit_id)
    return append_id(stream, commit_id)
