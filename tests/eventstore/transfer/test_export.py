"""Exports: which events, how far, what a cut file is good for (S15)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from eventstore.errors import PositionRefused
from eventstore.expected import ANY
from eventstore.log import open_log
from eventstore.log.errors import TopicMissing
from eventstore.store import EventStore
from eventstore.streams import Position
from eventstore.transfer import ExportDiffers, ExportIncomplete, ExportUnreadable, export_streams, import_streams
from eventstore.transfer.entries import EventEntry
from eventstore.transfer.files import FileFormat, reading, whole
from tests.eventstore.streams.accounts import Deposited, Opened, accounts, deposits

FORMS = ["jsonl", "avro"]


@pytest.fixture
def url(unique: Callable[[str], str]) -> str:
    """A log in memory that has a name."""
    return f"memory://{unique('log')}"


@pytest.fixture
async def filled(url: str) -> AsyncIterator[EventStore[Opened | Deposited]]:
    """A store with 300 events of 30 streams."""
    async with accounts(url, partitions=3) as running:
        for number in range(100):
            await running.append(f"s{number % 30}", deposits(number, number, number), expected=ANY)
        yield running


def events_of(path: Path) -> list[EventEntry]:
    """The events of a file."""
    with reading(path) as file:
        return [entry for entry, _ in file.entries() if isinstance(entry, EventEntry)]


def content(path: Path) -> list[tuple[object, ...]]:
    """What is imported of the events."""
    return [(e.stream, e.version, e.begins, e.timestamp_ms, bytes(e.meta), e.payload) for e in events_of(path)]


def keys(path: Path) -> list[tuple[str, int]]:
    """Stream and version of each."""
    return [(event.stream, event.version) for event in events_of(path)]


async def test_a_line_can_be_read_by_people(filled: EventStore, url: str, tmp_path: Path) -> None:
    """JSON lines say type, time, metadata and fields; the header says the store, its generation and how far it goes."""
    done = export_streams(url, "accounts", tmp_path / "all.jsonl")

    header, begun, schema, event, *_, mark, end = map(json.loads, (tmp_path / "all.jsonl").read_text().splitlines())
    topic = open_log(url).describe(["accounts.events"])["accounts.events"]
    assert (header["kind"], header["format"], header["store"]) == ("export", 2, "accounts")
    assert (header["generation"], header["until"]) == (topic.id, str(done.position))
    assert (schema["kind"], schema["name"]) == ("schema", "account.deposited")
    assert schema["id"] == event["schema"]
    assert "cents" in schema["text"]
    assert (event["kind"], event["type"], list(event["event"])) == ("event", "account.deposited", ["cents"])
    assert event["meta"]["correlation"]
    assert ([begun["kind"], begun["events"]], [mark["kind"], mark["events"]]) == (["mark", 0], ["mark", 300])
    assert (end["kind"], end["events"], end["checksum"]) == ("end", 300, done.checksum)


async def test_how_far_it_is_is_told(
    filled: EventStore, url: str, unique: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S15: while it goes on, export and import say how many events more are done, and in the end all of them."""
    monkeypatch.setattr("eventstore.scanning.PAGE_RECORDS", 100)
    monkeypatch.setattr("eventstore.transfer.importing.WINDOW_EVENTS", 100)
    exported, imported = list[int](), list[int]()

    export_streams(url, "accounts", tmp_path / "all.jsonl", progress=exported.append)
    target = f"memory://{unique('target')}"
    await import_streams(target, "accounts", tmp_path / "all.jsonl", serve_as="accounts", progress=imported.append)

    for told in (exported, imported):
        assert sum(told) == 300
        assert sum(count > 0 for count in told) > 1


@pytest.mark.parametrize("form", FORMS)
async def test_only_what_was_chosen_is_exported(filled: EventStore, url: str, form: str, tmp_path: Path) -> None:
    """By prefix, by name, or both."""
    export_streams(url, "accounts", tmp_path / f"a.{form}", prefix="s1")
    export_streams(url, "accounts", tmp_path / f"b.{form}", streams=["s2", "s7", "none"])

    assert {stream for stream, _ in keys(tmp_path / f"a.{form}")} == {"s1", *(f"s{n}" for n in range(10, 20))}
    assert {stream for stream, _ in keys(tmp_path / f"b.{form}")} == {"s2", "s7"}


@pytest.mark.parametrize("form", FORMS)
async def test_an_export_goes_on_from_a_position(filled: EventStore, url: str, form: str, tmp_path: Path) -> None:
    """What the first one reached is where the next begins; both together are in the target."""
    first, second = tmp_path / f"a.{form}", tmp_path / f"b.{form}"
    reached = export_streams(url, "accounts", first).position
    await filled.append("s1", deposits(7), expected=ANY)
    await filled.append("new", deposits(8), expected=ANY)

    done = export_streams(url, "accounts", second, after=str(reached))

    assert (done.events, sorted(keys(second))) == (2, [("new", 0), ("s1", 12)])
    target = url + "-target"
    await import_streams(target, "accounts", first, serve_as="accounts")
    assert (await import_streams(target, "accounts", second, serve_as="accounts")).added == 2


@pytest.mark.parametrize("form", FORMS)
async def test_a_cut_export_goes_on_where_its_file_ends(
    filled: EventStore, url: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it was cut: the file becomes what it would have been, and reaches as far as it was to."""
    monkeypatch.setattr("eventstore.scanning.PAGE_RECORDS", 20)  # blocks of an Avro file are pages
    path = tmp_path / f"all.{form}"
    done = export_streams(url, "accounts", path)
    wanted, data = keys(path), path.read_bytes()
    with reading(path) as file:
        body = file.body
    await filled.append("later", deposits(1), expected=ANY)

    again = done
    for cut in [body + 200, *range(body + 250, len(data), len(data) // 23), len(data) - 1]:
        path.write_bytes(data[:cut])
        with pytest.raises(ExportIncomplete) as incomplete:
            whole(path)
        again = export_streams(url, "accounts", path)
        assert keys(path) == wanted
        assert (again.events, again.checksum, again.position) == (300, done.checksum, done.position)
        assert 0 <= again.added - (300 - incomplete.value.events) <= 20, "from the last mark on"
    assert again.added < 100


async def test_a_complete_export_is_left_as_it_is(filled: EventStore, url: str, tmp_path: Path) -> None:
    """A repeat of the command does nothing and says the same."""
    path = tmp_path / "all.jsonl"
    done, data = export_streams(url, "accounts", path), path.read_bytes()
    await filled.append("later", deposits(1), expected=ANY)

    again = export_streams(url, "accounts", path)

    assert path.read_bytes() == data
    assert (again.added, again.events, again.checksum) == (0, done.events, done.checksum)


@pytest.mark.parametrize("form", FORMS)
async def test_a_file_of_another_export_is_not_gone_on_with(
    filled: EventStore, url: str, form: str, tmp_path: Path
) -> None:
    """Another choice, or another generation of the topic: the error names what differs, the file stays."""
    path = tmp_path / f"all.{form}"
    export_streams(url, "accounts", path)
    data = path.read_bytes()

    with pytest.raises(ExportDiffers, match="prefix"):
        export_streams(url, "accounts", path, prefix="s")
    async with accounts(url + "-other"):
        with pytest.raises(ExportDiffers, match="generation"):
            export_streams(url + "-other", "accounts", path)
    assert path.read_bytes() == data


async def test_a_file_that_is_no_export_is_not_touched(filled: EventStore, url: str, tmp_path: Path) -> None:
    """Somebody's notes, and a list in JSON."""
    for text in ("notes\n", "[1]\n", '{"kind":"export"}\n', "Obj\x01"):
        (tmp_path / "notes").write_text(text)
        with pytest.raises(ExportUnreadable):
            export_streams(url, "accounts", tmp_path / "notes")
        assert (tmp_path / "notes").read_text() == text


async def test_what_cannot_be_exported_is_said(filled: EventStore, url: str, tmp_path: Path) -> None:
    """No such store; a position of another generation, and one beyond the end."""
    with pytest.raises(TopicMissing):
        export_streams(url, "orders", tmp_path / "a")
    with pytest.raises(PositionRefused, match="generation"):
        export_streams(url, "accounts", tmp_path / "a", after=Position.at(0, 1, "other"))
    with pytest.raises(PositionRefused, match="does not go so far"):
        export_streams(url, "accounts", tmp_path / "a", after="2::1=100000")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("form", FORMS)
async def test_a_changed_file_is_recognised(filled: EventStore, url: str, form: FileFormat, tmp_path: Path) -> None:
    """S15: whatever byte of what is imported was changed."""
    path = tmp_path / f"all.{form}"
    export_streams(url, "accounts", path, streams=["s1"])
    data, wanted = path.read_bytes(), content(path)
    recognised = 0

    for place in range(len(data) // 2, len(data) - 1, 7):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        try:
            whole(path)
        except (ExportUnreadable, ExportIncomplete):
            recognised += 1
        else:
            assert content(path) == wanted, "only what is not imported differs"

    assert recognised > 20


async def test_a_damaged_file_is_not_imported(filled: EventStore, url: str, tmp_path: Path) -> None:
    """S15: the file is checked to its end before the first event is imported."""
    path = tmp_path / "all.jsonl"
    export_streams(url, "accounts", path)
    lines = path.read_text().splitlines(keepends=True)
    open_log(url + "-target")

    path.write_text("".join(lines[:-3] + lines[-1:]))
    with pytest.raises(ExportUnreadable, match="checksum"):
        await import_streams(url + "-target", "accounts", path, serve_as="accounts")
    path.write_text("".join(lines[:-1]))
    with pytest.raises(ExportIncomplete, match="300 events"):
        await import_streams(url + "-target", "accounts", path, serve_as="accounts")

    assert open_log(url + "-target").describe() == {}
