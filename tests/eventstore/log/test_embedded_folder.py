"""What the path of an embedded log may be, and what is said when it cannot be one."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from eventstore.log import Topic, open_log
from eventstore.log.errors import EmbeddedBroken, FolderUnusable, LogMissing


def test_whoever_only_looks_makes_no_folder(tmp_path: Path) -> None:
    """A folder that is not there, and one without a log in it, are named and left as they are."""
    (tmp_path / "other").mkdir()

    for folder in (tmp_path / "typo", tmp_path / "other"):
        with pytest.raises(LogMissing, match=f"there is no log in {folder}: correct the URL"):
            open_log(f"embedded://{folder}", must_exist=True)

    assert [path.name for path in tmp_path.rglob("*")] == ["other"]


def test_whoever_only_looks_finds_what_is_there(tmp_path: Path) -> None:
    """A log that a service made is opened."""
    made = open_log(f"embedded://{tmp_path}/log")
    made.create([Topic(name="t")])
    made.close()

    found = open_log(f"embedded://{tmp_path}/log", must_exist=True)

    assert list(found.describe()) == ["t"]
    found.close()


@pytest.mark.parametrize("below", ["", "/log", "/deep/log"])
def test_a_file_in_the_way_is_named(below: str, tmp_path: Path) -> None:
    """Nothing is broken: the path is wrong, and the file is named wherever it is in it."""
    (tmp_path / "file").write_text("mine")

    with pytest.raises(FolderUnusable, match=rf"{tmp_path}/file is a file: give another folder"):
        open_log(f"embedded://{tmp_path}/file{below}")


def test_a_missing_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this user may not write is named, and what to do."""

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)

    with pytest.raises(FolderUnusable, match=f"may not write {tmp_path}/log: give it the permission"):
        open_log(f"embedded://{tmp_path}/log")


def test_a_name_that_no_folder_can_have_is_named(tmp_path: Path) -> None:
    """The system's reason is said."""
    with pytest.raises(FolderUnusable, match="File name too long: give another folder"):
        open_log(f"embedded://{tmp_path}/{'x' * 300}/log")


def test_a_disk_that_fails_is_another_thing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is no wrong path: what is in the folder is the truth."""

    def fail(path: Path, **_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "mkdir", fail)

    with pytest.raises(EmbeddedBroken, match="free space"):
        open_log(f"embedded://{tmp_path}/log")
