"""Reading streams that another process owns, on memory: pages, their bounds, and what happens without an owner."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest
from structlog.testing import capture_logs

from eventstore.bounds import PAGE_EVENTS
from eventstore.errors import OwnerSilent
from eventstore.expected import NO_STREAM
from eventstore.processor.index import StoredEvent
from eventstore.reading import Streams
from eventstore.store import EventStore
from eventstore.topic_reading import TopicStream
from tests.eventstore.streams.accounts import Account, Deposited, Opened, collect, deposits
from tests.eventstore.streams.conftest import LIMIT, Elsewhere, Ownerless
from tests.eventstore.streams.hosts import Accounts

Reads = Streams[Opened | Deposited]


@pytest.mark.parametrize("backwards", [False, True])
async def test_a_stream_is_read_from_its_owner_over_the_log(owner: Accounts, guest: Accounts, backwards: bool) -> None:
    """S3: more than a page, in both directions, with what surrounds the events."""
    for start in range(0, 600, 200):
        await guest.append("a", deposits(*range(start, start + 200)), expected=start - 1)

    found = await collect(guest.read("a", backwards=backwards))

    assert found == await collect(owner.read("a", backwards=backwards))
    assert len(found) == 600
    assert guest._reader().owners.unanswered == 0
    assert (await guest.load(Account, "a")).cents == sum(range(600))


async def test_pages_hold_what_a_record_may(owner: Accounts, guest: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events of 40,000 bytes come two at a time; one that leaves no room for a page around it is read where it is."""
    owners = ["y" * 40_000, "z" * 40_000, "x" * (LIMIT - 1_300), "w" * 40_000]
    for version, name in enumerate(owners):
        await owner.append("a", [Opened(owner=name)], expected=version - 1)
    alone: list[int] = []
    real = TopicStream.at

    def at(stream: TopicStream, offset: int) -> list[StoredEvent]:
        alone.append(offset)
        return real(stream, offset)

    monkeypatch.setattr(TopicStream, "at", at)

    found = await collect(guest.read("a"))

    assert [each.event.owner for each in found if isinstance(each.event, Opened)] == owners
    assert found == await collect(owner.read("a"))
    assert len(alone) == 1
    assert guest._reader().owners.unanswered == 0


async def test_the_next_page_is_asked_for_when_the_last_was_consumed(store: EventStore[Opened | Deposited]) -> None:
    """Back-pressure: a reader that stops holds one page, and its owner is asked no more."""
    for start in range(0, 600, 200):
        await store.append("a", deposits(*range(start, start + 200)), expected=start - 1)
    runtime: Any = Elsewhere(store._running())

    async with aclosing(Streams[Any]("accounts", runtime).read("a")) as read:
        asked = [runtime.asked async for recorded in read if recorded.version % PAGE_EVENTS in (0, PAGE_EVENTS - 1)]

    assert asked == [1, 1, 2, 2, 3]


async def test_without_an_owner_the_topic_is_read_and_that_is_said(store: EventStore[Opened | Deposited]) -> None:
    """Logged and counted once; for a while later reads of the partition do not wait for an owner again."""
    await store.append("a", deposits(1, 2), expected=NO_STREAM)
    runtime: Any = Ownerless(store._running())
    streams: Reads = Streams("accounts", runtime)

    with capture_logs() as said:
        assert len(await collect(streams.read("a"))) == 2
        assert len(await collect(streams.read("a"))) == 2

    assert [line["event"] for line in said if line["log_level"] == "warning"] == ["owner_silent"]
    assert (streams.owners.unanswered, runtime.asked) == (1, 1)


async def test_an_owner_that_falls_silent_in_the_middle_leaves_the_rest_to_the_topic(
    store: EventStore[Opened | Deposited],
) -> None:
    """None is lost or doubled between the two."""
    for start in range(0, 600, 200):
        await store.append("a", deposits(*range(start, start + 200)), expected=start - 1)

    class Leaving(Ownerless):
        async def ask_positioned(self, *what: Any, **how: Any) -> Any:
            if self.asked:
                return await super().ask_positioned(*what, **how)
            self.asked += 1
            return await self._runtime.ask_positioned(*what, **how)

    runtime: Any = Leaving(store._running())

    for backwards in (False, True):
        streams: Reads = Streams("accounts", runtime)
        runtime.asked = 0
        found = [recorded.version async for recorded in streams.read("a", backwards=backwards)]
        assert found == sorted(range(600), reverse=backwards)
        assert streams.owners.unanswered == 1


@pytest.mark.parametrize("what", ["read", "load"])
async def test_a_consistent_read_without_an_owner_is_refused_by_name(
    store: EventStore[Opened | Deposited], what: str
) -> None:
    """K15: the topic alone cannot promise it."""
    await store.append("a", deposits(1), expected=NO_STREAM)
    runtime: Any = Ownerless(store._running())
    store._streams = Streams("accounts", runtime)

    with pytest.raises(OwnerSilent, match="no owner of accounts"):
        await (
            store.load(Account, "a", consistent=True) if what == "load" else collect(store.read("a", consistent=True))
        )


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("count", [100, 600])
async def test_a_consistent_read_is_complete_though_the_local_index_is_behind(
    store: EventStore[Opened | Deposited], backwards: bool, count: int
) -> None:
    """K15: a process that lost the partition without knowing it still has an index, of an earlier moment."""
    for start in range(0, count, 100):
        await store.append("a", deposits(*range(start, start + 100)), expected=start - 1)
    behind: Any = Behind(store._running(), head=count // 2)
    streams: Reads = Streams("accounts", behind)

    found = [recorded.version async for recorded in streams.read("a", backwards=backwards, consistent=True)]

    assert found == sorted(range(count), reverse=backwards)


class Behind:
    """A runtime whose index ends at a version, as that of a former owner does."""

    def __init__(self, runtime: Any, head: int) -> None:
        self._runtime, self._head = runtime, head

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def index(self, processor: str, key: str) -> Any:
        """The index as it was."""
        whole, last = self._runtime.index(processor, key), self._head

        class Index:
            def head(self, stream: str) -> int:
                return last

            def read(self, stream: str, *, after: int, until: int | None, backwards: bool) -> Any:
                end = last if until is None else min(until, last)
                return whole.read(stream, after=after, until=end, backwards=backwards)

        return Index()


async def test_a_consistent_read_within_bounds(store: EventStore[Opened | Deposited], owner: Accounts) -> None:
    """They mean what they mean to any read."""
    await store.append("a", deposits(*range(10)), expected=NO_STREAM)
    now = (await collect(store.read("a")))[-1].timestamp

    async def found(**how: Any) -> list[int]:
        return [recorded.version async for recorded in store.read("a", consistent=True, **how)]

    assert await found(after=2, until=5) == [3, 4, 5]
    assert await found(backwards=True, limit=2) == [9, 8]
    assert await found(as_of=4, after=2) == [3, 4]
    assert await found(as_of=now, backwards=True, limit=1) == [9]
    assert await found(limit=0) == []
    assert [r.version async for r in store.read("none", consistent=True)] == []


async def test_a_hundred_events_of_the_local_index_cost_no_change_of_threads(
    store: EventStore[Opened | Deposited], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3: that is what keeps a load below a millisecond."""
    await store.append("a", deposits(*range(100)), expected=NO_STREAM)
    assert (await store.load(Account, "a")).cents == sum(range(100))

    def refuse(*_: object) -> None:
        raise AssertionError("it changed threads")

    monkeypatch.setattr("asyncio.to_thread", refuse)

    assert (await store.load(Account, "a")).cents == sum(range(100))
    assert len(await collect(store.read("a"))) == 100
