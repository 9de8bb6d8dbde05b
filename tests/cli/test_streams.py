"""`sagalog streams`: export, import, list, show."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eventstore.expected import ANY
from eventstore.transfer.avro_file import AvroWriter
from eventstore.transfer.json_lines import JsonLinesWriter
from sagalog.cli import execute as run
from tests.eventstore.streams.accounts import accounts, deposits


@pytest.fixture
def url(unique: Callable[[str], str]) -> str:
    """A log with three streams, one truncated, one deleted."""
    log = f"memory://{unique('log')}"

    async def fill() -> None:
        async with accounts(log) as store:
            await store.append("a", deposits(1, 2, 3), expected=ANY)
            await store.append("b", deposits(4), expected=ANY)
            await store.append("gone", deposits(5), expected=ANY)
            await store.truncate("a", before=1, expected=ANY)
            await store.delete("gone", expected=ANY)

    asyncio.run(fill())
    return log


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What the command says as JSON, and nothing else."""
    capsys.readouterr()
    assert run(["streams", *arguments, "--json"]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def test_streams_go_from_log_to_log(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """S15: export, dry run, import, repeat, from the command line."""
    file, target = str(tmp_path / "all.avro"), f"embedded://{tmp_path}/target"

    exported = answer(capsys, "export", "accounts", "--log", url, "--to", file)
    options = [file, "--log", target, "--serve-as", "accounts"]
    imported = answer(capsys, "import", "accounts", *options)
    dry = answer(capsys, "import", "accounts", *options, "--dry-run")
    back = answer(capsys, "export", "accounts", "--log", target, "--to", str(tmp_path / "back.jsonl"))

    assert (exported["events"], exported["added"]) == (3, 3)
    assert exported["position"].startswith("2:")
    assert (imported["added"], imported["skipped"], imported["dry_run"]) == (3, 0, False)
    assert (dry["added"], dry["skipped"], dry["dry_run"]) == (0, 3, True)
    assert back["checksum"] == exported["checksum"] == imported["checksum"]


def test_an_export_can_be_chosen(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By stream, by prefix, by position, in a form that the name does not say."""
    whole = answer(capsys, "export", "accounts", "--log", url, "--to", str(tmp_path / "all"))
    one = answer(
        capsys, "export", "accounts", "--log", url, "--to", str(tmp_path / "a"), "--stream", "a", "--stream", "x"
    )
    other = answer(
        capsys, "export", "accounts", "--log", url, "--to", str(tmp_path / "b"), "--prefix", "b", "--format", "avro"
    )
    none = answer(capsys, "export", "accounts", "--log", url, "--to", str(tmp_path / "c"), "--after", whole["position"])

    assert [each["events"] for each in (whole, one, other, none)] == [3, 2, 1, 0]
    assert (tmp_path / "b").read_bytes().startswith(b"Obj\x01")


def test_streams_are_listed(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With how many events they have, and which; deleted ones are not."""
    said = answer(capsys, "list", "accounts", "--log", url)
    assert said["streams"] == 2
    assert [(row["stream"], row["events"], row["first"], row["last"]) for row in said["listed"]] == [
        ("a", 2, 1, 2),
        ("b", 1, 0, 0),
    ]

    assert run(["streams", "list", "accounts", "--log", url, "--limit", "1"]) == 0
    assert "1 more" in capsys.readouterr().out


def test_a_stream_is_shown(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Events with version, time, type, metadata and fields."""
    said = answer(capsys, "show", "accounts", "a", "--log", url)
    assert [(each["version"], each["type"], each["event"]) for each in said["events"]] == [
        (1, "account.deposited", {"cents": 2}),
        (2, "account.deposited", {"cents": 3}),
    ]
    assert said["events"][0]["metadata"]["commit"]

    assert run(["streams", "show", "accounts", "a", "--log", url, "--after", "1"]) == 0
    assert capsys.readouterr().out.count("account.deposited v1") == 1
    assert run(["streams", "show", "accounts", "a", "--log", url, "--limit", "1"]) == 0
    assert "there are more: raise --limit, or go on with --after 1" in capsys.readouterr().out
    assert [answer(capsys, "show", "accounts", "a", "--log", url, "--limit", n)["more"] for n in "12"] == [True, False]
    assert run(["streams", "show", "accounts", "gone", "--log", url]) == 0
    assert "no events" in capsys.readouterr().out


def test_what_cannot_be_done_is_one_line(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No such store; a cut file; a target that differs. Each says what to do."""
    file = tmp_path / "all.jsonl"
    answer(capsys, "export", "accounts", "--log", url, "--to", str(file))
    cut = tmp_path / "cut.jsonl"
    cut.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    other = url + "-other"

    async def fill() -> None:
        async with accounts(other) as store:
            await store.append("b", deposits(99), expected=ANY)

    asyncio.run(fill())
    for arguments, said in (
        (["export", "orders", "--log", url, "--to", str(tmp_path / "x")], "'orders.events' does not exist"),
        (["export", "accounts", "--log", url, "--to", str(file), "--prefix", "b"], "another export"),
        (["import", "accounts", str(cut), "--log", other, "--serve-as", "accounts"], "is cut after 3 events"),
        (
            ["import", "accounts", str(file), "--log", other, "--serve-as", "accounts"],
            "b: version 0 cannot be imported",
        ),
    ):
        capsys.readouterr()
        assert run(["streams", *arguments]) == 1
        assert said in last_error(capsys)


def last_error(capsys: pytest.CaptureFixture[str]) -> str:
    """The last line on standard error, which is one of ours."""
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("sagalog: ")
    return error


def test_a_file_that_cannot_be_opened_is_one_line(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No such file or folder, or a folder in its place; of another form than the one that was asked for."""
    file = str(tmp_path / "all.jsonl")
    answer(capsys, "export", "accounts", "--log", url, "--to", file)

    for arguments, said in (
        (["import", "accounts", str(tmp_path / "none")], "cannot be opened: No such file"),
        (["import", "accounts", str(tmp_path)], "cannot be opened: Is a directory"),
        (["export", "accounts", "--to", str(tmp_path)], "cannot be opened: Is a directory"),
        (["export", "accounts", "--to", str(tmp_path / "none" / "x")], "cannot be opened: No such file"),
        (["export", "accounts", "--to", file, "--format", "avro"], "its format is 'jsonl', wanted is 'avro'"),
    ):
        assert run(["streams", *arguments, "--log", url]) == 1
        assert said in last_error(capsys)


@pytest.mark.parametrize("name", ["all.jsonl", "all.avro"])
def test_an_export_onto_a_full_disk_goes_on_when_there_is_room(
    url: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is one line that says so, and no defect with a traceback."""
    file = str(tmp_path / name)
    arguments = ["export", "accounts", "--log", url, "--to", file]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        for writer in (JsonLinesWriter, AvroWriter):
            patched.setattr(writer, "flush", full)
        assert run(["streams", *arguments]) == 1
        assert "cannot be written on: No space left on device. Free space" in last_error(capsys)

    assert answer(capsys, *arguments)["events"] == 3


def test_no_stream_is_listed_where_none_is_wanted(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """How many there are is said in any case."""
    capsys.readouterr()
    assert run(["streams", "list", "accounts", "--log", url, "--limit", "0"]) == 0

    assert capsys.readouterr().out == "2 streams\n2 more: raise --limit\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["streams", "export", "accounts", "--to", "x", "--after", "garbage"], "is no position"),
        (["streams", "show", "accounts", ""], "1 to 500 are taken"),
        (
            ["streams", "import", "bad name!", "x", "--serve-as", "s"],
            "a store cannot have this name: 'bad name!' holds ' '",
        ),
        (["streams", "export", "bad name!", "--to", "x"], "a store cannot have this name"),
        (["streams", "list", "bad name!"], "a store cannot have this name"),
        (["keys", "forget", ""], "1 to 500 are taken"),
        (["keys", "forget", "x" * 501], "501 bytes"),
        (["streams", "list", "accounts", "--prefix", "\udcff"], "cannot be written in UTF-8"),
        (["streams", "list", "accounts", "--limit", "-1"], "Must be >= 0"),
        (["streams", "show", "accounts", "a", "--limit", "-1"], "Must be >= 0"),
        (["streams", "export", "accounts", "--to", "x", "--prefix", "\udcff"], "cannot be written in UTF-8"),
        (["streams", "export", "accounts", "--to", "x", "--stream", "a", "--stream", ""], "1 to 500 are taken"),
        (["dlq", "list", "--limit", "-1"], "Must be >= 0"),
        (["dlq", "redrive", "--everything", "--limit", "-1"], "Must be >= 0"),
        (["dlq", "redrive", "--everything", "--rate", "0"], "Must be >= 1"),
        (["dlq", "redrive", "--everything", "--cap", "-1"], "Must be >= 0"),
        (["dlq", "discard", "--everything", "--limit", "-1"], "Must be >= 0"),
        (["group", "reset", "shop", "--topic", "", "--to", "start"], "a topic has a name"),
        (["saga", "list", "--limit", "-1"], "Must be >= 0"),
        (["schemas", "serve", "--port", "65536"], "Must be <= 65535"),
    ],
)
def test_a_value_that_cannot_be_one_is_a_mistake(
    url: str, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, with the rule, before anything is opened."""
    assert run([*arguments, "--log", url]) == 2
    assert said in last_error(capsys)


def test_nobody_who_reads_on_is_no_error(tmp_path: Path) -> None:
    """As with `| head`: no traceback, and the code of a program that SIGPIPE ended."""
    log = f"embedded://{tmp_path}/log"

    async def fill() -> None:
        async with accounts(log) as store:
            await store.append("a", deposits(1), expected=ANY)

    asyncio.run(fill())
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "sagalog", "streams", "list", "accounts", "--log", log],
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writing)

    assert (ended.returncode, ended.stderr) == (141, b"")
