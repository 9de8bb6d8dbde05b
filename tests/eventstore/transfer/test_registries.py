"""Exports and imports of a service whose registry is not the log's own (S15)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from consumers import Service
from eventstore.expected import ANY
from eventstore.log import open_log
from eventstore.store import EventStore
from eventstore.transfer import SchemaOfOtherType, StoreNotServed, export_streams, import_streams
from sagalog.cli import execute as run
from schemas import Event, UnknownSchema
from tests.eventstore.registry.confluent import Confluent
from tests.eventstore.registry.serving import served


class Counted(Event, name="registries.counted"):
    number: int
    text: str


class Weighed(Event, name="registries.weighed"):
    text: str
    number: int


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """One behind HTTP, of which the environment says nothing."""
    monkeypatch.delenv("SAGALOG_REGISTRY", raising=False)
    with served(Confluent()) as url:
        yield url


@pytest.fixture
async def url(unique: Callable[[str], str], registry: str) -> AsyncIterator[str]:
    """A log with a store whose service was given the registry in code."""
    log = open_log(f"memory://{unique('log')}")  # keeps it
    store = EventStore("counts", events=[Counted, Weighed])
    async with Service("counting", components=[store], log=log.url, registry=registry):
        await store.append("a", [Counted(number=1, text="x"), Weighed(text="y", number=2)], expected=ANY)
    yield log.url
    log.close()


async def use_own_registry(url: str) -> None:
    """Let another service give the log's own registry schemas under the same ids."""
    store = EventStore("others", events=[Weighed, Counted])
    async with Service("others", components=[store], log=url):
        await store.append("a", [Weighed(text="y", number=2)], expected=ANY)


async def test_the_registry_of_the_service_can_be_named(
    url: str, registry: str, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """Both ways, through a service that runs and by standing in for one."""
    done = export_streams(url, "counts", tmp_path / "all.jsonl", registry=registry)
    assert done.events == 2

    target = f"memory://{unique('to')}"
    store = EventStore("counts", events=[Counted, Weighed])
    async with Service("counting", components=[store], log=target, registry=registry):
        imported = await import_streams(target, "counts", tmp_path / "all.jsonl", registry=registry)
        assert (imported.added, imported.checksum) == (2, done.checksum)
        assert [each.event async for each in store.read("a")] == [
            Counted(number=1, text="x"), Weighed(text="y", number=2),
        ]  # fmt: skip
        again = export_streams(target, "counts", tmp_path / "again.avro", registry=registry)
        assert again.checksum == done.checksum
    served_as = await import_streams(
        f"{target}-2", "counts", tmp_path / "all.jsonl", serve_as="counting", registry=registry
    )
    assert served_as.added == 2


async def test_schemas_of_another_registry_are_refused(url: str, tmp_path: Path) -> None:
    """Under an id of the service's registry the log's own has another type: it would be written, and be wrong."""
    await use_own_registry(url)

    with pytest.raises(
        SchemaOfOtherType, match=r"\(the one in the log\) is of type .*--registry \(registry=\)"
    ) as raised:
        export_streams(url, "counts", tmp_path / "all.jsonl")
    assert {raised.value.wanted, raised.value.found} == {"registries.counted", "registries.weighed"}


async def test_a_schema_that_the_registry_lacks_is_told_with_the_way_out(
    url: str, registry: str, tmp_path: Path
) -> None:
    """Which registry was asked, and that another may be meant. The export goes on with the right one."""
    with pytest.raises(UnknownSchema, match=r"the registry \(the one in the log\): .*name .* registry by --registry"):
        export_streams(url, "counts", tmp_path / "all.jsonl")

    assert export_streams(url, "counts", tmp_path / "all.jsonl", registry=registry).events == 2


async def test_an_import_into_a_store_of_another_registry_is_refused(url: str, registry: str, tmp_path: Path) -> None:
    """Before anything is registered: its service would not read what is appended."""
    await use_own_registry(url)
    export_streams(url, "counts", tmp_path / "all.jsonl", registry=registry)

    for serve_as in (None, "counting"):
        with pytest.raises(SchemaOfOtherType):
            await import_streams(url, "counts", tmp_path / "all.jsonl", serve_as=serve_as)
    done = await import_streams(url, "counts", tmp_path / "all.jsonl", serve_as="counting", registry=registry)
    assert (done.added, done.skipped) == (0, 2)


def test_a_store_that_does_not_answer_may_use_another_registry() -> None:
    """It cannot read what it is asked then."""
    assert "its registry may be another: name the registry of the service by --registry" in str(StoreNotServed("a"))
    assert "--registry" not in str(StoreNotServed("a", log_missing_in="/data"))


async def test_the_commands_take_the_registry(
    url: str, registry: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `sagalog schemas` does."""
    await use_own_registry(url)
    file, options = str(tmp_path / "all.jsonl"), ["--log", url, "--registry", registry, "--json"]

    assert run(["streams", "show", "counts", "a", "--log", url]) == 1
    assert "the service uses another registry" in capsys.readouterr().err
    assert run(["streams", "show", "counts", "a", *options]) == 0
    assert [each["event"] for each in json.loads(capsys.readouterr().out)["events"]] == [
        {"number": 1, "text": "x"}, {"number": 2, "text": "y"},
    ]  # fmt: skip
    assert run(["streams", "export", "counts", "--to", file, *options]) == 0
    assert json.loads(capsys.readouterr().out)["events"] == 2
    assert _run_apart(["streams", "import", "counts", file, "--serve-as", "counting", *options]) == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 2


def _run_apart(arguments: list[str]) -> int:
    """A command that runs an event loop of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run, arguments).result()
