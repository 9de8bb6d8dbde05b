"""Imports: repeats, conflicts, who takes the events, what is kept (S15)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from eventstore.expected import ANY, NO_STREAM
from eventstore.log import open_log
from eventstore.log.partition import partition_of
from eventstore.log.records import Headers
from eventstore.processor.importing import ImportEvents
from eventstore.registry import TopicRegistry
from eventstore.store import EventStore
from eventstore.transfer import ImportConflict, StoreNotServed, export_streams, import_streams
from schemas import Event, Incompatible, Metadata
from tests.eventstore.streams.accounts import Deposited, Opened, accounts, collect, deposits

Accounts = EventStore[Opened | Deposited]


@pytest.fixture
def url(unique: Callable[[str], str]) -> str:
    """A log in memory that has a name."""
    return f"memory://{unique('log')}"


@pytest.fixture
def target(unique: Callable[[str], str]) -> str:
    """Another one."""
    return f"memory://{unique('target')}"


@pytest.fixture
async def filled(url: str) -> AsyncIterator[Accounts]:
    """A store with three streams."""
    async with accounts(url, partitions=3) as running:
        await running.append("a", deposits(*range(10)), expected=NO_STREAM)
        await running.append("b", [Opened(owner="Ann"), *deposits(1, 2)], expected=NO_STREAM)
        await running.append("c", deposits(5), expected=NO_STREAM)
        yield running


@pytest.fixture
def file(filled: Accounts, url: str, tmp_path: Path) -> Path:
    """Its export."""
    export_streams(url, "accounts", tmp_path / "all.jsonl")
    return tmp_path / "all.jsonl"


async def test_a_repeat_adds_nothing(file: Path, target: str) -> None:
    """S15: everything is there, which is said; the target is as before."""
    first = await import_streams(target, "accounts", file, serve_as="accounts")
    end = open_log(target).end_positions(_partitions(target))

    again = await import_streams(target, "accounts", file, serve_as="accounts")

    assert (first.added, first.skipped) == (14, 0)
    assert (again.added, again.skipped) == (0, 14)
    assert open_log(target).end_positions(_partitions(target)) == end


async def test_an_interrupted_import_goes_on(
    file: Path, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S15: it stopped in the midst of a stream; the next one adds the rest, also with other parts."""
    monkeypatch.setattr("eventstore.transfer.importing.WINDOW_EVENTS", 4)
    monkeypatch.setattr("eventstore.transfer.importing.CHUNK_EVENTS", 3)

    def stop(_: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        await import_streams(target, "accounts", file, serve_as="accounts", progress=stop)
    monkeypatch.setattr("eventstore.transfer.importing.CHUNK_EVENTS", 1000)
    monkeypatch.setattr("eventstore.transfer.importing.WINDOW_EVENTS", 1000)
    rest = await import_streams(target, "accounts", file, serve_as="accounts")

    assert (rest.added, rest.skipped) == (10, 4)
    assert export_streams(target, "accounts", tmp_path / "back").checksum == rest.checksum


async def test_another_event_in_the_target_is_named(file: Path, target: str) -> None:
    """S15: stream and version of the first event that differs; a dry run says so, too."""
    async with accounts(target) as other:
        await other.append("b", [Opened(owner="Ann")], expected=NO_STREAM)

    for dry_run in (True, False):
        with pytest.raises(ImportConflict, match="another event") as conflict:
            await import_streams(target, "accounts", file, serve_as="accounts", dry_run=dry_run)
        assert (conflict.value.stream, conflict.value.version) == ("b", 0)


async def test_a_gap_is_named(filled: Accounts, url: str, target: str, tmp_path: Path) -> None:
    """The file goes on where an earlier one ended, which the target has not seen."""
    after = export_streams(url, "accounts", tmp_path / "first").position
    await filled.append("a", deposits(1), expected=9)
    export_streams(url, "accounts", tmp_path / "second", after=after)

    for dry_run in (True, False):
        with pytest.raises(ImportConflict, match="no such stream") as conflict:
            await import_streams(target, "accounts", tmp_path / "second", serve_as="accounts", dry_run=dry_run)
        assert (conflict.value.stream, conflict.value.version) == ("a", 10)


async def test_what_the_target_erased_is_not_brought_back(file: Path, target: str) -> None:
    """E2: versions are not used again."""
    await import_streams(target, "accounts", file, serve_as="accounts")
    async with accounts(target) as other:
        await other.truncate("a", before=4, expected=ANY)

    with pytest.raises(ImportConflict, match="erased its versions below 4"):
        await import_streams(target, "accounts", file, serve_as="accounts")


async def test_a_dry_run_writes_nothing(file: Path, target: str, url: str) -> None:
    """It says what an import would do, where nothing, a part or all is there."""
    async with accounts(target) as other:
        dry = await import_streams(target, "accounts", file, dry_run=True)
        assert (dry.added, dry.skipped) == (14, 0)
        assert await collect(other.read("a")) == []

    await import_streams(target, "accounts", file, serve_as="accounts")
    dry = await import_streams(target, "accounts", file, serve_as="accounts", dry_run=True)
    assert (dry.added, dry.skipped) == (0, 14)


async def test_a_dry_run_makes_no_store(file: Path, target: str) -> None:
    """There is none: everything would be added."""
    open_log(target)

    dry = await import_streams(target, "accounts", file, serve_as="accounts", dry_run=True)

    assert dry.added == 14
    assert "accounts.events" not in open_log(target).describe()


async def test_a_dry_run_makes_no_log(file: Path, tmp_path: Path) -> None:
    """A new embedded log is not there: everything would be added, and the folder is as it was."""
    folder = tmp_path / "new"

    dry = await import_streams(f"embedded://{folder}", "accounts", file, serve_as="accounts", dry_run=True)

    assert (dry.added, dry.skipped) == (14, 0)
    assert not folder.exists()


@pytest.mark.parametrize("dry_run", [False, True])
async def test_where_no_log_is_the_error_names_what_makes_one(file: Path, tmp_path: Path, dry_run: bool) -> None:
    """Without `--serve-as` a log is not made: the URL may be mistyped; a dry run says what the import will say."""
    folder = tmp_path / "new"

    with pytest.raises(StoreNotServed, match=f"no log in {folder}: correct the URL.*--serve-as.*makes the log"):
        await import_streams(f"embedded://{folder}", "accounts", file, dry_run=dry_run)
    assert not folder.exists()


async def test_a_running_owner_takes_the_events(file: Path, target: str) -> None:
    """Over the log, as from any process; it serves them at once, and goes on from there."""
    async with accounts(target) as other:
        done = await import_streams(target, "accounts", file)

        assert done.added == 14
        assert [r.version async for r in other.read("a")] == list(range(10))
        assert (await other.append("a", deposits(1), expected=9)).version == 10


async def test_nobody_is_waited_for_in_vain(file: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No store, or one that no process serves: the error says what to do."""
    open_log(target)
    with pytest.raises(StoreNotServed, match="--serve-as"):
        await import_streams(target, "accounts", file)

    async with accounts(target):
        pass
    monkeypatch.setattr("eventstore.transfer.serving._ATTEMPTS", 1)
    with pytest.raises(StoreNotServed, match="--serve-as"):
        await import_streams(target, "accounts", file)


async def test_a_truncated_stream_begins_where_it_did(filled: Accounts, url: str, target: str, tmp_path: Path) -> None:
    """E2: no version is made up for what was erased, also after a restore from the topic; the stream goes on."""
    await filled.truncate("a", before=7, expected=ANY)
    export_streams(url, "accounts", tmp_path / "all")

    await import_streams(target, "accounts", tmp_path / "all", serve_as="accounts")

    for _ in range(2):
        async with accounts(target) as other:
            assert [r.version async for r in other.read("a")][:3] == [7, 8, 9]
            last = [r.version async for r in other.read("a")][-1]
            assert (await other.append("a", deposits(1), expected=last)).version == last + 1
            assert [r.stream async for r in other.subscribe(until_end=True, prefix="a")].count("a") == last - 7 + 2


async def test_a_begun_stream_is_known_within_its_batch(target: str) -> None:
    """Two imports of a stream that begins at version 3, in one transaction, and between them one that fails."""

    def sent(number: int, first: int, *values: bytes) -> tuple[bytes, Headers]:
        message = ImportEvents(
            first=first, begins=first == 3, timestamps_ms=[7] * len(values), metas=[b'{"v":1,"id":"x"}'] * len(values),
            values=list(values),
        )  # fmt: skip
        return serde.encode(message), (("meta", Metadata(id=f"i{number}", type="sagalog.import").encode()),)

    async with accounts(target, partitions=1) as other:
        serde = other._running().host.serde
        value = serde.encode(Deposited(cents=1))
        inputs = [sent(1, 3, value, value), sent(2, 5, b"\0nonsense"), sent(3, 5, value)]
    producer = open_log(target).producer()
    for data, headers in inputs:
        producer.produce("accounts.inbox", 0, b"a", data, headers)
    producer.close()

    async with accounts(target) as other:
        await other.append("b", deposits(1), expected=NO_STREAM)
        assert [r.version async for r in other.read("a")] == [3, 4, 5]


async def test_schemas_are_registered_in_the_order_they_had(url: str, target: str, tmp_path: Path) -> None:
    """The target checks each against its predecessors, as the source did, whichever comes first in the file."""
    streams = {partition_of(f"s{number}", 2): f"s{number}" for number in range(20)}

    class Noted(Event, name="note.noted"):
        text: str
        by: str

    async with EventStore("notes", events=[Noted], log=url, partitions=2) as store:
        await store.append(streams[1], [Noted(text="a", by="b")], expected=ANY)

    class Shorter(Event, name="note.noted"):
        text: str

    async with EventStore("notes", events=[Shorter], log=url) as later:
        await later.append(streams[0], [Shorter(text="a")], expected=ANY)
    export_streams(url, "notes", tmp_path / "all")

    assert (await import_streams(target, "notes", tmp_path / "all", serve_as="notes")).added == 2


async def test_a_schema_that_the_target_refuses_is_named(url: str, target: str, tmp_path: Path) -> None:
    """A target that refuses a schema refuses the file before anything is imported."""

    class Other(Event, name="account.deposited"):
        euros: str

    async with accounts(url) as store:
        await store.append("a", deposits(1), expected=ANY)
    async with EventStore("shelf", events=[Other], log=target):
        pass
    export_streams(url, "accounts", tmp_path / "all")

    with pytest.raises(Incompatible):
        await import_streams(target, "accounts", tmp_path / "all", serve_as="accounts")

    assert all(end == 0 for end in open_log(target).end_positions(_partitions(target)).values())
    with TopicRegistry(open_log(target)) as registry:
        assert len(registry.versions("account.deposited")) == 1


def _partitions(url: str) -> list[Any]:
    from eventstore.log.records import TopicPartition

    topic = open_log(url).describe(["accounts.events"])["accounts.events"]
    return [TopicPartition(topic.name, number) for number in range(topic.partitions)]
