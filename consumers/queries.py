"""Find who serves a partition of a view, and ask it.

A question goes to the owner of the partition: in this process, else over HTTP to the address in the note of the group's
position. Of several versions of a view the newest that has caught up everywhere is asked (V3), and until the first one
has, the one that was asked for. While nobody serves a partition a question waits, for a bounded time.

Promised: an answer is of whole writes of the partition, and with `at_least` of everything up to that position.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Protocol

import structlog
from msgspec import structs
from typing_extensions import TypeVar

from consumers.ownership import Counts, Owners, owners_of, short_layout
from consumers.queryable import Queryable
from consumers.remote import NOT_OWNED, Answer, Connections, Question, answer, answer_now, pack, unpack_question
from consumers.table import Table
from consumers.view_errors import PartitionUnserved, PositionNotReached, ViewStopped, ViewUnknown
from consumers.view_loop import ViewLoop
from eventstore.component import Host, Loop
from eventstore.errors import EventStoreError
from eventstore.log.errors import TopicMissing

log = structlog.get_logger(__name__)

K = TypeVar("K")
V = TypeVar("V")

WAIT: Final = timedelta(seconds=10)
FRESH_SECONDS: Final = 1.0
"""How old what is known of owners may be before it is looked up again."""
PAUSE_SECONDS: Final = 0.05
SLICE_SECONDS: Final = 2.0
"""How long one question waits at an owner: one that is gone without a word is noticed then, and its successor asked."""


class HasLoop(Protocol):
    """Runs a loop."""

    loop: Loop


class Running(Protocol):
    """What a process runs (`eventstore.hosting.Hosting` meets it)."""

    @property
    def host(self) -> Host: ...

    @property
    def threads(self) -> Sequence[HasLoop]: ...


class Tables:
    """Finds the tables of all views of a log. One event loop asks; any thread may call `serve` and `problems`."""

    def __init__(self, running: Running, *, wait: timedelta = WAIT) -> None:
        """`wait`: how long a read waits for an owner, and for `at_least`."""
        self._running = running
        self._log, self._service, self._clock = running.host.log, running.host.service, running.host.clock
        self._wait_seconds = wait.total_seconds()
        self._connections = Connections()
        self._counts = Counts(self._log)
        self._owners: dict[str, tuple[float, list[Owners]]] = {}
        self._refreshing: dict[str, asyncio.Task[None]] = {}

    def queryable(self, table: Table[K, V]) -> Queryable[K, V]:
        """The table, to read."""
        return Queryable(self, table)

    def serve(self, view: str, body: bytes) -> bytes:
        """Answer another process's question (`Endpoint`). Blocks until `at_least` is reached.

        Raises:
            ValueError: it is no question of a known version.
        """
        question = unpack_question(body)
        own = question.service == self._service
        return pack(answer(self._loop(view, question.version) if own else None, question))

    def problems(self) -> Mapping[str, str]:
        """Loop name → why a view stands still in this process."""
        return {name: str(problem) for name, problem in self.stopped().items()}

    def stopped(self) -> Mapping[str, ViewStopped]:
        """The same as errors."""
        found = ((loop.name, loop.problem()) for loop in self._loops())
        return {name: problem for name, problem in found if problem is not None}

    def close(self) -> None:
        """Close the connections to other processes."""
        self._connections.close()

    def _loops(self) -> Iterator[ViewLoop]:
        return (thread.loop for thread in self._running.threads if isinstance(thread.loop, ViewLoop))

    def _loop(self, view: str, version: int) -> ViewLoop | None:
        wanted = (loop for loop in self._loops() if loop.definition.name == view and loop.definition.version == version)
        return next(wanted, None)

    async def partitions(self, table: Table[Any, Any]) -> int:
        """How many partitions a view has; before this version of it is run for the first time, another version.

        Raises:
            TopicMissing: its first topic does not exist, and no other version is run.
        """
        topic = table.view.__view__.topics[0]
        count = self._counts.get(topic) or (await asyncio.to_thread(self._counts.of, [topic])).get(topic)
        if count is not None:
            return count
        others = [owners.partitions for owners in await self._known(table) if owners.partitions]
        if not others:
            raise TopicMissing(topic)
        return others[0]

    async def ask(self, table: Table[Any, Any], question: Question) -> Answer:
        """The rows of one partition.

        Raises:
            PartitionUnserved, PositionNotReached, ViewStopped, ViewUnknown, ViewAmbiguous, TopicMissing
        """
        view = table.view.__view__.name
        deadline = self._clock.monotonic() + self._wait_seconds
        why = "no owner is known"
        while True:
            for owners, address in await self._candidates(table, question):
                left = deadline - self._clock.monotonic()
                asked = _addressed(question, owners, max(0.01, min(left, SLICE_SECONDS)))
                found, why = await self._try(view, address, table.name, asked)
                why = _differs(owners, question) or (
                    why if address or owners.notes else self._unrun(view, owners.version)
                )
                if found.result == "rows":
                    return found
                if found.result == "not_reached" and self._clock.monotonic() < deadline:
                    break  # the owner may be another one by now
                _raise_final(view, found, question, self._wait_seconds)
            if self._clock.monotonic() >= deadline:
                if not self._owners.get(view, (0.0, []))[1]:
                    raise ViewUnknown(view)
                raise PartitionUnserved(view, question.partition, waited=self._wait_seconds, why=why)
            await asyncio.sleep(PAUSE_SECONDS)
            await self._refresh(table)

    async def _try(self, view: str, address: str, table: str, question: Question) -> tuple[Answer, str]:
        loop = self._loop(view, question.version) if question.service == self._service else None
        if loop is not None:
            found = await _answer_here(loop, question)
            if found.result != "not_owned" or address in ("", self._running.host.address):
                return found, "this process does not serve it yet"
        if not address:
            return NOT_OWNED, "its owner has no HTTP endpoint"
        timeout = question.wait_seconds + 1.0
        try:
            path = f"/tables/{view}/{table}"
            return await asyncio.to_thread(
                self._connections.ask, address, path, question, timeout
            ), f"{address} does not serve it"
        except OSError as error:
            return NOT_OWNED, f"{address}: {error}"

    def _unrun(self, view: str, version: int) -> str:
        known = ", ".join(str(owners.version) for owners in self._owners.get(view, (0.0, []))[1] if owners.notes)
        others = f"; version {known} is, but has other tables, or has not caught up" if known else ""
        return f"version {version} is not run yet{others}"

    async def _candidates(self, table: Table[Any, Any], question: Question) -> list[tuple[Owners, str]]:
        """Who may serve a partition: versions that have caught up, the newest first; then the one asked for."""
        definition, count = table.view.__view__, await self.partitions(table)
        known, partition = await self._known(table), question.partition
        chosen = [owners for owners in known if owners.has_caught_up(count, definition.layout)]
        if question.topic:
            chosen = [owners for owners in chosen if owners.follows(question.topic)]
        chosen += [owners for owners in known if owners.version == definition.version and owners not in chosen]
        if not any(owners.version == definition.version for owners in chosen):
            chosen.append(Owners(self._service, definition.version))
        return [(owners, owners.notes[partition].address if partition in owners.notes else "") for owners in chosen]

    async def _known(self, table: Table[Any, Any]) -> list[Owners]:
        """What is known of owners; looked up in the background when it is old, and at once when it is needed."""
        definition = table.view.__view__
        seen_at, owners = self._owners.get(definition.name, (float("-inf"), []))
        if self._clock.monotonic() - seen_at >= FRESH_SECONDS:
            if owners or self._loop(definition.name, definition.version) is not None:
                self._refresh_soon(table)
            else:
                await self._refresh(table)
        return self._owners.get(definition.name, (0.0, owners))[1]

    def _refresh_soon(self, table: Table[Any, Any]) -> None:
        name = table.view.__view__.name
        running = self._refreshing.get(name)
        if running is None or running.done():
            self._refreshing[name] = asyncio.create_task(self._refresh_or_keep(table))

    async def _refresh_or_keep(self, table: Table[Any, Any]) -> None:
        """In the background nobody is told of a log that is away: what is known goes on being used."""
        try:
            await self._refresh(table)
        except EventStoreError as error:
            log.info("owners_not_refreshed", view=table.view.__view__.name, error=type(error).__name__)

    async def _refresh(self, table: Table[Any, Any]) -> None:
        definition = table.view.__view__
        owners = await asyncio.to_thread(owners_of, self._log, self._counts, definition, service=self._service)
        self._owners[definition.name] = self._clock.monotonic(), owners


def _differs(owners: Owners, question: Question) -> str:
    """What is wrong if the owner of the partition runs other code; empty: nothing."""
    note = owners.notes.get(question.partition)
    if note is None or note.layout == question.layout:
        return ""
    return f"version {owners.version} is run with other tables or row classes than the reader's: deploy the same code"


def _addressed(question: Question, owners: Owners, left: float) -> Question:
    return structs.replace(question, service=owners.service, version=owners.version, wait_seconds=left)


async def _answer_here(loop: ViewLoop, question: Question) -> Answer:
    partition = loop.partition(question.partition)
    if partition is None or short_layout(loop.definition.layout) != question.layout:
        return NOT_OWNED
    if question.at_least and partition.is_live and partition.position(question.topic) < question.at_least:
        reached = asyncio.wrap_future(partition.reached(question.topic, question.at_least))
        try:
            await asyncio.wait_for(reached, question.wait_seconds)
        except TimeoutError:
            return Answer(result="not_reached")
    return answer_now(loop, question)


def _raise_final(view: str, found: Answer, question: Question, waited: float) -> None:
    if found.result == "not_reached":
        raise PositionNotReached(view, question.partition, waited=waited)
    if found.result == "stopped":
        name, partition, record, error = found.stopped
        raise ViewStopped(name, partition, record=record, error=error)
