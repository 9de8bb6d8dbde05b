"""Reach the owners of the store that takes an import: those that run, or this process in place of its service.

Types of a file need not be known to a store, but a version of one, once it is registered, keeps code from starting that
has a newer version and no upcast. Before anything is registered the owner of the first stream says whether its code is
so, of an aggregate also whether it reads each type. No code stands behind a process that stands in: it refuses versions
below those that the registry has of a type, unless it has these, too.

Not promised: that other services which know a type have its upcast, nor other processes of the same service with other
code, as while a new one is deployed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import cast

from eventstore.appending import StoreProcessor
from eventstore.component import Plan
from eventstore.errors import AskTimedOut
from eventstore.hosting import Hosting, run_alone
from eventstore.log import open_log
from eventstore.log.errors import LogMissing
from eventstore.processor.importing import IMPORT_MESSAGES
from eventstore.processor.port import Processor, Retention
from eventstore.processor.questions import PageRead, ReadPage
from eventstore.processor.topics import check_store_name, events_of
from eventstore.registry_choice import open_registry
from eventstore.transfer.entries import EventEntry
from eventstore.transfer.errors import StoreNotServed, TypesNotTaken
from eventstore.transfer.event_schemas import check_registry
from eventstore.transfer.files import reading, whole
from eventstore.transfer.importing import Imported, Importing
from eventstore.transfer.target_schemas import left_behind, types_of

_PATIENCE = timedelta(seconds=5)
_ATTEMPTS = 3
"""A failover takes up to 10 seconds."""
_READY_SECONDS, _PAUSE_SECONDS = 60.0, 0.02
_NAME = "sagalog-import"
"""Answers come back on the topic of this name."""


async def import_streams(
    log: str,
    store: str,
    source: str | Path,
    *,
    serve_as: str | None = None,
    partitions: int | None = None,
    dry_run: bool = False,
    registry: str | None = None,
    progress: Callable[[int], object] | None = None,
) -> Imported:
    """Append the events of an exported file to a store, as they were recorded.

    They go through the processes that serve the store. `serve_as`: none runs; this process stands in for the service of
    this name (that of a store which is used alone is the store's), and makes the store if there is none, with so many
    `partitions`. `dry_run`: only compare. `registry`: the URL of that which the service uses; None: the variable
    SAGALOG_REGISTRY, else the one in the log. `progress` is told how many more events were looked at.

    Raises:
        ExportIncomplete, ExportUnreadable: the file is cut, damaged, or no export; nothing was imported.
        ImportConflict: the target has other events; it names stream and version.
        Incompatible: the target's registry refuses a schema; nothing was imported.
        UnknownSchema, SchemaOfOtherType: the registry has not the schema of the store's last events: it is the wrong
            one; nothing was imported or registered.
        TypesNotTaken: the owner reads no such versions; nothing was imported or registered.
        StoreNotServed: no process serves the store, or there is no log yet, and `serve_as` was not given.
        AskTimedOut: an owner did not answer for a minute. Call it again: what is there is skipped.
        LogError: the log cannot be opened, read or written.
        FileUnusable: the file cannot be opened.
        ValueError: the store's name is none.
        OSError: the file cannot be read.
    """
    check_store_name(store)
    path = Path(source)
    checked = await asyncio.to_thread(whole, path)
    first = await asyncio.to_thread(_first_stream, path)
    if first is None:
        return Imported(path, checksum=checked.end.checksum)
    target = await asyncio.to_thread(_look, log, store, registry, must_exist=serve_as is None or dry_run)
    if serve_as is None and not target.exists:
        raise StoreNotServed(store, log_missing_in=target.log_missing_in)
    is_dry_of_nothing = dry_run and not target.exists
    url = "memory://" if dry_run and target.log_missing_in else log
    stood_for = None if is_dry_of_nothing else serve_as
    async with _reached(url, store, stood_for, partitions, target, registry) as hosting:
        untaken = [] if serve_as is not None else await _asked(hosting, store, first, types_of(checked.schemas))
        with open_registry(hosting.host.log, registry) as opened:
            if serve_as is not None:
                untaken = await asyncio.to_thread(left_behind, opened, checked.schemas)
            if untaken:
                raise TypesNotTaken(store, untaken, is_asked=serve_as is None)
            importing = Importing(hosting, opened, store, path, checked)
            return await importing.run(dry_run=dry_run, progress=progress or (lambda _: None))


def _first_stream(path: Path) -> str | None:
    with reading(path) as file:
        return next((entry.stream for entry, _ in file.entries() if isinstance(entry, EventEntry)), None)


@dataclass(frozen=True, slots=True)
class _Target:
    exists: bool
    retention: Retention
    log_missing_in: str = ""
    """The folder that holds no log."""


def _look(url: str, store: str, registry: str | None, *, must_exist: bool) -> _Target:
    """The store as it is. Its events are compared with the registry."""
    try:
        log, topic = open_log(url, must_exist=must_exist), events_of(store)
    except LogMissing as missing:
        return _Target(exists=False, retention="compacted", log_missing_in=missing.folder)
    try:
        described = log.describe([topic]).get(topic)
        exists = described is not None
        if described is not None:
            with open_registry(log, registry) as opened:
                check_registry(log, topic, described.partitions, opened)
        policy = log.configuration([topic])[topic].get("cleanup.policy") if exists else "compact"
        return _Target(exists, "forever" if policy == "delete" else "compacted")
    finally:
        log.close()


@dataclass(frozen=True, slots=True)
class _Guest:
    """What the importing process hosts."""

    name: str
    processors: tuple[Processor[None], ...]

    def __component__(self) -> Plan:
        return Plan(name=self.name, messages=IMPORT_MESSAGES, processors=self.processors)


@asynccontextmanager
async def _reached(
    log: str, store: str, serve_as: str | None, partitions: int | None, target: _Target, registry: str | None
) -> AsyncGenerator[Hosting]:
    processors: tuple[Processor[None], ...] = ()
    if serve_as is not None:
        processors = (StoreProcessor(store, (), None if target.exists else partitions, target.retention),)
    async with run_alone(_Guest(serve_as or _NAME, processors), log, registry=registry) as hosting:
        await asyncio.to_thread(_wait_ready, hosting)
        yield hosting


def _wait_ready(hosting: Hosting) -> None:
    """Until the partitions are taken: what is asked before goes a longer way."""
    until = time.monotonic() + _READY_SECONDS
    while hosting.not_ready() and time.monotonic() < until:
        time.sleep(_PAUSE_SECONDS)


async def _asked(hosting: Hosting, store: str, stream: str, types: dict[str, list[int]]) -> list[str]:
    """Which of the types the owner does not take.

    It is asked first, also because messages to nobody would wait in its inbox.
    """
    for _ in range(_ATTEMPTS):
        asked_ms = hosting.host.clock.now_ms()
        question = ReadPage(
            after=-1, until=None, backwards=False, events=0, fenced=False, asked_ms=asked_ms, types=types
        )
        try:
            answer, _ = await hosting.ask_positioned(store, stream, question, timeout=_PATIENCE)
        except AskTimedOut:
            continue
        return cast("PageRead", answer).untaken or []
    raise StoreNotServed(store)
