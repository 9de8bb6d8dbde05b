"""A private PostgreSQL: a new cluster in a folder, reached over a socket there and nowhere else, with default settings.

PostgreSQL refuses to run as root, so root starts it as the user `postgres`, or `nobody` where there is none.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.servers import gid, server, uid

_DEBIAN = Path("/usr/lib/postgresql")
_DURABILITY = ("fsync", "synchronous_commit")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A server that runs."""

    socket: Path
    user: str
    synced: str


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`: that of the path's, else the newest of Debian's; None: there is none."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = [each for each in _DEBIAN.glob("*/bin") if (each / "initdb").exists()]
    return max(versions, key=lambda each: int(each.parent.name), default=None)


@contextmanager
def cluster(folder: Path) -> Generator[Cluster]:
    """Start one in the folder, and stop it."""
    found = programs()
    assert found is not None, "PostgreSQL was looked for before"
    owner, home = _owner(), folder / "postgresql"
    home.mkdir()
    if owner is not None:
        folder.chmod(0o711)
        os.chown(home, owner.pw_uid, owner.pw_gid)
    data, user = home / "data", "bench"
    _said(owner, found / "initdb", "-D", data, "-U", user, "-A", "trust", "-E", "UTF8", "--no-sync")
    settings = [f"{name}={_said(owner, found / 'postgres', '-C', name, '-D', data)}" for name in _DURABILITY]
    options = ("-D", data, "-c", "listen_addresses=", "-c", f"unix_socket_directories={home}")
    with server((found / "postgres", *options), lambda: _is_ready(found, home), owner=owner):
        yield Cluster(home, user, f"each append ({', '.join(settings)})")


def _is_ready(found: Path, home: Path) -> bool:
    return subprocess.run([found / "pg_isready", "-q", "-h", home], check=False).returncode == 0


def _owner() -> pwd.struct_passwd | None:
    """Whom it runs as; None: as we do."""
    if os.geteuid() != 0:
        return None
    known = {each.pw_name: each for each in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def _said(owner: pwd.struct_passwd | None, *command: str | Path) -> str:
    done = subprocess.run(
        command, user=uid(owner), group=gid(owner), extra_groups=None if owner is None else [],
        capture_output=True, text=True, check=True, cwd="/",
    )  # fmt: skip
    return done.stdout.strip()
