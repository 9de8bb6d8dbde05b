"""Streams of events: append with an expected version, read, load, subscribe, delete.

A store is a processor without state: every append is an input of the owner of its stream's partition, decided in one
transaction with whatever else the batch holds. The topic is `<name>.events`.

Guarantees: versions of a stream have no gaps and no forks; an append happened wholly or not at all; when `append`
returns, the log has the events and every later read sees them; a repeat under the same `commit_id` returns the first
result for as long as inputs are remembered (eight days). Not promised: an order between streams.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any, Generic, Self, TypeVar

from typing_extensions import TypeVar as DefaultTypeVar

from eventstore.aggregate import Aggregate
from eventstore.appending import StoreProcessor, check_options, check_types
from eventstore.component import Plan, Runtime
from eventstore.errors import NotRunning
from eventstore.expected import Expected, expects
from eventstore.loading import load
from eventstore.processor.port import Retention
from eventstore.processor.topics import check_store_name, events_of
from eventstore.reading import Streams
from eventstore.streams import Appended, Erased, Position, Recorded
from eventstore.subscribing import check_chosen
from eventstore.versions import check_first_kept
from eventstore.writing import Writer
from schemas import Event
from schemas.options import knows_its_options
from schemas.personal_fields import M

E = DefaultTypeVar("E", bound=Event, default=Event)
A = TypeVar("A", bound=Aggregate[Any])
T = TypeVar("T")


class EventStore(Generic[E]):
    """A store of streams. Give it to a service, elsewhere to a `Client`; alone, with `log=`, it is a service itself."""

    @knows_its_options
    def __init__(
        self,
        name: str,
        *,
        events: Sequence[type[E]],
        log: str | None = None,
        partitions: int | None = None,
        retention: Retention = "compacted",
    ) -> None:
        """`events`: all types that it holds. `log`: the log's URL, for use alone. `partitions`: for its creation.

        `retention`: with "compacted" streams can be deleted and truncated; with "forever" no event ever goes.

        Raises:
            ValueError: the name cannot be one (`schemas.names`), or no event types are given.
            TypeError: `events` is one type or holds others than events', or an option is of another type.
        """
        check_store_name(name)
        check_types(name, events)
        check_options(name, log, partitions, retention)
        self.name, self.events, self.log = name, tuple(events), log
        self._processor = StoreProcessor(name, self.events, partitions, retention)
        self._declared = frozenset(self.events)
        self._streams: Streams[E] | None = None
        self._writer: Writer[E] | None = None
        self._runtime: Runtime | None = None
        self._alone: AsyncExitStack | None = None

    @property
    def topic(self) -> str:
        """The topic of its events."""
        return events_of(self.name)

    def __component__(self) -> Plan:
        return Plan(name=self.name, messages=self._processor.messages, processors=(self._processor,), bind=self._bind)

    def _bind(self, runtime: Runtime | None) -> None:
        if runtime is not None and self._runtime is not None:
            raise ValueError(f"{self.name} runs already: use it as it is")
        self._runtime = runtime
        self._streams = self._writer = None
        if runtime is not None:
            self._streams = Streams[E](self.name, runtime)
            self._writer = Writer(self._processor, self.events, runtime, self._streams)

    async def __aenter__(self) -> Self:
        """Run the store alone: its own log, and a unit for it.

        Raises:
            ValueError: it was made without `log`, or it runs already.
            LogError: the log cannot be opened.
        """
        from eventstore.hosting import run_alone  # here alone a store reaches for a service of its own

        if self.log is None:
            raise ValueError(
                f'{self.name} was made without a log: EventStore(…, log="embedded:///folder"), or let a service run it'
            )
        if self._runtime is not None:
            raise ValueError(f"{self.name} runs already: use it as it is")
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(run_alone(self, self.log))
            self._alone = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._alone is not None:
            alone, self._alone = self._alone, None
            await alone.aclose()

    @expects
    async def append(
        self, stream: str, events: Sequence[E], *, expected: int | Expected, commit_id: str | None = None
    ) -> Appended:
        """Append up to 1,000 events to a stream, all or none, if the stream is as expected.

        `expected`: the version of its last event (−1 and NO_STREAM: it has none), STREAM_EXISTS or ANY. `commit_id`: an
        id of this commit, unique for its stream; a repeat under it returns what the first one did, whatever it expects.
        So it does when personal data of the first was forgotten since, which nobody can compare any more.

        Each event may be as large as a record of the log (its `message_max_bytes`), less about 1 KiB for what surrounds
        it; all together 64 MiB. Callers that wait share commits and cost no thread each. One that is cancelled leaves
        its append to happen or not, as after a time-out.

        Raises:
            WrongExpectedVersion: the stream is elsewhere; nothing happened.
            CommitIdReused: the commit id stands for other events; nothing happened.
            ValueError: no events, a stream id that has not 1 to 500 bytes of UTF-8 or holds U+0000, an empty commit id.
            TypeError, ValueError: an id is no str of UTF-8, `events` no list of events, `expected` no version.
            EventNotDeclared: an event is of none of the store's types.
            AppendsNotTaken: an aggregate, decider or saga of this name writes these streams; nothing happened.
            TooManyEvents, AppendTooLarge: it does not fit into one append; nothing was sent.
            MessageTooLarge: an event does not fit into a record; nothing was sent.
            SubjectForgotten: a subject was forgotten; nothing was appended, nor was before under this `commit_id`.
            MasterKeyNotSet: its personal data cannot be sealed; nothing was sent.
            AskTimedOut: no answer came in 10 seconds: whether it happened is not known. Append again with the same
                `commit_id` to learn it: if it did, that returns its result, else it happens now.
            NotRunning: no service runs the store.
        """
        return await self._while_it_runs(self._writer).append(stream, events, expected, commit_id)

    @expects
    async def delete(self, stream: str, *, expected: int | Expected, commit_id: str | None = None) -> Erased:
        """Delete a stream: no read shows its events from now on.

        NO_STREAM fits a deleted stream, and its next event gets the version after its last one: versions are never used
        again. The bytes leave the log some time later, see the guide "Delete streams". `expected`, `commit_id`: as for
        `append`.

        Raises:
            WrongExpectedVersion: the stream is elsewhere; nothing happened.
            CommitIdReused: the commit id stands for something else; nothing happened.
            ErasureRefused: the store has retention="forever".
            AppendsNotTaken: as for `append`.
            ValueError: a stream id that cannot be one, an empty commit id, or an impossible version.
            AskTimedOut: no answer came in time; delete again with the same `commit_id` to learn what happened.
            NotRunning: no service runs the store.
        """
        return await self._while_it_runs(self._writer).erase(stream, None, expected, commit_id)

    @expects
    async def truncate(
        self, stream: str, *, before: int, expected: int | Expected, commit_id: str | None = None
    ) -> Erased:
        """Erase the events of a stream whose version is below `before`, as `delete` does with all.

        An aggregate that is loaded afterwards is folded from the first event that is kept. What earlier events said is
        lost to it, unless the kept ones repeat it: append an event that sums up, and truncate before that one. Beyond
        the last event `before` deletes the stream.

        Raises:
            ValueError: `before` is no version from 0 to 2⁶³ − 1; else as for `delete`.
            WrongExpectedVersion, CommitIdReused, ErasureRefused, AppendsNotTaken, AskTimedOut, NotRunning: as for
                `delete`.
        """
        check_first_kept(stream, before)
        return await self._while_it_runs(self._writer).erase(stream, before, expected, commit_id)

    async def protect(self, message: M) -> M:
        """The message with its personal data sealed, as `append` does it: for what is sent by other ways.

        Raises:
            SubjectForgotten: its subject was forgotten.
            MasterKeyNotSet: this process has no master key.
            NotRunning: no service runs the store.
        """
        return (await self._running().protection.protect([message]))[0]

    async def forget(self, subject: str) -> None:
        """Destroy the keys of a subject: its personal data on this log can be read by nobody any more, in any store.

        The rest of the events stays. It is done when this returns; the key's bytes leave the disks when the log is
        cleaned (see the guide "erase personal data"). To forget again does no harm.

        Raises:
            TypeError, ValueError: `subject` is no str, or cannot be one.
            ForgetUnfinished: the log does not answer; `known` says what is known of it. Call this again.
            NotRunning: no service runs the store.
        """
        await self._running().protection.forget(subject)

    async def remember(self, subject: str) -> None:
        """Let personal data of a forgotten subject be recorded anew. What was sealed before stays unreadable.

        Raises:
            TypeError, ValueError: `subject` is no str, or cannot be one.
            NotRunning: no service runs the store.
        """
        await self._running().protection.remember(subject)

    def read(
        self,
        stream: str,
        *,
        after: int | None = None,
        until: int | None = None,
        backwards: bool = False,
        limit: int | None = None,
        as_of: int | datetime | None = None,
        consistent: bool = False,
    ) -> AsyncGenerator[Recorded[E], None]:
        """The events of a stream with after < version ≤ until, in order of version or against it; none if it has none.

        Bounds are any ints; versions lie between 0 and 2⁶³ − 1. `as_of` a version: without later events. As of an aware
        instant: the stream as it was then, that is, the events before the first one that was recorded later.

        Fast where a process owns the stream's partition: from its index if that is this process, else from the owner,
        in pages, the next when the last was consumed. If no owner answers in 2 seconds, the topic itself is read, in
        time proportional to the partition. A page is of one moment, the next of a later one: what is erased in between
        is missing, so versions have a gap or end early; what is appended in between is shown, if it is within bounds.

        `consistent`: what was there at some moment between the call and its first event (K15), less what is erased
        before its page is read. Without it, a process that was stopped and replaced without knowing it may show an
        earlier moment. It costs a commit of the owner.

        Raises:
            ValueError: a stream id that cannot be one, a negative limit, or an instant without a time zone.
            ReadStalled: the log has records that could not be read in time.
            UnknownType: an event's type or version is not known to this process's code.
            OwnerSilent: `consistent`, and no owner answered.
            NotRunning: no service runs the store.
        """
        return self._reader().read(
            stream, after=after, until=until, backwards=backwards, limit=limit, as_of=as_of, consistent=consistent
        )

    async def load(
        self, aggregate: type[A], stream: str, *, as_of: int | datetime | None = None, consistent: bool = False
    ) -> A:
        """An aggregate as its stream made it; its defaults if there is no stream.

        `as_of`, `consistent`: as for `read`.

        Raises:
            EventNotDeclared: the stream holds an event that the aggregate does not evolve by.
            TypeError: `aggregate` is no class of an aggregate.
            ValueError, NotRunning, OwnerSilent, ReadStalled, UnknownType: as for `read`.
        """
        return await load(self._reader(), aggregate, stream, as_of, consistent=consistent)

    def subscribe(
        self,
        *,
        after: Position | None = None,
        prefix: str = "",
        types: Sequence[type[E]] | None = None,
        until_end: bool = False,
    ) -> AsyncGenerator[Recorded[E], None]:
        """The events of all streams beyond a position, in order per stream, as they come.

        `prefix`: only of streams whose id begins so. `types`: only events of these types; others are not decoded, so
        that a type which this process's code does not know fails only a subscription to all.

        `recorded.position` is where to go on from: store it, as `str(position)`, with what the event did. It goes on
        until it is closed or cancelled, or, with `until_end`, up to where the log stood at the start.

        The topic's id is looked at every 5 seconds meanwhile: if the topic was deleted and made again, the subscription
        ends. Until then it may show events of the new topic, and miss its first ones; no position after those is taken.

        Raises:
            PositionRefused: the log cannot be read on from there; the error says why. Or the topic was made again.
            TopicMissing: nobody ever ran the store on this log, or the topic was deleted.
            EventNotDeclared: one of `types` is none of the store's.
            TypeError, ValueError: `after` is no position, such as the text of one; `prefix` is no str, or no UTF-8.
            NotRunning, ReadStalled, UnknownType: as for `read`.
        """
        check_chosen(self.name, self._declared, after, prefix, types)
        return self._reader().subscribe(after=after, prefix=prefix, types=types, until_end=until_end)

    def _running(self) -> Runtime:
        return self._while_it_runs(self._runtime)

    def _reader(self) -> Streams[E]:
        return self._while_it_runs(self._streams)

    def _while_it_runs(self, part: T | None) -> T:
        if part is None:
            raise NotRunning(f"store {self.name}")
        return part
