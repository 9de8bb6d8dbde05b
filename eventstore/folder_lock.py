"""A lock on a folder or a file, held by a process until it closes it or ends, however it ends.

It is an advisory `flock` on the file, for a folder on one in it: unlike RocksDB's own lock it also excludes a second
opener in the same process. A process that is stopped (SIGSTOP) keeps it; a forked child does not inherit it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Final
from weakref import WeakSet

_PAUSE_S: Final = 0.02
_NOT_ALLOWED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_FOLDER: Final = frozenset({errno.ENOTDIR, errno.EEXIST})
_NO_PATH: Final = frozenset({errno.ENOENT, errno.ENAMETOOLONG, errno.EISDIR, errno.ELOOP})


class FolderLock:
    """The lock, held since `acquire` returned it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        _held.add(self)

    @classmethod
    def acquire(cls, file: Path, timeout: float) -> FolderLock | None:
        """The lock, or None if another holder keeps it for longer than `timeout` seconds. The file's folder is made.

        Raises:
            OSError: the file cannot be made.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, deadline = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), time.monotonic() + timeout
        nobody = threading.Event()
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    return None
                nobody.wait(_PAUSE_S)
            else:
                return cls(descriptor)

    def release(self) -> None:
        """Let others have it. A second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def why_unusable(path: Path, error: OSError, otherwise: str) -> str:
    """Why the path cannot be a folder of ours, and what to do, told apart from a disk that fails: that is empty.

    `otherwise`: where another one is given.
    """
    if error.errno in _NOT_ALLOWED:
        return f"this user may not write {error.filename}: give it the permission, or {otherwise}"
    if error.errno in _NO_FOLDER:
        file = next((each for each in reversed((path, *path.parents)) if each.is_file()), path)
        return f"{file} is a file: {otherwise}, or move the file away"
    return f"{error.filename}: {error.strerror}: {otherwise}" if error.errno in _NO_PATH else ""


_held: WeakSet[FolderLock] = WeakSet()


def _let_go_in_child() -> None:
    """Else a child that outlives the holder (of a process pool) would keep the lock."""
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_let_go_in_child)
