"""The second process's connection to the owner of a folder."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from eventstore.log.errors import LogClosed
from eventstore.log.local.remote import messages as m
from eventstore.log.local.remote.owner import socket_of

A = TypeVar("A", bound=m.Answer)

_ANSWER_S: Final = 30.0
_GREETING_S: Final = 2.0


class Connection:
    """One request at a time to the owner."""

    def __init__(self, folder: Path, path: str) -> None:
        self.folder, self._path = folder, path
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(_GREETING_S)
            self._socket.connect(path)
            m.send(self._socket, m.Hello())
            welcome = m.receive_answer(self._socket)
        except BaseException:
            self._socket.close()
            raise
        if not isinstance(welcome, m.Welcome):
            raise ConnectionError(f"not a greeting: {welcome}")
        self.pid, self.message_max_bytes = welcome.pid, welcome.message_max_bytes

    def another(self) -> Connection:
        """A second connection to the same owner."""
        try:
            return Connection(self.folder, self._path)
        except OSError as error:
            raise self._gone() from error

    def ask(self, request: m.Request, answer: type[A], *, wait_s: float = 0.0) -> A:
        """Ask and wait for the answer.

        Raises:
            LogClosed: the owner ended, or this connection was closed.
            LogError: what the owner raised.
        """
        with self._lock:
            try:
                self._socket.settimeout(_ANSWER_S + wait_s)
                m.send(self._socket, request)
                answered = m.receive_answer(self._socket)
            except (OSError, ValueError, msgspec.MsgspecError) as error:
                self._socket.close()
                raise self._gone() from error
        if isinstance(answered, m.Failed):
            raise m.error_of(answered)
        assert isinstance(answered, answer)
        return answered

    def close(self) -> None:
        """End the connection; whoever waits for an answer is told."""
        with suppress(OSError):  # it is gone already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _gone(self) -> LogClosed:
        return LogClosed(f"process {self.pid}, which owned {self.folder}, does not answer any more: open the log again")


def connect(folder: Path) -> Connection:
    """Connect to the owner of a folder.

    Raises:
        OSError: nobody answers.
        ValueError: what answers, or the note about it, is none of ours.
    """
    return Connection(folder, socket_of(folder))
