"""What lies in the folder of a state beside the rows: what they were derived from, and the folders that stand in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import structlog

from eventstore.folder_lock import FolderLock

log = structlog.get_logger("eventstore.state.rocks")

FORMAT = 1


def stored_identity(folder: Path) -> str | None:
    """What the rows were derived from; None if nothing says so, or in another format."""
    try:
        stored: Any = json.loads((folder / "identity").read_bytes())
    except (FileNotFoundError, IsADirectoryError, ValueError, RecursionError):
        return None
    if not isinstance(stored, dict):
        return None
    fields = cast("dict[str, Any]", stored)
    return str(fields.get("identity")) if fields.get("v") == FORMAT else None


def start_over(folder: Path, identity: str) -> None:
    """Remove the rows, then say what the next ones are derived from: in this order a crash leaves nothing wrong."""
    for name in ("rows", "identity"):
        _remove(folder / name)
    new = folder / "identity.new"
    new.write_text(json.dumps({"v": FORMAT, "identity": identity}))
    new.replace(folder / "identity")


def _remove(path: Path) -> None:
    """Whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def discard_when_opened(folder: Path, why: str) -> None:
    """Rows that nobody can read are of no use: who opens them next starts over."""
    log.warning("state_discarded", folder=str(folder), why=why, when="it is opened next, at once if it is served")
    with suppress(OSError):
        (folder / "identity").unlink(missing_ok=True)


def spares(folder: Path) -> Iterable[Path]:
    """The folders that served while this one was locked."""
    return sorted(folder.parent.glob(f"{folder.name}~*")) if folder.parent.is_dir() else ()


def remove_unless_locked(folder: Path) -> None:
    """Remove a folder that no process uses."""
    if not folder.is_dir():
        return
    lock = FolderLock.acquire(folder / "lock", 0)
    if lock is not None:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
