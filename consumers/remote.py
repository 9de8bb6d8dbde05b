"""Read rows of a partition: the question, the answer, and how they travel between processes.

`POST /tables/<view>/<table>`; body and answer are a version byte, 01, and a msgpack array with the fields of
`Question` and `Answer` in their order. Keys and rows are the bytes of the state (`consumers.view_partition`), so only
code of an equal layout reads them.
"""

from __future__ import annotations

import http.client
import threading
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec

from consumers.ownership import short_layout
from consumers.view_errors import NotOwnedHere, ViewStopped

if TYPE_CHECKING:
    from consumers.view_loop import ViewLoop

_VERSION = b"\x01"


class Question(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What is asked of the owner of a partition: rows of `keys`, else up to `limit` rows with start ≤ key < end."""

    service: str
    version: int
    layout: str
    partition: int
    keys: Sequence[bytes] = ()
    start: bytes = b""
    end: bytes | None = None
    limit: int = 0
    reverse: bool = False
    topic: str = ""
    at_least: int = 0
    """Answer only when `topic` was handled up to this position."""
    wait_seconds: float = 0.0
    """How long to wait for that."""


class Answer(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What the owner says."""

    result: Literal["rows", "not_owned", "not_reached", "stopped"]
    rows: Sequence[tuple[bytes, bytes | None]] = ()
    stopped: tuple[str, int, str, str] = ("", 0, "", "")
    """View, partition, record and error of a partition that stands still."""


T = TypeVar("T")
_questions = msgspec.msgpack.Decoder(Question)
_answers = msgspec.msgpack.Decoder(Answer)


def pack(message: Question | Answer) -> bytes:
    """As bytes."""
    return _VERSION + msgspec.msgpack.encode(message)


def unpack_question(data: bytes) -> Question:
    """Raises ValueError: these are no bytes of a question of a known version."""
    return _decoded(_questions, data)


def unpack_answer(data: bytes) -> Answer:
    """Raises ValueError: these are no bytes of an answer of a known version."""
    return _decoded(_answers, data)


def _decoded(decoder: msgspec.msgpack.Decoder[T], data: bytes) -> T:
    try:
        return decoder.decode(_body(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"no message of ours: {error}") from error


def _body(data: bytes) -> bytes:
    if data[:1] != _VERSION:
        raise ValueError(f"version {data[:1].hex() or 'none'} is not known here: run the same release in all processes")
    return data[1:]


NOT_OWNED = Answer(result="not_owned")


def answer(loop: ViewLoop | None, question: Question) -> Answer:
    """What this process can say, after waiting for `at_least`. Any thread, but it may block."""
    partition = None if loop is None else loop.partition(question.partition)
    if loop is None or partition is None or short_layout(loop.definition.layout) != question.layout:
        return NOT_OWNED
    if question.at_least and partition.is_live:
        try:
            partition.reached(question.topic, question.at_least).result(question.wait_seconds)
        except FutureTimeout:
            return Answer(result="not_reached")
    return answer_now(loop, question)


def answer_now(loop: ViewLoop, question: Question) -> Answer:
    """What this process can say at once, at whatever position it is. Any thread."""
    partition = loop.partition(question.partition)
    if partition is None:
        return NOT_OWNED
    try:
        if question.keys:
            values = partition.get(question.keys)
            return Answer(result="rows", rows=list(zip(question.keys, values, strict=True)))
        rows = partition.scan(question.start, question.end, question.limit, reverse=question.reverse)
        return Answer(result="rows", rows=rows)
    except NotOwnedHere:
        return NOT_OWNED
    except ViewStopped as stopped:
        return Answer(result="stopped", stopped=(stopped.view, stopped.partition, stopped.record, stopped.error))


class Connections:
    """Kept connections to other processes. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: defaultdict[str, list[http.client.HTTPConnection]] = defaultdict(list)

    def ask(self, address: str, path: str, question: Question, timeout: float) -> Answer:
        """Put a question to the process at `address`.

        Raises:
            OSError: nobody answers there.
            ValueError: it answers something else.
        """
        with self._lock:
            kept = self._free[address].pop() if self._free[address] else None
        if kept is not None:
            with suppress(ConnectionError):  # it was closed by the other side meanwhile: a read does no harm twice
                return self._ask(kept, address, path, question, timeout)
        return self._ask(http.client.HTTPConnection(address, timeout=timeout), address, path, question, timeout)

    def _ask(
        self, connection: http.client.HTTPConnection, address: str, path: str, question: Question, timeout: float
    ) -> Answer:
        try:
            if connection.sock is not None:
                connection.sock.settimeout(timeout)
            connection.request("POST", path, pack(question), {"Content-Type": "application/octet-stream"})
            response = connection.getresponse()
            body = response.read()
        except http.client.HTTPException as error:
            connection.close()
            raise ConnectionError(f"{address}: {type(error).__name__}: {error}") from error
        except OSError:
            connection.close()
            raise
        if response.status in (http.client.NOT_FOUND, http.client.SERVICE_UNAVAILABLE):
            return NOT_OWNED  # it starts or stops, and says so
        if response.status != http.client.OK:
            raise ValueError(f"{address} answered {response.status}: {body[:200].decode(errors='replace')}")
        with self._lock:
            self._free[address].append(connection)
        return unpack_answer(body)

    def close(self) -> None:
        """Close what is kept."""
        with self._lock:
            for connections in self._free.values():
                for connection in connections:
                    connection.close()
            self._free.clear()
