"""Streams go through a file into another log and are the same there (S15)."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from eventstore.expected import ANY
from eventstore.store import EventStore
from eventstore.transfer import export_streams, import_streams
from eventstore.transfer.entries import EventEntry
from eventstore.transfer.files import FileFormat, reading
from schemas import Event, Metadata
from tests.eventstore.streams.accounts import Closed, Deposited, Opened, collect

Rows = set[tuple[object, ...]]


class Described(Event, name="account.described"):
    text: str
    tags: dict[str, list[float]]


class RenamedV1(Event, name="account.renamed", version=1):
    owner: str


class Renamed(Event, name="account.renamed", version=2):
    first: str
    last: str


@Renamed.upcast(from_version=1)
def _split(old: dict[str, object]) -> dict[str, object]:
    first, _, last = str(old["owner"]).partition(" ")
    return {"first": first, "last": last}


@pytest.fixture(params=["memory", "embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def logs(
    request: pytest.FixtureRequest, unique: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[tuple[str, str], tuple[str, str]]:
    """Two places for a store: a log and a name each. On Kafka it is one log with two names."""
    monkeypatch.chdir(tmp_path)
    if request.param == "kafka":
        url = f"kafka://{request.getfixturevalue('kafka')}"
        return (url, unique("from")), (url, unique("to"))
    if request.param == "memory":
        return (f"memory://{unique('from')}", "accounts"), (f"memory://{unique('to')}", "accounts")
    return (f"embedded://{tmp_path / 'from'}", "accounts"), (f"embedded://{tmp_path / 'to'}", "accounts")


async def fill(url: str, name: str, seed: int) -> None:
    """Streams of many lengths and types, of two versions, some truncated, some deleted and begun again."""
    draw = random.Random(seed)
    async with EventStore("shelf", events=[Closed], log=url):
        pass  # its schemas take the first ids, so that those of the events differ from log to log
    old = EventStore(name, events=[RenamedV1, Opened], log=url, partitions=3)
    async with old:
        for number in range(6):
            await old.append(f"s{number}", [RenamedV1(owner=f"Ann {draw.random()}")], expected=ANY)
    store = EventStore(name, events=[Opened, Deposited, Described, Renamed], log=url)
    makers: list[Callable[[], Opened | Deposited | Described | Renamed]] = [
        lambda: Opened(owner="x" * draw.randrange(40)),
        lambda: Deposited(cents=draw.randrange(-(1 << 60), 1 << 60)),
        lambda: Described(text="ü\n\u2028\"'\U0001f600" * draw.randrange(3), tags={"a": [draw.random()], "": []}),
        lambda: Renamed(first="A", last="B"),
    ]
    async with store:
        for _ in range(60):
            stream = draw.choice([f"s{number}" for number in range(12)] + ["ü/1", "ü"])
            await store.append(stream, [draw.choice(makers)() for _ in range(draw.randrange(1, 5))], expected=ANY)
        await store.truncate("s1", before=1, expected=ANY)
        await store.delete("s2", expected=ANY)
        await store.append("s2", [Opened(owner="again")], expected=ANY)
        await store.delete("s3", expected=ANY)


def rows(path: Path) -> Rows:
    """What a file says of its events, apart from where they stood and which ids their schemas had."""
    with reading(path) as file:
        return {
            (e.stream, e.version, e.begins, e.timestamp_ms, e.type, e.type_version, bytes(e.meta), e.payload)
            for e, _ in file.entries()
            if isinstance(e, EventEntry)
        }


@pytest.mark.parametrize("form", ["jsonl", "avro"])
async def test_an_import_has_what_was_exported(
    logs: tuple[tuple[str, str], tuple[str, str]], form: FileFormat, tmp_path: Path
) -> None:
    """S15: streams, versions, times, bytes and metadata; the checksum is the same, and so is a reader's view."""
    (source, name), (target, other) = logs
    await fill(source, name, seed=len(form))
    there, back = tmp_path / f"there.{form}", tmp_path / f"back.{form}"

    exported = export_streams(source, name, there)
    imported = await import_streams(target, other, there, serve_as=other, partitions=2)
    again = export_streams(target, other, back)

    assert imported.added == exported.events == again.events > 100
    assert again.checksum == exported.checksum
    assert rows(back) == rows(there)
    views: list[object] = []
    for url, store in logs:
        async with EventStore(store, events=[Opened, Deposited, Described, Renamed], log=url) as reader:
            views.append(
                [
                    (
                        r.stream,
                        r.version,
                        r.event,
                        r.timestamp,
                        r.metadata.id,
                        r.metadata.correlation,
                        r.metadata.causation,
                    )
                    for stream in ("s0", "s1", "s2", "s3", "ü", "ü/1")
                    for r in await collect(reader.read(stream))
                ]
            )
    assert views[0] == views[1]


async def test_an_export_does_not_say_what_only_its_log_needs(
    logs: tuple[tuple[str, str], tuple[str, str]], tmp_path: Path
) -> None:
    """S15: metadata has id, correlation, causation, commit and attributes; not the input that was handled (K1)."""
    (source, name), _ = logs
    await fill(source, name, seed=3)

    export_streams(source, name, tmp_path / "all.jsonl")

    with reading(tmp_path / "all.jsonl") as file:
        found = [Metadata.decode(bytes(e.meta)) for e, _ in file.entries() if isinstance(e, EventEntry)]
    assert found
    assert all(each.done is None and each.reply is None and each.id and each.causation for each in found)
