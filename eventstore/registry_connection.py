"""Requests to a schema registry over HTTP: credentials, patience, and answers of a sensible size.

A request, with all its attempts, the look-up of the host's name and each byte of the answer, takes no longer than the
patience. For that it runs on an event loop of the connection's own: only there can it be given up wherever it stands.
A server that is away, busy (429) or failing (5xx) is asked again; `registry_asked_again` says so in the log.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

import structlog

from eventstore.registry_errors import (
    AUTH_VARIABLE,
    TOKEN_VARIABLE,
    RegistryExtraMissing,
    RegistryRefused,
    RegistryTokenInvalid,
    RegistryUnreachable,
    RegistryUrlInvalid,
)

if TYPE_CHECKING:
    import httpx2

log = structlog.get_logger()

CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"
LARGEST_ANSWER_BYTES: Final = 16 << 20
_BUSY: Final = 429
_SILENCE_SECONDS, _CLOSE_SECONDS = 5.0, 5.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 2.0
T = TypeVar("T")


class _Again(Exception):
    """What may be over soon."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    reason: str
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether it did what was asked."""
        return 200 <= self.status < 300

    def content(self) -> Any:
        """Its JSON.

        Raises:
            ValueError, RecursionError: it is none.
        """
        return json.loads(self.body)

    def said(self) -> str:
        """Why it refused, in one line."""
        try:
            found = str(self.content()["message"])
        except (ValueError, KeyError, TypeError, RecursionError):
            found = self.body[:_SAID_LENGTH].decode(errors="replace")
        line = " ".join(found.encode(errors="replace").decode().split())
        return line[:_SAID_LENGTH] or self.reason


_SAID_LENGTH: Final = 200


class Connection:
    """Asks one server. Any thread; calls block."""

    def __init__(self, url: str, *, patience_seconds: float) -> None:
        """`url`: http or https, with `user:password@` or without.

        Raises:
            RegistryExtraMissing: httpx2 is not installed.
            RegistryUrlInvalid: `url` is no URL of a server.
            RegistryTokenInvalid: the token in the environment is no value of a header.
        """
        self.url, userinfo = _bare(url)
        """Without credentials."""
        self._patience = patience_seconds
        self._userinfo = userinfo
        self._is_closed = False
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._client = _client(self._userinfo)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        """What the server answers, whatever that is, unless it is busy or failing.

        Raises:
            RegistryUnreachable: there is no whole answer within the patience, or this was closed.
            RegistryRefused: the answer is too large, or not encoded as it says.
        """
        call = self._submit(self._within_patience(method, path, body))
        try:
            return call.result()
        except CancelledError:
            raise RegistryUnreachable(self.url, _CLOSED) from None
        except BaseException:
            call.cancel()
            raise

    def close(self) -> None:
        """Release connections. Who waits for an answer is told at once."""
        if self._process != os.getpid():
            self._is_closed = True
            return
        with self._lock:
            self._is_closed, loop, self._loop = True, self._loop, None
        if loop is not None:
            with suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(self._leave(), loop).result(_CLOSE_SECONDS)
            loop.call_soon_threadsafe(loop.stop)

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if self._process != os.getpid():
            self._begin()  # in a child, which has the parent's objects without its threads
        with self._lock:
            if self._is_closed:
                work.close()
                raise RegistryUnreachable(self.url, _CLOSED)
            if self._loop is None:
                self._loop = _started_loop()
                weakref.finalize(self, _stop, self._loop)
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _leave(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.aclose()

    async def _within_patience(self, method: str, path: str, body: object) -> Answer:
        import httpx2

        why = f"there was no whole answer within {self._patience:g} s"
        cause: Exception | None = None
        try:
            async with asyncio.timeout(self._patience):
                for attempt in count(1):
                    try:
                        return await self._attempt(method, path, body)
                    except (_Again, httpx2.TransportError) as error:
                        why, cause = _reason(error), error
                    pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**attempt) * random.uniform(0.5, 1)
                    log.warning("registry_asked_again", registry=self.url, attempt=attempt, why=why)
                    await asyncio.sleep(pause)
        except TimeoutError as error:
            raise RegistryUnreachable(self.url, why) from cause or error
        raise AssertionError("it is asked until there is an answer")

    async def _attempt(self, method: str, path: str, body: object) -> Answer:
        async with self._client.stream(method, self.url + path, json=body) as response:
            answer = Answer(response.status_code, response.reason_phrase, await self._body(response))
        if _is_passing(response):
            raise _Again(f"status {answer.status}: {answer.said()}")
        return answer

    async def _body(self, response: httpx2.Response) -> bytes:
        import httpx2

        read = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                read += chunk
                if len(read) > LARGEST_ANSWER_BYTES:
                    why = f"its answer is larger than {LARGEST_ANSWER_BYTES} bytes"
                    raise RegistryRefused(self.url, response.status_code, why)
        except httpx2.DecodingError as error:
            if _is_passing(response):
                return b""
            named = response.headers.get("content-encoding", "")
            why = f"its answer is not encoded as it says ({named})"
            raise RegistryRefused(self.url, response.status_code, why) from error
        return bytes(read)


_CLOSED: Final = "the connection to it was closed"


def _reason(error: Exception) -> str:
    """Of an error of the network what the system says of it, which is the first cause."""
    first: BaseException = error
    while (cause := first.__cause__ or first.__context__) is not None:
        first = cause
    number = first.errno if isinstance(first, OSError) else None
    return (os.strerror(number) if number and number > 0 else str(error)) or type(error).__name__


def _is_passing(response: httpx2.Response) -> bool:
    return response.status_code == _BUSY or response.is_server_error


def _started_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=_run, args=(loop,), name="sagalog-registry", daemon=True).start()
    return loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


def _stop(loop: asyncio.AbstractEventLoop) -> None:
    with suppress(RuntimeError):  # it is closed
        loop.call_soon_threadsafe(loop.stop)


def _bare(url: str) -> tuple[str, str]:
    """The URL without credentials, and these."""
    given = url.strip()
    try:
        parts = urlsplit(given)
        is_server = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise RegistryUrlInvalid(given) from error
    if not is_server or any(each.isspace() or not each.isprintable() for each in given):
        raise RegistryUrlInvalid(given)
    userinfo, _, host = parts.netloc.rpartition("@")
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", "")), userinfo


def _client(userinfo: str) -> httpx2.AsyncClient:
    try:
        import httpx2
    except ImportError as error:
        raise RegistryExtraMissing from error

    basic, token = userinfo or os.environ.get(AUTH_VARIABLE, "").strip("\r\n"), os.environ.get(TOKEN_VARIABLE, "")
    user, _, password = basic.partition(":")
    auth = httpx2.BasicAuth(unquote(user), unquote(password)) if userinfo else httpx2.BasicAuth(user, password)
    headers = {"Accept": f"{CONTENT_TYPE}, application/json"}
    if token.strip() and not basic:
        headers["Authorization"] = f"Bearer {_token(token.strip())}"
    return httpx2.AsyncClient(auth=auth if basic else None, headers=headers, timeout=_SILENCE_SECONDS)


def _token(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise RegistryTokenInvalid
    return text
