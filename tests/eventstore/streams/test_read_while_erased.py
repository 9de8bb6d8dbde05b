"""What a read of several pages shows of a stream that is erased between two of them (E2, K15)."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from eventstore.bounds import PAGE_EVENTS
from eventstore.expected import ANY
from eventstore.processor.index import StoredEvent
from eventstore.reading import FIRST_EVENTS
from eventstore.store import EventStore
from eventstore.topic_reading import TopicStream
from tests.eventstore.streams.accounts import Account, Deposited, Opened, deposits
from tests.eventstore.streams.conftest import LIMIT
from tests.eventstore.streams.hosts import Accounts as Shared
from tests.waiting import eventually

Accounts = EventStore[Opened | Deposited]
HEAD = 3 * PAGE_EVENTS - 1


@pytest.fixture
async def filled(store: Accounts) -> Accounts:
    """Three pages of events in stream `a`."""
    for page in range(3):
        await store.append("a", deposits(*range(page * PAGE_EVENTS, (page + 1) * PAGE_EVENTS)), expected=ANY)
    return store


async def read_and_erase(
    store: Accounts, *, before: int | None, backwards: bool = False, consistent: bool = False
) -> list[int]:
    """The versions that a read shows if, after its first event, the stream is erased and one more event appended."""
    versions = list[int]()
    async with aclosing(store.read("a", backwards=backwards, consistent=consistent)) as events:
        async for recorded in events:
            if not versions:
                if before is None:
                    await store.delete("a", expected=ANY)
                else:
                    await store.truncate("a", before=before, expected=ANY)
                await store.append("a", deposits(1), expected=ANY)
            versions.append(recorded.version)
    return versions


FIRST_PAGE = list(range(FIRST_EVENTS))
FIRST_CONSISTENT_PAGE = list(range(PAGE_EVENTS))


async def test_the_page_under_way_is_shown_and_later_pages_are_as_the_stream_is_then(filled: Accounts) -> None:
    """Nothing is shown that was erased before its page was read; what is appended meanwhile is shown."""
    assert await read_and_erase(filled, before=None) == [*FIRST_PAGE, HEAD + 1]


async def test_a_truncation_between_two_pages_leaves_a_gap(filled: Accounts) -> None:
    """Versions rise, and need not follow each other."""
    before = 2 * PAGE_EVENTS + 5

    assert await read_and_erase(filled, before=before) == [*FIRST_PAGE, *range(before, HEAD + 2)]


async def test_a_consistent_read_goes_to_where_the_stream_ended_and_lacks_what_was_erased(filled: Accounts) -> None:
    """K15: nothing that was appended after its moment; what was erased meanwhile is missing all the same."""
    before = 2 * PAGE_EVENTS + 5

    assert await read_and_erase(filled, before=before, consistent=True) == [
        *FIRST_CONSISTENT_PAGE,
        *range(before, HEAD + 1),
    ]


async def test_a_consistent_read_of_a_stream_that_is_deleted_ends_with_its_page(filled: Accounts) -> None:
    """It is not told: the events that it had not come to are gone."""
    assert await read_and_erase(filled, before=None, consistent=True) == FIRST_CONSISTENT_PAGE


async def test_a_read_backwards_ends_early_when_the_stream_is_erased(filled: Accounts) -> None:
    """What comes before its page is gone; what is appended meanwhile lies behind it."""
    last_page = list(range(HEAD, HEAD - FIRST_EVENTS, -1))

    assert await read_and_erase(filled, before=HEAD - 10, backwards=True) == last_page


LARGE = "x" * (LIMIT - 1_300)
"""The owner answers with the place of an event with this; who asks reads it there."""


def erase_before_it_is_read(owner: Shared, before: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first event that is read at its place be gone from the log just before, with those below a version."""
    loop, real, log = asyncio.get_running_loop(), TopicStream.at, owner._running().host.log
    local: Any = log

    async def erase() -> None:
        if before is None:
            await owner.delete("a", expected=ANY)
        else:
            await owner.truncate("a", before=before, expected=ANY)

    def at(stream: TopicStream, offset: int) -> list[StoredEvent]:
        monkeypatch.setattr(TopicStream, "at", real)
        asyncio.run_coroutine_threadsafe(erase(), loop).result(10)

        def is_gone() -> bool:
            local.compact(owner.topic)
            return not real(stream, offset)

        eventually(is_gone, 10)
        return real(stream, offset)

    monkeypatch.setattr(TopicStream, "at", at)


@pytest.mark.parametrize("consistent", [False, True])
@pytest.mark.parametrize(
    ("before", "backwards", "versions"),
    [(None, False, [0]), (2, False, [0, 2, 3]), (None, True, [3, 2]), (2, True, [3, 2])],
)
async def test_a_large_event_that_goes_before_it_is_read_where_it_stands_is_missing(
    owner: Shared, guest: Shared, monkeypatch: pytest.MonkeyPatch,
    consistent: bool, before: int | None, backwards: bool, versions: list[int],
) -> None:  # fmt: skip
    """The owner's answer and the read of the place it names are two moments; the read goes on behind it."""
    for version, name in enumerate(["ann", LARGE, "y" * 40_000, "z" * 40_000]):
        await owner.append("a", [Opened(owner=name)], expected=version - 1)
    erase_before_it_is_read(owner, before, monkeypatch)

    assert [each.version async for each in guest.read("a", backwards=backwards, consistent=consistent)] == versions


@pytest.mark.parametrize("consistent", [False, True])
@pytest.mark.parametrize("before", [None, 1])
async def test_a_read_that_begins_with_such_an_event_shows_what_is_left(
    owner: Shared, guest: Shared, monkeypatch: pytest.MonkeyPatch, consistent: bool, before: int | None
) -> None:
    """Of a deleted stream nothing; a load folds what is kept."""
    await owner.append("a", [Opened(owner=LARGE)], expected=ANY)
    await owner.append("a", deposits(1, 2), expected=ANY)
    erase_before_it_is_read(owner, before, monkeypatch)

    assert (await guest.load(Account, "a", consistent=consistent)).cents == (0 if before is None else 3)
    assert len([each async for each in guest.read("a", consistent=consistent)]) == (0 if before is None else 2)
