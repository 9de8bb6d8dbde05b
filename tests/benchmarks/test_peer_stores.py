"""What appends to other event stores and loads from them: they refuse a wrong version, and their sums are right."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from eventsourcing.persistence import IntegrityError

from benchmarks.peers import postgresql
from benchmarks.peers.library import LibraryStore, on_sqlite
from benchmarks.peers.postgresql import cluster, programs
from benchmarks.peers.servers import server
from benchmarks.peers.uma import UmaStore


@pytest.fixture(name="sqlite")
def _sqlite(tmp_path: Path) -> Generator[LibraryStore]:
    with on_sqlite(tmp_path) as store:
        yield store


def test_sqlite_refuses_a_version_that_is_taken(sqlite: LibraryStore) -> None:
    """Two writers of one stream expect the same version: the second one fails, as ours would."""
    first, second = sqlite.writer("account"), sqlite.writer("account")
    first()

    with pytest.raises(IntegrityError):
        second()


def test_sqlite_loads_what_was_appended(sqlite: LibraryStore) -> None:
    """Five cents for each event, also from a snapshot on, and by an application opened anew."""
    sqlite.fill("account", 1_200)
    assert sqlite.take_snapshot("account")
    sqlite.fill("account", 100, since=1_200)

    sqlite.reopen()

    assert sqlite.load("account") == 1_300 * 5


def test_sqlite_says_what_it_syncs(sqlite: LibraryStore) -> None:
    """The library's defaults, as the file has them."""
    assert sqlite.synced == "each append (wal, synchronous=full)"


@dataclass
class _Event:
    kind: str
    data: bytes
    tags: list[str]


@dataclass
class _QueryItem:
    tags: list[str]


@dataclass
class _Query:
    items: list[_QueryItem]


@dataclass
class _AppendCondition:
    query: _Query
    after: int | None


@dataclass
class _Client:
    """UmaDB's client, as its documentation says: a condition fails if events match that came after a position."""

    url: str
    events: list[_Event] = field(default_factory=list[_Event])

    def append(self, events: Sequence[_Event], condition: _AppendCondition | None = None) -> int:
        if condition is not None:
            known = [at for at, event in enumerate(self.events, 1) if event.tags == condition.query.items[0].tags]
            if any(at > (condition.after or 0) for at in known):
                raise ValueError("events match")
        self.events.extend(events)
        return len(self.events)

    def read(self, query: _Query) -> list[SimpleNamespace]:
        return [SimpleNamespace(event=event) for event in self.events if event.tags == query.items[0].tags]


@pytest.fixture(name="uma")
def _uma(monkeypatch: pytest.MonkeyPatch) -> UmaStore:
    fake = SimpleNamespace(
        Client=_Client, Event=_Event, Query=_Query, QueryItem=_QueryItem, AppendCondition=_AppendCondition
    )
    monkeypatch.setitem(sys.modules, "umadb", fake)
    return UmaStore("http://here")


def test_umadb_refuses_a_version_that_is_taken(uma: UmaStore) -> None:
    """Each append has the condition that nothing of its stream came since its own last event."""
    first, second, other = uma.writer("account"), uma.writer("account"), uma.writer("another")
    first()
    other()
    first()

    with pytest.raises(ValueError, match="events match"):
        second()


def test_umadb_loads_what_was_appended(uma: UmaStore) -> None:
    """Five cents for each event of the stream, and of no other."""
    uma.fill("account", 1_100)
    uma.fill("another", 7)

    assert uma.load("account") == 1_100 * 5
    assert not uma.take_snapshot("account")


def test_a_server_is_stopped(tmp_path: Path) -> None:
    """It runs inside the block, and has ended by itself after it."""
    ready, stopped = tmp_path / "ready", tmp_path / "stopped"
    program = _pausing(f"open({str(ready)!r}, 'w').close()", f"open({str(stopped)!r}, 'w').close()")

    with server([sys.executable, "-c", program], ready.exists):
        assert not stopped.exists()

    assert stopped.exists()


def test_a_server_that_does_not_start_says_so() -> None:
    """Nobody waits for it."""
    with (
        pytest.raises(ChildProcessError, match="ended with 3: run it by hand"),
        server([sys.executable, "-c", "raise SystemExit(3)"], lambda: False),
    ):
        pass


def test_a_private_postgresql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new cluster, reached by a socket only, with the durability that it has by default."""
    folder, said = _programs(tmp_path), tmp_path / "said"
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with cluster(tmp_path) as found:
        assert found.synced == "each append (fsync=on, synchronous_commit=on)"
        assert found.socket == tmp_path / "postgresql"

    assert f"unix_socket_directories={found.socket}" in said.read_text()
    assert "listen_addresses= " in said.read_text()
    assert said.read_text().endswith("stopped")


def test_postgresql_is_found_where_debian_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest version, if the path has none; None if there is none at all."""
    for version in ("9", "15"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "initdb").touch()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))

    monkeypatch.setattr(postgresql, "_DEBIAN", tmp_path)
    assert programs() == tmp_path / "15" / "bin"
    monkeypatch.setattr(postgresql, "_DEBIAN", tmp_path / "empty")
    assert programs() is None


def _pausing(first: str, last: str) -> str:
    """A program that does something, waits for SIGINT, and does something else."""
    stop = f"signal.signal({int(signal.SIGINT)}, lambda *_: ({last}, sys.exit(0)))"
    return f"import signal, sys\n{stop}\n{first}\nwhile True:\n    signal.pause()\n"


def _programs(folder: Path) -> Path:
    """PostgreSQL's programs, as far as they are used."""
    bin_, said = folder / "bin", str(folder / "said")
    bin_.mkdir()
    first, last = f"print(*sys.argv, file=open({said!r}, 'w'))", f"print('stopped', end='', file=open({said!r}, 'a'))"
    texts = {
        "initdb": f"import sys\nopen({said!r}, 'w').close()",
        "postgres": f"import sys\nif '-C' in sys.argv:\n    print('on')\n    sys.exit(0)\n{_pausing(first, last)}",
        "pg_isready": f"import os, sys\nsys.exit(os.path.getsize({said!r}) == 0)",
    }
    for name, text in texts.items():
        (bin_ / name).write_text(f"#!{sys.executable}\n{text}\n")
        (bin_ / name).chmod(0o755)
    return bin_
