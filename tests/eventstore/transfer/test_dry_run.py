"""A dry run finds what the import would refuse, before anything is written (S15)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from eventstore.expected import ANY, NO_STREAM
from eventstore.log import open_log
from eventstore.registry import TopicRegistry
from eventstore.store import EventStore
from eventstore.transfer import ImportConflict, export_streams, import_streams
from schemas import Event, Incompatible
from tests.eventstore.streams.accounts import Deposited, Opened, accounts, deposits

Accounts = EventStore[Opened | Deposited]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where streams are exported to."""
    return tmp_path / "all.jsonl"


@pytest.fixture
async def target(unique: Callable[[str], str], file: Path) -> AsyncIterator[str]:
    """A log of whose store `file` has a copy: two streams of five events."""
    url = f"memory://{unique('target')}"
    keeping = open_log(url)
    async with accounts(url, partitions=2) as store:
        for stream in ("a", "b"):
            await store.append(stream, deposits(*range(5)), expected=NO_STREAM)
    export_streams(url, "accounts", file)
    yield url
    keeping.close()


@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_stream_that_the_target_deleted_is_named(target: str, file: Path, dry_run: bool) -> None:
    """E2: its versions are not used again, so it is not taken for one that never was."""
    async with accounts(target) as store:
        await store.delete("a", expected=ANY)

        with pytest.raises(ImportConflict, match="erased its versions below 5") as conflict:
            await import_streams(target, "accounts", file, dry_run=dry_run)

    assert (conflict.value.stream, conflict.value.version) == ("a", 0)


async def test_what_follows_a_deletion_would_be_added(target: str, file: Path) -> None:
    """A stream that was begun again where the file comes from goes on behind what the target erased."""
    async with accounts(target) as store:
        await store.delete("a", expected=ANY)
        await store.append("a", deposits(7), expected=ANY)
        later = file.with_name("later.jsonl")
        export_streams(target, "accounts", later, streams=["a"])
        await store.delete("a", expected=ANY)

        with pytest.raises(ImportConflict, match="erased its versions below 6"):
            await import_streams(target, "accounts", later, dry_run=True)

    other = target + "-other"
    async with accounts(other) as store:
        await store.append("a", deposits(*range(5)), expected=NO_STREAM)
        await store.delete("a", expected=ANY)
        dry = await import_streams(other, "accounts", later, dry_run=True)
        assert (dry.added, (await import_streams(other, "accounts", later)).added) == (1, 1)


async def test_a_schema_that_the_target_forbids_is_named(target: str, file: Path) -> None:
    """By the modes of the target's registry; nothing is registered."""

    class Other(Event, name="account.deposited"):
        euros: str

    other = target + "-other"
    async with EventStore("accounts", events=[Other], log=other):
        for dry_run in (True, False):
            with pytest.raises(Incompatible, match="cents"):
                await import_streams(other, "accounts", file, dry_run=dry_run)
        with TopicRegistry(open_log(other)) as registry:
            assert len(registry.versions("account.deposited")) == 1
            registry.set_mode("account.deposited", "none")
        assert (await import_streams(other, "accounts", file, dry_run=True)).added == 10


async def test_a_truncation_beyond_the_copy_is_named(target: str, tmp_path: Path) -> None:
    """E2: what lies between is in no log any more, and a deletion frees no versions: only a new store takes it."""
    async with accounts(target) as store:
        await store.append("a", deposits(5, 6, 7, 8), expected=4)
        await store.truncate("a", before=7, expected=8)
        export_streams(target, "accounts", tmp_path / "later", streams=["a"])

    copy = target + "-copy"
    async with accounts(copy) as other:
        await import_streams(copy, "accounts", tmp_path / "all.jsonl")
        for _ in range(2):
            for dry_run in (True, False):
                with pytest.raises(
                    ImportConflict, match=r"ends at version 4, .* erased where .* a store that never had"
                ):
                    await import_streams(copy, "accounts", tmp_path / "later", dry_run=dry_run)
            await other.delete("a", expected=ANY)

    async with accounts(target + "-new"):
        assert (await import_streams(target + "-new", "accounts", tmp_path / "later")).added == 2
