"""Files of streams: one export writes, nothing follows the end, damage is found before a file is gone on with (S15)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from eventstore.expected import NO_STREAM
from eventstore.log import open_log
from eventstore.transfer import ExportInUse, ExportUnreadable, export_streams
from eventstore.transfer.avro_file import AvroWriter
from eventstore.transfer.entries import Content, Entry, EventEntry, Header
from eventstore.transfer.files import form_of, reading, whole, writer
from tests.eventstore.streams.accounts import accounts, deposits

FORMS = ["jsonl", "avro"]
HEADER = Header(store="s", generation="g", after="", until="2::0=2", prefix="", streams=[])


@pytest.fixture
async def url(unique: Callable[[str], str]) -> AsyncIterator[str]:
    """A log in memory with a store of 120 events."""
    url = f"memory://{unique('log')}"
    keeping = open_log(url)
    async with accounts(url, partitions=2) as store:
        for number in range(12):
            await store.append(f"s{number}", deposits(*range(10)), expected=NO_STREAM)
    yield url
    keeping.close()


@pytest.fixture(params=FORMS)
def file(url: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its export, page by page."""
    monkeypatch.setattr("eventstore.scanning.PAGE_RECORDS", 20)
    path = tmp_path / f"all.{request.param}"
    export_streams(url, "accounts", path)
    return path


def refused(url: str, file: Path, match: str) -> None:
    """Neither import nor export takes the file, and it stays as it is."""
    data = file.read_bytes()
    with pytest.raises(ExportUnreadable, match=match):
        whole(file)
    with pytest.raises(ExportUnreadable, match=match):
        export_streams(url, "accounts", file)
    assert file.read_bytes() == data


def cut(file: Path, part: float) -> None:
    """Leave that part of a file."""
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * part)])


def test_a_file_ends_with_its_end(url: str, file: Path) -> None:
    """Two files in one would be imported as the first one alone."""
    data = file.read_bytes()

    for more in (data, b"\n", b"{", b"\0" * 100):
        file.write_bytes(data + more)
        refused(url, file, "goes on after its end")


def test_nothing_follows_the_end_in_its_block(tmp_path: Path) -> None:
    """Entries of an Avro file share blocks."""
    path, end = tmp_path / "all.avro", Content(HEADER).end

    file = AvroWriter(path, HEADER)
    file.write(end)
    file.write(end)
    file.close()

    with pytest.raises(ExportUnreadable, match="goes on after its end"):
        whole(path)


def test_one_export_at_a_time_writes_to_a_file(url: str, tmp_path: Path) -> None:
    """A second one is told so, and touches nothing; when the first has ended it goes on."""
    path, refusals = tmp_path / "all.jsonl", list[ExportInUse]()

    def another(_: int) -> None:
        with pytest.raises(ExportInUse, match=r"another export is writing to .*all.jsonl") as refusal:
            export_streams(url, "accounts", path)
        refusals.append(refusal.value)

    assert export_streams(url, "accounts", path, progress=another).events == 120
    assert refusals
    assert export_streams(url, "accounts", path).added == 0


def rewritten(file: Path, change: Callable[[Header | Entry], Header | Entry]) -> None:
    """Write the file anew, with what `change` makes of header and entries."""
    with reading(file) as read:
        header, entries = change(read.header), [entry for entry, _ in read.entries()]
    assert isinstance(header, Header)
    new = writer(file, form_of(file, None), header)
    for entry in entries:
        made = change(entry)
        assert not isinstance(made, Header)
        new.write(made)
    new.close()


@pytest.mark.parametrize(("what", "value"), [("offset", 7_777), ("partition", 5), ("payload", b"\x02\0")])
def test_an_export_goes_on_with_nothing_that_was_changed(url: str, file: Path, what: str, value: object) -> None:
    """Whether the file is cut behind the place or whole: it would hold what is in no log, or leave out what is."""
    with reading(file) as read:
        chosen = [entry for entry, _ in read.entries() if isinstance(entry, EventEntry)][50]
    other = msgspec.structs.replace(chosen, **{what: value})

    rewritten(file, lambda entry: other if entry == chosen else entry)
    refused(url, file, "not as it was written")

    cut(file, 0.8)
    with pytest.raises(ExportUnreadable, match="not as it was written"):
        export_streams(url, "accounts", file)


def test_an_export_goes_on_with_no_changed_header(url: str, file: Path) -> None:
    """It says how far the export is to reach, and from where the next one goes on."""
    rewritten(
        file, lambda entry: msgspec.structs.replace(entry, until="2::0=1") if isinstance(entry, Header) else entry
    )

    refused(url, file, "up to event 0 it is not as it was written")


def test_a_file_that_is_damaged_in_its_middle_is_not_cut_there(url: str, file: Path) -> None:
    """S15: what lies behind may be the only copy of what was erased since. So with the last block."""
    data = file.read_bytes()

    for place in (len(data) // 2, len(data) - 120):
        file.write_bytes(data[:place] + b"\xff\xff\xff\xff" + data[place + 4 :])
        refused(url, file, "byte")


def test_what_lies_behind_the_last_mark_is_written_again(url: str, file: Path) -> None:
    """Nothing says whether it is right: a change there is gone when the export has gone on."""
    wanted = whole(file).end
    cut(file, 0.8)
    data = file.read_bytes()

    file.write_bytes(data[:-20] + bytes(20))

    assert export_streams(url, "accounts", file).checksum == wanted.checksum
    assert whole(file).end == wanted


def test_a_file_that_was_hardly_begun_is_begun_anew(url: str, file: Path) -> None:
    """Its header is there, and nothing says whether it is right."""
    wanted = whole(file).end
    with reading(file) as read:
        body = read.body

    for size in (body, body + 10):
        file.write_bytes(file.read_bytes()[:size])
        assert export_streams(url, "accounts", file).added == 120
        assert whole(file).end == wanted
