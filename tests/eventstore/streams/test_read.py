"""Reading streams: from the owner's index and straight from the topic, with equal results."""

from __future__ import annotations

import threading
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eventstore.bounds import PAGE_EVENTS
from eventstore.clock import SystemClock
from eventstore.errors import EventNotDeclared
from eventstore.expected import NO_STREAM
from eventstore.loading import load
from eventstore.reading import Streams
from eventstore.store import EventStore
from eventstore.streams import Recorded
from tests.eventstore.streams.accounts import Account, Deposited, Opened, accounts, collect, deposits
from tests.waiting import eventually_async

LARGE = (2**63 - 2, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1, 2**64, 10**30)
Accounts = EventStore[Opened | Deposited]
Reads = Streams[Opened | Deposited]


@pytest.fixture
async def filled(store: Accounts) -> Accounts:
    """Ten deposits in stream `a`, among those of others whose ids begin alike."""
    for cents in range(10):
        await store.append("a", deposits(cents), expected=cents - 1)
        await store.append("a/1", deposits(100), expected=cents - 1)
        await store.append("aa", deposits(200), expected=cents - 1)
    return store


@pytest.mark.parametrize(
    ("after", "until", "backwards", "limit", "versions"),
    [
        (None, None, False, None, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (None, None, True, None, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        (3, None, False, None, [4, 5, 6, 7, 8, 9]),
        (None, 3, False, None, [0, 1, 2, 3]),
        (2, 6, False, 2, [3, 4]),
        (2, 6, True, 2, [6, 5]),
        (2, 6, True, 20, [6, 5, 4, 3]),
        (9, None, False, None, []),
        (None, -1, False, None, []),
        (5, 2, True, None, []),
        (None, None, False, 0, []),
        (None, None, True, 0, []),
        (None, 99, True, 1, [9]),
        *[(None, large, backwards, 1, [9 * backwards]) for large in LARGE for backwards in (False, True)],
        *[(large, until, False, None, []) for large in LARGE for until in (None, 10**30)],
        (2**63 - 1, None, True, None, []),
        (-(10**30), 1, False, 10**30, [0, 1]),
        (None, -(10**30), False, None, []),
        (-7, -3, True, None, []),
    ],
)
async def test_a_read_returns_what_lies_within_its_bounds(
    filled: Accounts,
    streams: Reads,
    after: int | None,
    until: int | None,
    backwards: bool,
    limit: int | None,
    versions: list[int],
) -> None:
    """after < version ≤ until, in order or against it, at most `limit`."""
    found = await collect(streams.read("a", after=after, until=until, backwards=backwards, limit=limit))

    assert [(each.version, each.event) for each in found] == [(v, Deposited(cents=v)) for v in versions]


async def test_whatever_way_is_taken_tells_the_same(filled: Accounts, streams: Reads) -> None:
    """Also metadata, time and position."""
    assert await collect(streams.read("a")) == await collect(filled.read("a"))
    assert await collect(streams.read("a", backwards=True)) == await collect(filled.read("a", backwards=True))


async def test_no_stream_reads_as_nothing(store: Accounts, streams: Reads) -> None:
    """It is not an error."""
    assert await collect(streams.read("nowhere")) == []
    await store.append("a", deposits(1), expected=NO_STREAM)
    assert await collect(streams.read("nowhere", backwards=True)) == []


@pytest.mark.parametrize("backwards", [False, True])
async def test_long_streams_are_read_in_pages(store: Accounts, streams: Reads, backwards: bool) -> None:
    """None is lost or doubled between them."""
    count = 2 * PAGE_EVENTS
    for start in range(0, count, PAGE_EVENTS):
        await store.append("a", deposits(*range(start, start + PAGE_EVENTS)), expected=start - 1)

    versions = [recorded.version async for recorded in streams.read("a", backwards=backwards)]

    assert versions == sorted(range(count), reverse=backwards)


@pytest.mark.parametrize("bound", ["after", "until", "limit", "as_of"])
async def test_a_bound_of_another_type_is_refused_by_name(store: Accounts, bound: str) -> None:
    """Before anything is read."""
    wrong: dict[str, Any] = {bound: "2"}

    with pytest.raises(TypeError, match=rf"{bound}='2': give "):
        store.read("a", **wrong)


async def test_a_negative_limit_is_refused(store: Accounts) -> None:
    """It can only be a mistake."""
    with pytest.raises(ValueError, match="limit=-1"):
        store.read("a", limit=-1)


async def test_a_recorded_event_says_when_and_where(store: Accounts, streams: Reads) -> None:
    """Time in UTC, the stream, and the ids of its commit."""
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    appended = await store.append("a", deposits(1, 2), expected=NO_STREAM)

    first, second = await collect(streams.read("a"))

    assert before <= first.timestamp <= datetime.now(UTC)
    assert first.stream == "a"
    assert first.metadata.commit == second.metadata.commit != ""
    assert (first.metadata.index, second.metadata.index) == (0, 1)
    assert second.position == appended.position


async def test_a_recorded_event_is_printed_shortly(store: Accounts) -> None:
    """What people look for, without what the kernel keeps beside it; `help` says what each field is."""
    await store.append("a", deposits(7), expected=NO_STREAM)

    [first] = await collect(store.read("a"))

    assert str(first) == (
        "Recorded(stream='a', version=0, event=Deposited(cents=7), "
        f"timestamp={first.timestamp.isoformat(timespec='milliseconds')})"
    )
    assert [name for name in Recorded.__struct_fields__ if f"`{name}`: " not in (Recorded.__doc__ or "")] == []


async def test_load_folds_a_stream(store: Accounts, streams: Reads) -> None:
    """The aggregate knows its key and version."""
    await store.append("a", [Opened(owner="ann"), *deposits(1, 2)], expected=NO_STREAM)

    account = await load(streams, Account, "a", None)

    assert account == Account(owner="ann", cents=3)
    assert (account.key, account.version) == ("a", 2)


async def test_load_of_no_stream_gives_the_defaults(store: Accounts) -> None:
    """Its version is what an append of a new stream expects."""
    account = await store.load(Account, "a")

    assert account == Account()
    await store.append("a", deposits(1), expected=account.version)


async def test_load_as_of_a_version(store: Accounts, streams: Reads) -> None:
    """Later events do not count."""
    await store.append("a", deposits(1, 2, 3), expected=NO_STREAM)

    assert (await load(streams, Account, "a", 1)).cents == 3
    assert (await load(streams, Account, "a", 99)).cents == 6


@pytest.mark.parametrize("consistent", [False, True])
@pytest.mark.parametrize("large", [2**63 - 1, 2**63, 2**64, 10**30])
async def test_a_bound_beyond_all_versions_means_the_last_one(
    owner: Accounts, guest: Accounts, large: int, consistent: bool
) -> None:
    """At home and from elsewhere, also of a consistent read; one below them means that before the first."""
    await owner.append("a", deposits(1, 2), expected=NO_STREAM)

    for store in (owner, guest):
        how: Any = {"consistent": consistent}
        assert [each.version async for each in store.read("a", until=large, **how)] == [0, 1]
        assert [each.version async for each in store.read("a", as_of=large, backwards=True, **how)] == [1, 0]
        assert [each.version async for each in store.read("a", after=large, **how)] == []
        assert [each.version async for each in store.read("a", after=-large, limit=large, **how)] == [0, 1]
        assert [each.version async for each in store.read("a", until=-large, **how)] == []
        assert (await store.load(Account, "a", as_of=large, consistent=consistent)).cents == 3
        assert (await store.load(Account, "a", as_of=-large, consistent=consistent)).cents == 0


async def test_load_as_of_an_instant(store: Accounts, streams: Reads) -> None:
    """What was recorded later does not count."""
    await store.append("a", deposits(1), expected=NO_STREAM)
    (first,) = await collect(store.read("a"))

    assert (await load(streams, Account, "a", first.timestamp)).cents == 1
    assert (await load(streams, Account, "a", first.timestamp - timedelta(milliseconds=1))).cents == 0


@pytest.mark.parametrize("backwards", [False, True])
async def test_read_as_of_a_version(filled: Accounts, streams: Reads, backwards: bool) -> None:
    """S3: later events are not there, whatever else bounds the read."""
    assert await _versions(streams, as_of=4, after=2, backwards=backwards) == ([4, 3] if backwards else [3, 4])
    assert await _versions(streams, as_of=4, until=3, limit=2, backwards=backwards) == ([3, 2] if backwards else [0, 1])


@pytest.mark.parametrize("backwards", [False, True])
async def test_read_as_of_an_instant(store: Accounts, streams: Reads, backwards: bool) -> None:
    """S3: the stream as it was then, whatever else bounds the read."""
    await _at_instants(store, [100, 200, 200, 300, 400])

    def at(milliseconds: int) -> datetime:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)

    def ordered(*versions: int) -> list[int]:
        return sorted(versions, reverse=backwards)

    assert await _versions(streams, as_of=at(99), backwards=backwards) == []
    assert await _versions(streams, as_of=at(200), backwards=backwards) == ordered(0, 1, 2)
    assert await _versions(streams, as_of=at(399), after=0, backwards=backwards) == ordered(1, 2, 3)
    assert await _versions(streams, as_of=at(399), limit=1, backwards=backwards) == ([3] if backwards else [0])
    assert await _versions(streams, as_of=at(999), until=1, backwards=backwards) == ordered(0, 1)


@pytest.mark.parametrize(("after", "backwards"), [(None, False), (0, False), (2, False), (None, True)])
async def test_an_event_that_seems_earlier_than_its_predecessor_is_not_of_an_earlier_instant(
    store: Accounts, streams: Reads, after: int | None, backwards: bool
) -> None:
    """Owners' clocks differ: as of an instant ends before the first event that was recorded later."""
    await _at_instants(store, [100, 300, 200, 400])

    found = await _versions(streams, as_of=datetime.fromtimestamp(0.25, UTC), after=after, backwards=backwards)

    assert found == ([] if after is not None else [0])


async def _versions(streams: Reads, **how: Any) -> list[int]:
    return [recorded.version async for recorded in streams.read("a", **how)]


async def _at_instants(store: Accounts, instants_ms: list[int]) -> None:
    """One event at each, in stream `a`."""
    host = store._running().host
    clock = SystemClock()
    with pytest.MonkeyPatch.context() as patched:
        for version, instant_ms in enumerate(instants_ms):
            patched.setattr(host.clock, "now_ms", lambda instant_ms=instant_ms: instant_ms)
            await store.append("a", deposits(version), expected=version - 1)
        patched.setattr(host.clock, "now_ms", clock.now_ms)


async def test_an_instant_needs_a_time_zone(store: Accounts) -> None:
    """Else it would depend on the machine."""
    with pytest.raises(ValueError, match="time zone"):
        await store.load(Account, "a", as_of=datetime(2026, 1, 1))  # noqa: DTZ001 - what is tested


async def test_an_event_that_the_aggregate_does_not_know_is_named() -> None:
    """It would be folded wrongly."""
    from tests.eventstore.streams.accounts import Closed

    async with EventStore("closing", events=[Closed], log="memory://") as store:
        await store.append("a", [Closed()], expected=NO_STREAM)

        with pytest.raises(EventNotDeclared, match="account does not know the event Closed"):
            await store.load(Account, "a")


async def test_streams_outlive_the_process(tmp_path: object) -> None:
    """A store that is opened again continues its streams."""
    url = f"embedded://{tmp_path}"
    async with accounts(url) as store:
        await store.append("a", deposits(1), expected=NO_STREAM)

    async with accounts(url) as store:
        assert (await store.append("a", deposits(2), expected=0)).version == 1
        assert (await store.load(Account, "a")).cents == 3


async def test_a_read_that_is_left_early_leaves_no_thread(filled: Accounts, streams: Reads) -> None:
    """Closing the iterator is enough, and a cancelled reader closes it."""
    async with aclosing(streams.read("a")) as read:
        assert (await anext(read)).version == 0
    async with aclosing(streams.subscribe()) as everything:
        assert (await anext(everything)).version == 0

    await eventually_async(lambda: not any("sagalog-read" in thread.name for thread in threading.enumerate()))
