"""A process's part on a log: it opens the log, asks, looks at tables, and leaves with all that it opened.

`Service` and `Client` are processes; they differ in what they host. Everything is opened in one order and closed in the
opposite one, also when opening fails half way. Opening and closing block, so they are done on another thread.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar, cast

from consumers.errors import HttpUnavailable, LogNotGiven
from consumers.providers import Providers
from consumers.queries import Tables
from consumers.queryable import Queryable
from consumers.table import Table
from consumers.view_errors import ViewStopped
from eventstore.component import ASK_PATIENCE, Plan, Runtime
from eventstore.errors import EventStoreError
from eventstore.hosting import Hosting, stop_or_leave
from eventstore.log import open_log
from eventstore.offload import to_the_end, unless_given_up
from eventstore.process_host import ProcessHost, make_host
from eventstore.streams import utf8_of
from schemas import Command, Event, Refusal, Reply, key_of
from schemas.names import LONGEST_SLOT, check_name
from schemas.option_values import Kind, check_value
from schemas.personal_fields import M

if TYPE_CHECKING:
    from consumers.http import Endpoint

K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R", bound=Reply | None)
X = TypeVar("X", bound=Refusal)

LOG_VARIABLE = "SAGALOG_LOG"
SLOT_VARIABLE = "SAGALOG_SLOT"
DRAIN = timedelta(seconds=30)
"""How long what is under way may take when a service stops."""
ANY_PORT = "127.0.0.1:0"
LOG = Kind((str,), "URL", "'kafka://host:9092', 'embedded:///folder' or 'memory://'")


class NotStarted(EventStoreError):
    """The service or client does not run: use it inside `async with`."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} does not run: use it inside `async with`")
        self.name = name


class Process:
    """What a `Service` and a `Client` both are; without plans it hosts nothing."""

    _log_is_given_by: ClassVar[str]
    """How the URL of its log can be said; for the error when it was not."""
    _only_asks: ClassVar[bool] = False
    """Whether it makes no log where there is none."""

    def __init__(self, name: str, log: str | None, state: str | None, slot: str | None) -> None:
        check_name(type(self).__name__, name, "shop")
        check_value(name, "log", log, LOG, or_none=True)
        self.name = name
        self._url, self._state, self._slot = log, state, slot
        self._plans: tuple[Plan, ...] = ()
        self._elsewhere: tuple[Plan, ...] = ()
        self._used: tuple[Plan, ...] = ()
        self._providers = Providers()
        self._http = ANY_PORT
        self._registry: str | None = None
        self._standby = False
        self._drain = DRAIN
        self._opened = ExitStack()
        self._host: ProcessHost | None = None
        self._is_given_up = False
        self._hosting: Hosting | None = None
        self._tables: Tables | None = None
        self._is_entered = False

    @property
    def runtime(self) -> Runtime:
        """What runs it now.

        Raises:
            NotStarted: nothing does.
        """
        return self._running()

    @property
    def address(self) -> str:
        """`host:port` of this process's HTTP endpoint.

        Raises:
            NotStarted: it has none yet.
        """
        return self._running().host.address

    async def ask(
        self, command: Command[R, X], /, *, timeout: timedelta = ASK_PATIENCE, id: str | None = None
    ) -> R | X:
        """Send a command to its destination and wait for its reply or refusal.

        `id` makes a repeat harmless: the same id gets the same answer, and nothing happens twice, for eight days. It
        must be the same command; that is compared, unless it was made by code of another version of its class.
        `timeout`: 10 seconds by default, so that callers outlast the session, 6 seconds, of an owner that was killed.

        Raises:
            InputFailed: the handler raised; the message is in the dead letters.
            IdReused: the id stands for another command; nothing happened.
            AskTimedOut: no answer came in time; the outcome is unknown. Ask again with the same `id`.
            UnknownType, Undecodable: it happened; this code cannot read the answer, which newer code gave.
            DestinationNotHosted: this service does not host the destination, and nobody else sees its memory:// log.
            LogClosed: the service stopped before the answer came; the outcome is unknown.
            MessageTooLarge: the command does not fit into a record.
            TypeError: it is no command, or `id` no str.
            ValueError: `id` cannot be written in UTF-8, or its key contains U+0000.
            NotStarted: the service does not run.
        """
        try:
            to, key = command.__to__, key_of(command)
        except AttributeError:
            raise TypeError(f"ask takes a command, and got {_no_command(command)}") from None
        if id is not None and type(id) is not str:
            raise TypeError(f"id={id!r} is no str: give a text that only this command has")
        if id is not None:
            utf8_of("id", id)
        answer = await self._running().ask(to, key, command, id=id, timeout=timeout)
        return cast("R | X", answer)

    async def protect(self, message: M, /) -> M:
        """The message with its personal data sealed, as `ask` does it: for what is sent by other ways.

        Raises:
            SubjectForgotten: its subject was forgotten.
            MasterKeyNotSet: this process has no master key.
            NotStarted: the service does not run.
        """
        return (await self._running().protection.protect([message]))[0]

    async def forget(self, subject: str, /) -> None:
        """Destroy the keys of a subject: its personal data on this log can be read by nobody any more.

        Raises:
            TypeError, ValueError: `subject` is no str, or cannot be one.
            ForgetUnfinished: the log does not answer; `known` says what is known of it. Call this again.
            NotStarted: the service does not run.
        """
        await self._running().protection.forget(subject)

    async def remember(self, subject: str, /) -> None:
        """Let personal data of a forgotten subject be recorded anew. What was sealed before stays unreadable.

        Raises:
            TypeError, ValueError: `subject` is no str, or cannot be one.
            NotStarted: the service does not run.
        """
        await self._running().protection.remember(subject)

    async def rotate_keys(self) -> int:
        """Wrap the keys of all subjects on this log by the current master key; returns how many were not.

        What `sagalog keys rotate` does with SAGALOG_MASTER_KEY, with the `MasterKeys` that the service provides. Then
        no other master is needed. To call it again does no harm.

        Raises:
            MasterKeyNotSet, MasterKeyUnknown, MasterKeyWrong: a key cannot be unwrapped or wrapped; those before are.
            OutcomeUnknown, LogError: the log does not answer. Call this again.
            NotStarted: the service does not run.
        """
        return await self._running().protection.rotate()

    def table(self, table: Table[K, V], /) -> Queryable[K, V]:
        """A view's table to look into, wherever its partitions are: `service.table(Totals.by_order)`.

        Raises:
            NotStarted: the service does not run.
            TypeError: it is no table of a view.
        """
        if not isinstance(table, Table):  # pyright: ignore[reportUnnecessaryIsInstance] - a view's class is given easily
            raise TypeError(f"table({table!r}): give a table of a view, such as Totals.by_order")
        if self._tables is None:
            raise NotStarted(self.name)
        return self._tables.queryable(table)

    def _stopped_views(self) -> Collection[ViewStopped]:
        """Why views stand still here."""
        return () if self._tables is None else self._tables.stopped().values()

    def not_ready(self) -> dict[str, str]:
        """Why this process does not serve everything it was assigned yet: part → reason. Empty: it does.

        Raises:
            NotStarted: it does not run.
        """
        running, tables = self._running(), self._tables
        return {**running.not_ready(), **(tables.problems() if tables is not None else {})}

    async def __aenter__(self) -> Self:
        if self._is_entered:
            raise ValueError(f"{self.name} runs already")
        self._is_entered = True
        try:
            await self._providers.open()
            await unless_given_up(self._start, self._give_up)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            await to_the_end(self._stop)
        finally:
            self._is_entered = self._is_given_up = False
            await self._providers.close()

    def _running(self) -> Hosting:
        if self._hosting is None:
            raise NotStarted(self.name)
        return self._hosting

    def _start(self) -> None:
        url = self._url or os.environ.get(LOG_VARIABLE)
        if not url:
            raise LogNotGiven(self.name, self._log_is_given_by)
        slot = self._slot or os.environ.get(SLOT_VARIABLE, "0")
        check_name("slot=", slot, "0", longest=LONGEST_SLOT)
        opened = self._opened
        log_ = open_log(url, use="host" if self._plans else "guest", must_exist=self._only_asks)
        opened.callback(log_.close)
        endpoint = _endpoint(self._http)
        opened.callback(endpoint.close)
        resources = self._providers.resources
        host = self._host = make_host(
            self.name, log_, slot=slot, state=self._state, address=endpoint.address, resources=resources,
            registry=self._registry,
        )  # fmt: skip
        opened.callback(host.close)
        if self._is_given_up:
            host.close()
        hosting = Hosting(
            host, self._plans, elsewhere=self._elsewhere, used=self._used, standby=self._standby
        )  # fmt: skip
        tables = Tables(hosting)
        opened.callback(tables.close)
        hosting.start()
        opened.callback(stop_or_leave, hosting, self._drain, opened)
        endpoint.serve(hosting, tables)
        self._hosting, self._tables = hosting, tables

    def _give_up(self) -> None:
        """Let nobody wait for a registry any more. Its first question then ends the start."""
        self._is_given_up = True
        if self._host is not None:
            self._host.close()

    def _stop(self) -> None:
        try:
            self._opened.close()
        finally:
            self._hosting, self._tables, self._host = None, None, None


def _no_command(given: object) -> str:
    """What it is instead, and what to give; by its type alone, for the rest may be personal data."""
    if isinstance(given, type):
        return f"the class {given.__name__}: give an object of it, {given.__name__}(…)"
    if isinstance(given, Event):
        return f"the event {type(given).__name__}, which only its owner records: give the command that leads to it"
    return f"one {type(given).__name__}: give an object of a class that is derived from Command[…]"


def _endpoint(bind: str) -> Endpoint:
    from consumers.http import Endpoint  # here, for it takes a tenth of the time that importing services takes

    try:
        return Endpoint(bind)
    except (OSError, ValueError) as error:
        raise HttpUnavailable(bind, str(error)) from error
