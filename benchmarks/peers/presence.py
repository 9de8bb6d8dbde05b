"""Which other event stores are installed here, in which versions, and how the others would be."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from importlib.util import find_spec

from benchmarks.peers.postgresql import programs
from benchmarks.setting import Peer

_PACKAGES: dict[Peer, tuple[str, ...]] = {
    "eventsourcing-sqlite": ("eventsourcing",),
    "eventsourcing-postgresql": ("eventsourcing", "psycopg", "psycopg_pool"),
    "umadb": ("umadb",),
}
_INSTALL = "make bench PEERS=1, or pip install 'sagalog[peers]'"
_POSTGRESQL = "apt-get install postgresql, or have initdb in the path"


def missing(peer: Peer) -> str | None:
    """What is not there and how it comes; None: it can be measured."""
    absent = [name for name in _PACKAGES[peer] if find_spec(name) is None]
    if absent:
        return f"{peer}: {', '.join(absent)} not installed: {_INSTALL}"
    if peer == "eventsourcing-postgresql" and programs() is None:
        return f"{peer}: PostgreSQL not installed: {_POSTGRESQL}"
    return None


def versions(peers: Iterable[Peer]) -> dict[str, str]:
    """Of the packages of these, which are installed, and of the server."""
    found = {name: version(name) for peer in peers for name in _PACKAGES[peer]}
    if "eventsourcing-postgresql" in peers:
        folder = programs()
        assert folder is not None, "PostgreSQL was looked for before"
        said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
        found["postgresql"] = said.split()[2]
    return found
