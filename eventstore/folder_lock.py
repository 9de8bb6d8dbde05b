"""A lock on a folder, held by a process until it closes it or ends, however it ends.

It is an advisory `flock` on a file in the folder: unlike RocksDB's own lock it also excludes a second opener in the same process.
A process that is stopped (SIGSTOP) keeps it.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Final

_PAUSE_S: Final = 0.02


class FolderLock:
    """The lock, held since `acquire` returned it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

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
