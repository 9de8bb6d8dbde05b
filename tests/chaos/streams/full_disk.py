"""Fill the disk of a state folder: a small tmpfs where one may be mounted, else an engine that refuses to write.

Mounting needs root. A limit on the size of files (RLIMIT_FSIZE) is no way out: it holds for every file of the process,
its history and its log among them. So without root the owner's state engine answers as RocksDB's does on a full disk,
while there is a file `full` beside the state folder; what RocksDB does itself is then not tried.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from eventstore.state.errors import StateDiskFull
from eventstore.state.port import Row, State, StateEngine

SIZE = "96m"
_FILLER, _FLAG = "filler", "full"
_CHUNK = bytes(1 << 20)


class Disk:
    """The disk of one owner's state."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "sagalog-chaos", str(folder)]
        self.is_real = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0

    def fill(self) -> None:
        """From now on nothing can be written."""
        if not self.is_real:
            (self.folder / _FLAG).touch()
            return
        with (self.folder / _FILLER).open("ab", buffering=0) as filler:
            size = len(_CHUNK)
            while size:
                try:
                    filler.write(_CHUNK[:size])
                except OSError:
                    size //= 2

    def free(self) -> None:
        """There is room again."""
        for name in (_FILLER, _FLAG):
            (self.folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Give the disk up, with what is on it."""
        if self.is_real:
            subprocess.run(["umount", "--lazy", str(self.folder)], capture_output=True, check=False)
            self.is_real = False


class LimitedState:
    """A state engine that cannot write while the file `full` is beside its folder."""

    def __init__(self, engine: StateEngine, folder: Path) -> None:
        self._engine, self._flag = engine, folder.parent / _FLAG

    def open(self, name: str, identity: str) -> State:
        self._require_room(name)
        return _Limited(self._engine.open(name, identity), self, name)

    def discard(self, name: str) -> None:
        self._engine.discard(name)

    def _require_room(self, name: str) -> None:
        if self._flag.exists():
            raise StateDiskFull(name)


class _Limited:
    def __init__(self, state: State, engine: LimitedState, name: str) -> None:
        self._state, self._engine, self._name = state, engine, name
        self.get, self.get_many, self.flush = state.get, state.get_many, state.flush
        self.check, self.close = state.check, state.close

    def write(self, rows: Sequence[Row]) -> None:
        self._engine._require_room(self._name)
        self._state.write(rows)

    def load(self, rows: Mapping[bytes, bytes | None]) -> None:
        self._engine._require_room(self._name)
        self._state.load(rows)

    def scan(self, start: bytes, end: bytes | None = None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return self._state.scan(start, end, reverse=reverse)
