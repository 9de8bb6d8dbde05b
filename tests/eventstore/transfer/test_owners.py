"""Imports into aggregates and through owners on Kafka; personal data travels sealed (S15)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from consumers import Service
from eventstore.aggregate import Aggregate, decide, evolve
from eventstore.expected import ANY
from eventstore.store import EventStore
from eventstore.subject_keys.masters import VARIABLE, generate
from eventstore.transfer import export_streams, import_streams
from schemas import Command, Event, Personal, Reply
from tests.eventstore.shredded import ADA, CustomerRegistered
from tests.eventstore.streams.accounts import Deposited, Opened, deposits


class Added(Event, name="tallied.added"):
    number: int


class Sum(Reply):
    total: int


class Add(Command[Sum], to="tallied", key="id"):
    id: str
    number: int


class Tally(Aggregate[Added], name="tallied"):
    total: int = 0

    @decide
    def add(self, command: Add) -> Sum:
        self.record(Added(number=command.number))
        return Sum(total=self.total)

    @evolve
    def added(self, event: Added) -> None:
        self.total += event.number


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def url(
    request: pytest.FixtureRequest, unique: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A log in memory, or a real Kafka."""
    monkeypatch.chdir(tmp_path)
    return f"kafka://{request.getfixturevalue('kafka')}" if request.param == "kafka" else f"memory://{unique('log')}"


async def test_an_aggregate_goes_on_from_what_was_imported(unique: Callable[[str], str], tmp_path: Path) -> None:
    """Its running service takes the events, and folds them at once, also one that was folded before."""
    source, target = (f"memory://{unique(name)}" for name in ("from", "to"))
    async with Service("tallies", components=[Tally], log=source) as service:
        for number in (1, 2, 3):
            await service.ask(Add(id="a", number=number))
        after = export_streams(source, "tallied", tmp_path / "first").position
        await service.ask(Add(id="a", number=4))
        export_streams(source, "tallied", tmp_path / "second", after=after)

    async with Service("tallies", components=[Tally], log=target) as service:
        await import_streams(target, "tallied", tmp_path / "first")
        async with Service("onlookers", components=[EventStore("shelf", events=[Added])], log=target):
            pass
        assert (await import_streams(target, "tallied", tmp_path / "second")).added == 1
        assert await service.ask(Add(id="a", number=5)) == Sum(total=15)


async def test_an_owner_elsewhere_takes_the_events(url: str, unique: Callable[[str], str], tmp_path: Path) -> None:
    """Over the log, a chunk larger than a record too; the checksum of an export from there is the same."""
    name, other = unique("from"), unique("to")
    async with EventStore(name, events=[Opened, Deposited], log=url, partitions=2) as store:
        await store.append("a", [Opened(owner="x" * 524_000) for _ in range(4)], expected=ANY)
        for number in range(200):
            await store.append(f"s{number % 20}", deposits(number), expected=ANY)
    done = export_streams(url, name, tmp_path / "there.avro")

    async with EventStore(other, events=[Opened, Deposited], log=url, partitions=3) as target:
        imported = await import_streams(url, other, tmp_path / "there.avro")
        again = await import_streams(url, other, tmp_path / "there.avro")
        assert (imported.added, again.added, again.skipped) == (204, 0, 204)
        assert [r.version async for r in target.read("s3")] == list(range(10))

    assert export_streams(url, other, tmp_path / "back.avro").checksum == done.checksum


async def test_personal_data_travels_sealed(
    unique: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E4: no name is in the file, in neither form; the bytes are the same in the target."""
    monkeypatch.setenv(VARIABLE, generate("first"))
    source, target = (f"memory://{unique(name)}" for name in ("from", "to"))
    async with EventStore("people", events=[CustomerRegistered], log=source) as store:
        await store.append("ada", [CustomerRegistered(customer_id="ada", name=Personal(ADA))], expected=ANY)
    monkeypatch.delenv(VARIABLE)

    done = export_streams(source, "people", tmp_path / "people.jsonl")
    export_streams(source, "people", tmp_path / "people.avro")
    await import_streams(target, "people", tmp_path / "people.jsonl", serve_as="people")

    assert ADA.encode() not in (tmp_path / "people.jsonl").read_bytes()
    assert export_streams(target, "people", tmp_path / "back").checksum == done.checksum
