"""Deleting and truncating streams."""

from __future__ import annotations

from datetime import timedelta

import pytest

from eventstore.errors import CommitIdReused, ErasureRefused, NotRunning, WrongExpectedVersion
from eventstore.expected import ANY, NO_STREAM, STREAM_EXISTS
from eventstore.hosting import Hosting
from eventstore.log.local.log import LocalLog
from eventstore.log.records import Record, TopicPartition
from eventstore.processor.tombstones import TOMBSTONES_AT_ONCE
from eventstore.reading import Streams
from eventstore.store import EventStore
from eventstore.streams import Erased
from tests.eventstore.streams.accounts import Account, Deposited, Opened, accounts, collect, deposits
from tests.waiting import eventually_async

Accounts = EventStore[Opened | Deposited]


async def test_a_deleted_stream_has_no_events(store: Accounts, streams: Streams[Opened | Deposited]) -> None:
    """E2: from its deletion on no read shows them; other streams are as they were."""
    await store.append("a", deposits(1, 2), expected=NO_STREAM)
    await store.append("a/1", deposits(3), expected=NO_STREAM)

    erased = await store.delete("a", expected=1)

    assert erased == Erased(events=2, first=2)
    assert await collect(streams.read("a")) == await collect(streams.read("a", backwards=True)) == []
    assert [r.stream async for r in streams.subscribe(until_end=True)] == ["a/1"]
    assert len(await collect(streams.read("a/1"))) == 1


async def test_a_truncated_stream_begins_later(store: Accounts, streams: Streams[Opened | Deposited]) -> None:
    """E2: events below the version are gone for every way of reading, the others keep their versions."""
    await store.append("a", deposits(1, 2, 3, 4), expected=NO_STREAM)

    erased = await store.truncate("a", before=2, expected=ANY)

    assert erased == Erased(events=2, first=2)
    for read in (streams.read("a"), streams.read("a", after=0), streams.subscribe(until_end=True)):
        assert [r.version async for r in read] == [2, 3]
    assert [r.version async for r in streams.read("a", backwards=True)] == [3, 2]
    assert [r.version async for r in streams.read("a", backwards=True, limit=3)] == [3, 2]
    assert [r.version async for r in streams.read("a", until=2)] == [2]


async def test_versions_of_a_deleted_stream_are_not_used_again(store: Accounts) -> None:
    """E2: NO_STREAM fits it, a version or STREAM_EXISTS does not, and its next event goes on counting."""
    await store.append("a", deposits(1, 2), expected=NO_STREAM)
    await store.delete("a", expected=ANY)

    for expected in (1, STREAM_EXISTS):
        with pytest.raises(WrongExpectedVersion) as lost:
            await store.append("a", deposits(3), expected=expected)
        assert lost.value.actual is NO_STREAM
    again = await store.append("a", deposits(3), expected=NO_STREAM)

    assert again.version == 2
    assert [r.version async for r in store.read("a")] == [2]
    with pytest.raises(WrongExpectedVersion):
        await store.append("a", deposits(4), expected=NO_STREAM)


async def test_erasing_takes_what_it_expects(store: Accounts) -> None:
    """The loser of a race learns where the stream is, and nothing is erased."""
    await store.append("a", deposits(1, 2), expected=NO_STREAM)

    with pytest.raises(WrongExpectedVersion) as lost:
        await store.delete("a", expected=0)
    with pytest.raises(WrongExpectedVersion):
        await store.truncate("a", before=1, expected=NO_STREAM)

    assert lost.value.actual == 1
    assert len(await collect(store.read("a"))) == 2


async def test_what_is_erased_stays_erased(store: Accounts) -> None:
    """A second deletion, a truncation before the first kept event, and one beyond the end."""
    await store.append("a", deposits(1, 2, 3), expected=NO_STREAM)
    await store.truncate("a", before=2, expected=ANY)

    assert await store.truncate("a", before=1, expected=ANY) == Erased(events=0, first=2)
    assert await store.truncate("a", before=9, expected=ANY) == Erased(events=1, first=3)
    assert await store.delete("a", expected=NO_STREAM) == Erased(events=0, first=3)
    assert await store.delete("never", expected=ANY) == Erased(events=0, first=0)


async def test_a_repeat_under_a_commit_id_erases_once(store: Accounts) -> None:
    """E1, K8: the first result comes back, and what was appended since stays."""
    await store.append("a", deposits(1, 2), expected=NO_STREAM, commit_id="append")
    first = await store.delete("a", expected=1, commit_id="c")
    await store.append("a", deposits(3), expected=NO_STREAM)

    assert await store.delete("a", expected=1, commit_id="c") == first
    assert len(await collect(store.read("a"))) == 1
    with pytest.raises(CommitIdReused):
        await store.truncate("a", before=3, expected=ANY, commit_id="c")
    with pytest.raises(CommitIdReused):
        await store.delete("a", expected=ANY, commit_id="append")


async def test_an_aggregate_is_folded_from_the_first_kept_event(
    store: Accounts, streams: Streams[Opened | Deposited]
) -> None:
    """A truncation loses what earlier events said."""
    await store.append("a", [Opened(owner="ann"), *deposits(1, 2)], expected=NO_STREAM)
    await store.truncate("a", before=2, expected=ANY)

    loaded = await store.load(Account, "a")

    assert (loaded.owner, loaded.cents) == ("", 2)


async def test_tombstones_follow_for_erased_events_only(store: Accounts) -> None:
    """E2: in batches, until every key below the first kept version has one; the owner's rows go with them."""
    count = TOMBSTONES_AT_ONCE + 100
    await store.append("a", deposits(*range(count)), expected=NO_STREAM)
    await store.append("a", deposits(0), expected=ANY)
    await store.append("b", deposits(1), expected=NO_STREAM)
    await store.truncate("a", before=count, expected=ANY)

    await settled(store)

    tombstones = [record.key for record in records_of(store) if record.value is None]
    assert tombstones == [b"a/%d" % version for version in range(count)]
    index = store._running().index(store.name, "a")
    assert index is not None
    assert [stored.version for stored in index.rows("a", 0)] == [count]


async def test_positions_are_right_beside_tombstones(store: Accounts) -> None:
    """An event that is committed together with tombstones knows its own offset."""
    await store.append("a", deposits(*range(900)), expected=NO_STREAM)
    partition = 0
    for number in range(30):
        await store.truncate("a", before=number * 30, expected=ANY)
        await store.append("a", deposits(number), expected=ANY)

    await settled(store)

    offsets = {r.key: r.offset for r in records_of(store) if r.value is not None}
    async for recorded in store.read("a"):
        ((partition, offset),) = recorded.position.offsets
        assert offset == offsets[b"a/%d" % recorded.version] + 1, partition


async def settled(store: Accounts) -> None:
    """Wait until every tombstone is written."""
    hosting = store._running()
    assert isinstance(hosting, Hosting)
    await eventually_async(lambda: not hosting.busy_loop())


def records_of(store: Accounts) -> list[Record]:
    """What the log holds of the store's events."""
    log, records = store._running().host.log, list[Record]()
    count = log.describe([store.topic])[store.topic].partitions
    ends = log.end_positions([TopicPartition(store.topic, number) for number in range(count)])
    reader = log.reader(dict.fromkeys(ends, 0), isolation="uncommitted")
    try:
        while any(reader.position(at) < end for at, end in ends.items()):
            records += reader.read(1_000, 1.0)
    finally:
        reader.close()
    return records


async def test_a_subscription_resumes_where_events_were_erased(store: Accounts) -> None:
    """A position among erased events is as good as any: nothing that is kept was lost."""
    await store.append("a", deposits(1, 2, 3), expected=NO_STREAM)
    first = (await collect(store.subscribe(until_end=True)))[0].position
    await store.truncate("a", before=2, expected=ANY)
    await settled(store)
    log = store._running().host.log
    assert isinstance(log, LocalLog)
    for _ in range(2):
        log.compact(tombstone_age=timedelta())

    assert [recorded.version async for recorded in store.subscribe(after=first, until_end=True)] == [2]


async def test_a_store_that_keeps_for_ever_refuses_by_name() -> None:
    """S7: with retention="forever" nothing is erased."""
    store = EventStore[Opened | Deposited]("ledger", events=[Opened, Deposited], log="memory://", retention="forever")
    async with store:
        await store.append("a", deposits(1), expected=NO_STREAM)

        with pytest.raises(ErasureRefused, match='the store ledger has retention="forever"'):
            await store.delete("a", expected=ANY)
        with pytest.raises(ErasureRefused):
            await store.truncate("a", before=1, expected=ANY)

        assert len(await collect(store.read("a"))) == 1


async def test_what_cannot_be_erased(store: Accounts) -> None:
    """Named before anything is sent."""
    with pytest.raises(ValueError, match="before=-1 is no version"):
        await store.truncate("a", before=-1, expected=ANY)
    with pytest.raises(ValueError, match="stream id"):
        await store.delete("", expected=ANY)
    with pytest.raises(ValueError, match="empty commit id"):
        await store.delete("a", expected=ANY, commit_id="")
    with pytest.raises(NotRunning):
        await accounts().delete("a", expected=ANY)
