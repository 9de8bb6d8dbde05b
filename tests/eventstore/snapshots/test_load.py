"""E3: `store.load` goes on from snapshots, whichever way it reads, and has them kept."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from eventstore.aggregate import Aggregate, evolve, processor_of
from eventstore.expected import ANY
from eventstore.hosting import Hosting
from eventstore.loading import load
from eventstore.log.memory import discard
from eventstore.log.records import Record
from eventstore.processor.counts import EntityCounts
from eventstore.processor.erasure import Erasure, encode_erasure, erasure_key
from eventstore.processor.index import StreamIndex, event_row, head_row
from eventstore.processor.pages import read_page
from eventstore.processor.snapshots import (
    Snapshot,
    Snapshots,
    Wanted,
    decode_snapshot,
    encode_snapshot,
    snapshot_key,
)
from eventstore.processor.snapshotting import OfferSnapshot, SnapshotOffered
from eventstore.reading import Streams
from eventstore.state.memory import MemoryState
from eventstore.state.port import State
from tests.eventstore.processor.counters import records_of
from tests.eventstore.snapshots.ledgers import Ledger, fill, loaded
from tests.eventstore.streams.accounts import Deposited, Opened, accounts
from tests.eventstore.streams.conftest import Elsewhere, Ownerless
from tests.eventstore.streams.hosts import Accounts, hosting, store_named


@pytest.fixture
async def store() -> AsyncIterator[Accounts]:
    """A store that runs alone on memory."""
    async with accounts() as running:
        yield running


@pytest.fixture(params=["index", "owner"])
def streams(store: Accounts, request: pytest.FixtureRequest) -> Any:
    """Reads of the store by a process that owns the stream, and by one that asks the owner."""
    running = store._running()
    runtime: Any = running if request.param == "index" else Elsewhere(running)
    return Streams[Any]("accounts", runtime)


@pytest.mark.parametrize("consistent", [False, True])
async def test_a_load_goes_on_from_what_an_earlier_one_folded(store: Accounts, streams: Any, consistent: bool) -> None:
    """The first folds all and has the snapshot kept, the next only what came after it."""
    await fill(store, 700)
    assert await loaded(streams, consistent=consistent) == (700, 699, 700)
    assert await loaded(streams, consistent=consistent) == (700, 699, 0)

    await fill(store, 30)

    assert await loaded(streams, consistent=consistent) == (730, 729, 30)
    await fill(store, 100)
    assert await loaded(streams, consistent=consistent) == (830, 829, 130)
    assert await loaded(streams, consistent=consistent) == (830, 829, 0)


async def test_the_owner_answers_with_the_snapshot_first(store: Accounts) -> None:
    """One question for a stream of three pages, also where a commit comes first."""
    await fill(store, 700)
    runtime: Any = Elsewhere(store._running())
    streams: Any = Streams[Any]("accounts", runtime)
    await loaded(streams)

    for consistent in (False, True):
        runtime.asked = 0
        assert await loaded(streams, consistent=consistent) == (700, 699, 0)
        assert runtime.asked == 1


async def test_a_short_stream_has_none(store: Accounts, streams: Any) -> None:
    """The policy counts from the last snapshot, or from the beginning."""
    await fill(store, 99)

    assert [await loaded(streams), await loaded(streams)] == [(99, 98, 99)] * 2


async def test_the_past_is_not_read_from_a_later_snapshot(store: Accounts, streams: Any) -> None:
    """`as_of` a version before the snapshot's folds from the beginning; at it or later, from the snapshot on."""
    before = datetime.now(UTC) - timedelta(seconds=1)
    await fill(store, 150)
    await loaded(streams)
    await fill(store, 20)

    assert await loaded(streams, as_of=148) == (149, 148, 149)
    assert await loaded(streams, as_of=149) == (150, 149, 0)
    assert await loaded(streams, as_of=151) == (152, 151, 2)
    assert await loaded(streams, as_of=before) == (0, -1, 0)
    assert await loaded(streams, as_of=datetime.now(UTC)) == (170, 169, 170)


async def test_truncated_and_deleted_streams(store: Accounts, streams: Any) -> None:
    """E2: behind the snapshot nothing changes; beyond it, and for a deleted stream, the snapshot is gone."""
    await fill(store, 150)
    await loaded(streams)
    await fill(store, 10)

    await store.truncate("a", before=150, expected=ANY)
    assert await loaded(streams) == (160, 159, 10)
    await store.truncate("a", before=155, expected=ANY)
    assert await loaded(streams) == (5, 159, 5)
    await store.delete("a", expected=ANY)
    assert await loaded(streams) == (0, -1, 0)
    await fill(store, 3)
    assert await loaded(streams) == (3, 162, 3)


@pytest.mark.parametrize("reason", ["stale", "corrupt"])
async def test_one_that_cannot_be_used_is_ignored_counted_and_replaced(
    store: Accounts, streams: Any, reason: str
) -> None:
    """E3: of other code, or damaged. A store's snapshots come after their events, and are as little a truth."""
    await fill(store, 150)
    await loaded(streams)
    state = state_of_a(store)
    row = state.get(KEY)
    assert row is not None
    kept = decode_snapshot(row)
    assert kept is not None
    state.write([(KEY, encode_snapshot(kept._replace(fingerprint=b"other")) if reason == "stale" else row[:-1] + b"!")])

    assert await loaded(streams) == (150, 149, 150)
    hosting = store._running()
    assert isinstance(hosting, Hosting)
    counted = hosting.metrics()[f"unit {store.name}"]
    assert counted[f'processor_snapshots_ignored_total{{reason="{reason}"}}'] == 1
    assert await loaded(streams) == (150, 149, 0)


async def test_a_deletion_leaves_a_tombstone_of_it_in_the_log(store: Accounts, streams: Any) -> None:
    """E2, E3: so that its bytes go when the topic is compacted, and no successor restores it."""
    await fill(store, 150)
    await loaded(streams)
    assert [record.value is None for record in kept_of_a(store)] == [False]

    await store.delete("a", expected=ANY)

    assert [record.value is None for record in kept_of_a(store)] == [False, True]


KEY = snapshot_key(b"a", "ledger")


def state_of_a(store: Accounts) -> State:
    """The owner's rows, where the snapshot of stream `a` is."""
    hosting = store._running()
    assert isinstance(hosting, Hosting)
    unit = hosting._current_unit()
    assert unit is not None
    states = [one.state for one in unit._served.partitions.values()]
    return next(state for state in states if state.get(KEY))


def kept_of_a(store: Accounts) -> list[Record]:
    """The records of its snapshots."""
    log = store._running().host.log
    return [record for record in records_of(log, f"{store.name}.state") if record.key == KEY]


class Erased(Streams[Any]):
    """Reads of several pages, and before the last of them the stream is erased, once."""

    def __init__(self, of: Streams[Any], erase: Callable[[], Awaitable[object]], pages: int) -> None:
        super().__init__(of.name, of._runtime)
        self._erase, self._left = erase, pages

    async def _made(self, *arguments: Any, **options: Any) -> Any:
        self._left -= 1
        if not self._left:
            await self._erase()
        return await super()._made(*arguments, **options)


@pytest.mark.parametrize("consistent", [False, True])
@pytest.mark.parametrize(("before", "folded"), [(None, (0, -1)), (600, (100, 699))], ids=["delete", "truncate"])
async def test_a_stream_that_is_erased_while_it_is_loaded_is_loaded_anew(
    store: Accounts, streams: Any, before: int | None, folded: tuple[int, int], consistent: bool
) -> None:
    """E2: what was folded of the first page says nothing of a stream that there ever was."""
    await fill(store, 700)

    async def erase() -> None:
        if before is None:
            await store.delete("a", expected=ANY)
        else:
            await store.truncate("a", before=before, expected=ANY)

    found = await load(Erased(streams, erase, 1 if consistent else 2), Ledger, "a", None, consistent=consistent)

    assert (found.cents, found.version) == folded


async def test_without_an_owner_the_topic_is_folded(store: Accounts) -> None:
    """It has no snapshots, and nobody is there to keep one."""
    await fill(store, 150)
    await store.load(Ledger, "a")
    runtime: Any = Ownerless(store._running())

    assert await loaded(Streams[Any]("accounts", runtime)) == (150, 149, 150)
    assert runtime.asked == 1


async def test_snapshots_outlive_the_state_folder(tmp_path: Path) -> None:
    """On the embedded engine, with RocksDB: after a restart, and with the folder deleted, when the topic tells them."""
    url = f"embedded://{tmp_path}/log"
    async with accounts(url) as store:
        await fill(store, 150)
        await store.load(Ledger, "a")

    for deleted in (False, True):
        if deleted:
            shutil.rmtree(tmp_path / "log" / "state")
        async with accounts(url) as store:
            assert await loaded(store._reader()) == (150, 149, 0)


async def test_an_offer_is_kept_only_if_the_stream_goes_on_from_it(store: Accounts) -> None:
    """Not beyond the stream's end, not an older one, none of what was deleted since: who offers may be late."""
    form = processor_of(Ledger).snapshots
    assert form is not None
    await fill(store, 20)

    async def offer(version: int, fingerprint: bytes = b"f" * 16) -> bool:
        message = OfferSnapshot(aggregate="ledger", version=version, fingerprint=fingerprint, state=b"{}")
        answer, _ = await store._running().ask_positioned("accounts", "a", message)
        assert isinstance(answer, SnapshotOffered)
        return answer.is_kept

    assert [await offer(version) for version in (20, 10, 10, 9, 11, 19)] == [False, True, False, False, True, True]
    assert [await offer(version, b"g" * 16) for version in (18, 19, 19)] == [False, True, False]
    await store.truncate("a", before=21, expected=ANY)
    assert [await offer(version) for version in (18, 19, 20)] == [False, False, False]
    await fill(store, 5)
    await store.truncate("a", before=22, expected=ANY)
    assert [await offer(20), await offer(21)] == [False, True]


async def test_a_large_snapshot_leaves_the_next_event_where_it_is(unique: Callable[[str], str]) -> None:
    """An answer holds no more than a record: what does not fit beside the snapshot is read from the topic."""
    name = unique("large")
    url = f"memory://{name}?message_max_bytes=100000"

    class Hoard(Aggregate[Opened | Deposited], name="hoard", snapshot=Snapshots(every=1)):
        names: str = ""

        @evolve
        def opened(self, event: Opened) -> None:
            self.names += event.owner

        @evolve
        def deposited(self, event: Deposited) -> None: ...

    owner, guest = store_named("accounts"), store_named("accounts")
    async with hosting(owner, url), hosting(guest, url, slot="guest", owns=False):
        await guest.append("a", [Opened(owner="x" * 90_000)], expected=ANY)
        await guest.load(Hoard, "a")
        await owner.append("a", [Opened(owner="y" * 60_000), Deposited(cents=1)], expected=ANY)

        found = await guest.load(Hoard, "a")

        assert found.names == "x" * 90_000 + "y" * 60_000
        assert found.version == 2
        assert guest._reader().owners.unanswered == 0
    discard(name)


@pytest.mark.parametrize("kept", [0, 2])
def test_an_erasure_within_a_page_is_noticed(kept: int) -> None:
    """Read between a snapshot and the rows after it: both together are what the stream was, or the snapshot is not
    used."""
    state, wanted = MemoryState(), Wanted("it", b"f" * 16)
    state.write([event_row(b"a", version, 0, version, b"", b"") for version in range(10)])
    state.write([head_row(b"a", 9), (snapshot_key(b"a", "it"), encode_snapshot(Snapshot(4, b"f" * 16, b"{}")))])

    class Erased(StreamIndex):
        def snapshot(self, stream: str, wanted: Wanted, until: int | None) -> Snapshot | None:
            found = super().snapshot(stream, wanted, until)
            erased = Erasure(first=10 - kept, head=9)
            state.write([(erasure_key(b"a"), encode_erasure(erased)), (snapshot_key(b"a", "it"), None)])
            return found

    page = read_page(
        Erased(state, EntityCounts()), "a", after=-1, until=None, backwards=False, events=100, page_bytes=9_999,
        wanted=wanted,
    )  # fmt: skip

    assert page.snapshot is None
    assert [row.version for row in page.rows] == list(range(10 - kept, 10))
