"""`embedded:///folder`: a durable log in a folder, in the process that opened it first.

Options: `partitions` (of topics that do not say), `message_max_bytes`, and `fsync`:

- `fsync=none` (the default): what was acknowledged survives kill −9 of the process, not a power failure or a crash of
  the machine.
- `fsync=commit`: an acknowledgement, of a record or a unit, waits until it is on disk.

Several `open_log` calls of one process share the folder. A second process talks to the first one over a socket in the
folder (rule B): it can make topics, produce, read and look at groups, but cannot join a group or open a transactor.

Layout of the folder, version 1: `lock` (held by the owner), `owner` (JSON `{"v": 1, "pid": …, "socket": "…"}`),
`socket`, `log/` (RocksDB, see `eventstore.log.local.rocks`). A state folder may lie beside them.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from eventstore.clock import Clock
from eventstore.folder_lock import FolderLock, why_unusable
from eventstore.log.errors import EmbeddedBroken, EmbeddedInUse, FolderUnusable, LogError, LogMissing
from eventstore.log.local.broker import DEFAULT_PARTITIONS, MESSAGE_MAX_BYTES, Broker
from eventstore.log.local.log import LocalLog
from eventstore.log.local.remote.client import RemoteLog
from eventstore.log.local.remote.connection import connect
from eventstore.log.local.remote.server import Server
from eventstore.log.local.rocks import RocksStore
from eventstore.log.port import Log, Use

_REACHABLE_S: Final = 5.0
"""How long a second process waits for an owner that is just starting, or just ending."""


@dataclass(slots=True)
class _Owned:
    """A folder that this process owns."""

    broker: Broker
    server: Server
    lock: FolderLock
    pid: int
    handles: int = 0
    is_used_only: bool = True
    """No handle was opened for more than to use it: who hosts may have it."""

    def close(self) -> None:
        """Stop serving, close the store, let others have the folder: in this order."""
        self.server.close()
        self.broker.close()
        self.lock.release()


_owned: dict[Path, _Owned] = {}
_guard = threading.Lock()


def open_embedded(
    url: str,
    folder: str,
    *,
    clock: Clock | None = None,
    partitions: int = DEFAULT_PARTITIONS,
    message_max_bytes: int = MESSAGE_MAX_BYTES,
    fsync: bool = False,
    must_exist: bool = False,
    use: Use = "any",
) -> Log:
    """The log in a folder. In this process the first to open it decides on the options.

    It is made if it is missing, unless it `must_exist`. `use`: a process that opened it to be a `guest`, because nobody
    had it, gives it up to the first one that is to `host` something; its own handles are closed by that.

    Raises:
        LogMissing: it is missing, and must exist.
        FolderUnusable: the path cannot be a folder, or this user may not write there.
        EmbeddedBroken: the folder cannot be made, read or written.
        EmbeddedInUse: another process owns the folder and does not answer.
    """
    path = Path(folder).absolute().resolve()
    if must_exist and not _is_log(path):
        raise LogMissing(str(path))
    deadline = time.monotonic() + _REACHABLE_S
    while True:
        with _guard:
            owned = _owned_here(path) or _take(path, clock, partitions, message_max_bytes, fsync)
            if owned is not None:
                owned.handles += 1
                owned.is_used_only &= use == "guest"
                return LocalLog(url, owned.broker, partial(_close_handle, path, owned))
        remote = _remote(url, path)
        if remote is not None and not (use == "host" and remote.take_over()):
            return remote
        if remote is not None:
            remote.close()
        if time.monotonic() > deadline:
            raise EmbeddedInUse(
                f"{path} belongs to a process that does not answer: end it, or continue it if it is stopped; its pid "
                f"is in {path / 'owner'}"
            )


def _owned_here(path: Path) -> _Owned | None:
    owned = _owned.get(path)
    return owned if owned is not None and owned.pid == os.getpid() else None


def _take(path: Path, clock: Clock | None, partitions: int, message_max_bytes: int, fsync: bool) -> _Owned | None:
    """Become the owner, unless another process is."""
    try:
        lock = FolderLock.acquire(path / "lock", 0.05)
    except OSError as error:
        raise _unusable(path, error) from error
    if lock is None:
        return None
    try:
        store = RocksStore(path / "log", fsync=fsync)
    except BaseException:
        lock.release()
        raise
    broker = Broker(store, clock, default_partitions=partitions, message_max_bytes=message_max_bytes)
    try:
        server = Server(path, broker, lambda: _give_up(path))
    except OSError as error:
        broker.close()
        lock.release()
        raise EmbeddedBroken(str(path), f"no socket can be made for it: {error}") from error
    owned = _owned[path] = _Owned(broker, server, lock, os.getpid())
    return owned


def _is_log(path: Path) -> bool:
    """Whether RocksDB made its log there, or this user may not know."""
    try:
        return (path / "log" / "CURRENT").exists()
    except PermissionError:
        return True


def _unusable(path: Path, error: OSError) -> LogError:
    """What is wrong with the path, told apart from a disk that fails."""
    why = why_unusable(path, error, "give another folder in the URL")
    return FolderUnusable(str(path), why) if why else EmbeddedBroken(str(path), str(error))


def _remote(url: str, path: Path) -> RemoteLog | None:
    """The owner's log over its socket; None if nobody answers there (yet, or any more)."""
    try:
        return RemoteLog(url, path, connect(path))
    except (OSError, ValueError):
        return None


def _give_up(path: Path) -> bool:
    """Let another process have the folder, if this one only uses it."""
    with _guard:
        owned = _owned_here(path)
        if owned is None or not owned.is_used_only:
            return False
        del _owned[path]
        owned.close()
        return True


def _close_handle(path: Path, owned: _Owned) -> None:
    with _guard:
        owned.handles -= 1
        if owned.handles == 0 and _owned_here(path) is owned:
            del _owned[path]
            owned.close()
