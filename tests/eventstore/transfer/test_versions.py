"""Imports of versions that the target's code may not read: asked before anything is registered or written (S15)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from consumers import Service
from eventstore.aggregate import Aggregate, evolve
from eventstore.expected import ANY
from eventstore.log import open_log
from eventstore.log.records import TopicPartition
from eventstore.registry import TopicRegistry
from eventstore.store import EventStore
from eventstore.transfer import TypesNotTaken, export_streams, import_streams
from schemas import Event


class Paid1(Event, name="bill.paid", version=1):
    euros: str


class Paid2(Event, name="bill.paid", version=2):
    cents: int


class Raised2(Event, name="bill.paid", version=2):
    cents: int


@Raised2.upcast(from_version=1)
def _to_cents(old: dict[str, object]) -> dict[str, object]:
    return {"cents": int(str(old["euros"])) * 100}


class Bill(Aggregate[Paid2], name="bills"):
    paid: int = 0

    @evolve
    def add(self, event: Paid2) -> None:
        self.paid += event.cents


class Noted(Event, name="bill.noted"):
    text: str


class Notes(Aggregate[Noted], name="bills"):
    count: int = 0

    @evolve
    def noted(self, event: Noted) -> None:
        self.count += 1


@pytest.fixture
async def file(unique: Callable[[str], str], tmp_path: Path) -> Path:
    """An export with an event of version 1."""
    source = f"memory://{unique('source')}"
    async with EventStore("bills", events=[Paid1], log=source) as store:
        await store.append("a", [Paid1(euros="3")], expected=ANY)
        export_streams(source, "bills", tmp_path / "bills.jsonl")
    return tmp_path / "bills.jsonl"


@pytest.fixture
def target(unique: Callable[[str], str]) -> str:
    """Another log."""
    return f"memory://{unique('target')}"


def versions(url: str) -> list[int]:
    """Those that the log's registry has of the type."""
    with TopicRegistry(open_log(url)) as registry:
        return [each.schema.version for each in registry.versions("bill.paid")]


def written(url: str) -> int:
    """How many records its topics of events and dead letters have."""
    log = open_log(url)
    topics = [topic for name, topic in log.describe().items() if name.endswith((".events", ".dlq"))]
    places = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
    return sum(log.end_positions(places).values())


@pytest.mark.parametrize("of", [Bill, EventStore("bills", events=[Paid2])], ids=["aggregate", "store"])
@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_version_that_nothing_leads_from_is_refused(
    file: Path, target: str, of: type[Bill] | EventStore[Paid2], dry_run: bool
) -> None:
    """Nothing is registered or written, and the owner starts again: once registered, it would miss the upcast."""
    async with Service("shop", components=[of], log=target) as service:
        await service.ready()
        with pytest.raises(TypesNotTaken, match=r"bill\.paid version 1: .* deploy code") as refused:
            await import_streams(target, "bills", file, dry_run=dry_run)

    assert refused.value.types == ("bill.paid version 1",)
    assert (versions(target), written(target)) == ([2], 0)
    async with Service("shop", components=[of], log=target) as service:
        await service.ready()


@pytest.mark.parametrize("dry_run", [True, False])
async def test_an_aggregate_takes_no_type_that_it_cannot_fold(file: Path, target: str, dry_run: bool) -> None:
    """It decodes each event; the events' bytes would land in the dead letters."""
    async with Service("shop", components=[Notes], log=target):
        with pytest.raises(TypesNotTaken, match=r"bill\.paid version 1"):
            await import_streams(target, "bills", file, dry_run=dry_run)

    assert versions(target) == []
    assert written(target) == 0


async def test_a_version_with_an_upcast_is_taken(file: Path, target: str) -> None:
    """Through the service that has the code, also where the registry has the newer version alone; it starts again."""
    for added in (1, 0):
        async with EventStore("bills", events=[Raised2], log=target) as store:
            assert (await import_streams(target, "bills", file)).added == added
            assert [each.event async for each in store.read("a")] == [Raised2(cents=300)]
    assert versions(target) == [2, 1]


async def test_a_type_that_a_store_does_not_know_is_taken(file: Path, target: str) -> None:
    """Types need not be known: nobody is waiting for an upcast of it."""
    async with EventStore("bills", events=[Noted], log=target):
        assert (await import_streams(target, "bills", file)).added == 1
    async with EventStore("bills", events=[Noted], log=target):
        pass


@pytest.mark.parametrize("dry_run", [True, False])
async def test_who_stands_in_does_not_know_the_code(file: Path, target: str, dry_run: bool) -> None:
    """Where the log has newer versions alone, the service has to be asked; where it has none, or this one, not."""
    async with EventStore("bills", events=[Raised2], log=target):
        pass

    with pytest.raises(TypesNotTaken, match="start that service, and import through it, without --serve-as"):
        await import_streams(target, "bills", file, serve_as="bills", dry_run=dry_run)
    assert versions(target) == [2]

    async with EventStore("bills", events=[Raised2], log=target):
        await import_streams(target, "bills", file)
    assert (await import_streams(target, "bills", file, serve_as="bills", dry_run=dry_run)).skipped == 1
