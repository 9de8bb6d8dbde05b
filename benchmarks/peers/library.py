"""`eventsourcing`, the library, on SQLite and on PostgreSQL, as its settings are when nobody changes them.

An append is `events.put` of one domain event: the library turns it into JSON and inserts a row whose key is stream and
version, so that a wrong version is refused. A load is `repository.get`, without its cache.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate

from benchmarks.peers.postgresql import cluster

CENTS = 5
_AT_ONCE = 1_000
_SYNCHRONOUS = ("off", "normal", "full", "extra")


class Account(Aggregate):
    """What is loaded."""

    def __init__(self) -> None:
        self.cents = 0

    @dataclass(frozen=True)  # the library makes it one anyway, which type checkers do not know
    class Deposited(Aggregate.Event):
        """What happened."""

        cents: int

        def apply(self, aggregate: Account) -> None:
            """Add it."""
            aggregate.cents += self.cents


class Accounts(Application[UUID]):
    """The library's store, with snapshots."""

    is_snapshotting_enabled = True


class LibraryStore:
    """One application."""

    def __init__(self, environment: Mapping[str, str], synced: str) -> None:
        """`environment`: the library's settings."""
        self.synced, self._environment = synced, dict(environment)
        self._accounts = Accounts(self._environment)

    def writer(self, stream: str) -> Callable[[], None]:
        """Each call appends one event."""
        identity, version = uuid5(NAMESPACE_URL, stream), 0

        def write() -> None:
            nonlocal version
            version += 1
            self._accounts.events.put([_deposited(identity, version)])

        return write

    def fill(self, stream: str, events: int, *, since: int = 0) -> None:
        """The first event says that the account is new; it is one of these, and brings no cents."""
        identity = uuid5(NAMESPACE_URL, stream)
        for begin in range(since, since + events, _AT_ONCE):
            end = min(begin + _AT_ONCE, since + events)
            self._accounts.events.put([_event(identity, number + 1) for number in range(begin, end)])

    def load(self, stream: str) -> int:
        """From the events, or from a snapshot on."""
        account: Account = self._accounts.repository.get(uuid5(NAMESPACE_URL, stream))
        return account.cents + CENTS

    def take_snapshot(self, stream: str) -> bool:
        """It has snapshots."""
        self._accounts.take_snapshot(uuid5(NAMESPACE_URL, stream))
        return True

    def reopen(self) -> None:
        """Another application on the same database."""
        self.close()
        self._accounts = Accounts(self._environment)

    def close(self) -> None:
        """Close its connections."""
        self._accounts.close()


def _deposited(identity: UUID, version: int) -> Account.Deposited:
    return Account.Deposited(
        originator_id=identity, originator_version=version, timestamp=datetime.now(UTC), cents=CENTS
    )


def _event(identity: UUID, version: int) -> Aggregate.Event:
    if version > 1:
        return _deposited(identity, version)
    topic = f"{Account.__module__}:{Account.__qualname__}"
    return Account.Created(
        originator_id=identity, originator_version=1, timestamp=datetime.now(UTC), originator_topic=topic
    )


@contextmanager
def on_sqlite(folder: Path) -> Generator[LibraryStore]:
    """On a file in the folder."""
    file = folder / "accounts.db"
    store = LibraryStore({"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(file)}, "")
    with closing(sqlite3.connect(file)) as connection:
        (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
        (level,) = connection.execute("PRAGMA synchronous").fetchone()
    store.synced = f"each append ({journal}, synchronous={_SYNCHRONOUS[level]})"
    with closing(store):
        yield store


@contextmanager
def on_postgresql(folder: Path) -> Generator[LibraryStore]:
    """On a server of its own in the folder."""
    with cluster(folder) as server:
        environment = {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": "postgres",
            "POSTGRES_HOST": str(server.socket),
            "POSTGRES_USER": server.user,
            "POSTGRES_PASSWORD": "unused",
        }
        with closing(LibraryStore(environment, server.synced)) as store:
            yield store
