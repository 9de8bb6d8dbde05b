"""A server that answers what a test tells it to, byte by byte."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from typing import Any, cast


class Foreign(socketserver.ThreadingTCPServer):
    """Answers requests, each on a connection of its own."""

    daemon_threads, allow_reuse_address = True, True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, bytes | Iterable[bytes]] = {}
        """By the request's method and path; "" for all others. Portions are written one by one."""
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = cast("Foreign", self.server)
        asked = " ".join(self.rfile.readline().decode().split()[:2])
        length = 0
        while (line := self.rfile.readline()).strip():
            name, _, value = line.decode().partition(":")
            length = int(value) if name.lower() == "content-length" else length
        self.rfile.read(length)
        server.requests.append(asked)
        answer = server.answers.get(asked) or server.answers.get("") or said({"error_code": 404}, status=404)
        with suppress(OSError):
            for portion in [answer] if isinstance(answer, bytes) else answer:
                self.wfile.write(portion)


def said(content: Any, *, status: int = 200, headers: str = "") -> bytes:
    """An answer with JSON, or with these bytes."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    head = f"HTTP/1.1 {status} Said\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@contextmanager
def foreign() -> Generator[Foreign]:
    """One that runs."""
    with Foreign() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(20)
