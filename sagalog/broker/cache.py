"""The user's cache folder, and locks that several processes respect.

Holds only what can be fetched or made again: jars, a formatted data folder, AOT caches. Deleting it is safe while no
broker is starting. `SAGALOG_CACHE` moves it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def cache_folder() -> Path:
    """The folder of this user's caches, made when it is missing."""
    folder = _configured() / "sagalog"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _configured() -> Path:
    if chosen := os.environ.get("SAGALOG_CACHE") or os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    return Path.home() / ".cache"


@contextmanager
def locked(file: Path, *, wait: bool = True) -> Generator[bool]:
    """Hold an exclusive lock on a file; yield whether it is held.

    With `wait=False` another holder makes it yield False at once. The lock goes with the process, however it ends.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as handle:
        held = _lock(handle.fileno(), wait=wait)
        try:
            yield held
        finally:
            if held:
                _unlock(handle.fileno())


if sys.platform == "win32":

    def _lock(descriptor: int, *, wait: bool) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:

    def _lock(descriptor: int, *, wait: bool) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
