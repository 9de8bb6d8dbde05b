"""The HTTP endpoint of a process: health, metrics, and the tables of its views.

    GET  /live                      200 as long as the process answers
    GET  /ready                     200 when every loop serves what it was assigned; else 503; JSON {"ready", "reasons"}
    GET  /metrics                   Prometheus text; each sample has the label `component`
    POST /tables/<view>/<table>     rows of one partition, for other processes of the service (`consumers.remote`)

It has no authentication: bind it to an address that only your own network reaches. One thread per connection.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple, Protocol, cast

import structlog

from consumers.exposition import exposition

log = structlog.get_logger(__name__)

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
IDLE_SECONDS: Final = 60.0
_ANY: Final = ("", "0.0.0.0", "::")  # noqa: S104 - what a user may bind; recognized, not bound


class Health(Protocol):
    """What the endpoint shows of a process (`eventstore.hosting.Hosting` meets it)."""

    def not_ready(self) -> Mapping[str, str]:
        """Loop name → why it is not ready."""
        ...

    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """Each loop's metrics, by its name."""
        ...


class Rows(Protocol):
    """What the endpoint serves of views (`consumers.queries.Tables` meets it)."""

    def problems(self) -> Mapping[str, str]:
        """Loop name → why a view stands still."""
        ...

    def serve(self, view: str, body: bytes) -> bytes:
        """The answer to a question of another process.

        Raises:
            ValueError: it is no question of a known version.
        """
        ...


class Reply(NamedTuple):
    """What a request gets."""

    status: HTTPStatus
    body: bytes
    kind: str = "text/plain; charset=utf-8"


class Endpoint:
    """Listens from the start, so that the address is known; answers 503 until `serve`."""

    def __init__(self, bind: str = "127.0.0.1:0") -> None:
        """`bind`: `host:port`; port 0: any free one.

        Raises:
            ValueError: `bind` is no `host:port`.
            OSError: the address cannot be bound.
        """
        host, _, port = bind.rpartition(":")
        if ":" not in bind or not port.isdecimal():
            raise ValueError(f"{bind!r} is no host:port: give for example 127.0.0.1:8080")
        self._health: Health | None = None
        self._rows: Rows | None = None
        self._server = _Server((host.strip("[]"), int(port)), self._answer)
        named = socket.gethostname() if host in _ANY else host
        self.address = f"{named}:{self._server.server_address[1]}"
        """`host:port`, for others."""
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="http", daemon=True)
        self._thread.start()

    def serve(self, health: Health, rows: Rows) -> None:
        """Show this process from now on."""
        self._health, self._rows = health, rows

    def close(self) -> None:
        """Answer nothing more, and close the connections."""
        self._health = self._rows = None
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, method: str, path: str, body: bytes) -> Reply:
        if (method, path) == ("GET", "/live"):
            return Reply(HTTPStatus.OK, b"live\n")
        health, rows = self._health, self._rows
        if health is None or rows is None:
            return _ready({"process": "starting or stopping"})
        if method == "GET" and path == "/ready":
            return _ready({**health.not_ready(), **rows.problems()})
        if method == "GET" and path == "/metrics":
            return Reply(HTTPStatus.OK, exposition(health.metrics()), "text/plain; version=0.0.4; charset=utf-8")
        match method, path.split("/"):
            case "POST", ["", "tables", view, _]:
                return Reply(HTTPStatus.OK, rows.serve(view, body), "application/octet-stream")
            case _:
                return Reply(HTTPStatus.NOT_FOUND, b"there are /live, /ready, /metrics\n")


def _ready(reasons: Mapping[str, str]) -> Reply:
    status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    body = json.dumps({"ready": not reasons, "reasons": dict(reasons)}, ensure_ascii=False, indent=1)
    return Reply(status, body.encode() + b"\n", "application/json")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], answer: Callable[[str, str, bytes], Reply]) -> None:
        self.answer = answer
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        with self._lock:
            for connection in self._connections:
                _hang_up(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of ours."""
        log.debug("http_connection_failed", client=str(client_address), error=repr(sys.exception()))


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        log.debug("http_connection_gone")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._reply(b"")

    def do_POST(self) -> None:
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal() or int(size) > MAX_BODY_BYTES:
            self.close_connection = True
            self._send(Reply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"a body needs a length that is not too large\n"))
            return
        self._reply(self.rfile.read(int(size)))

    def _reply(self, body: bytes) -> None:
        try:
            reply = cast("_Server", self.server).answer(self.command, self.path.partition("?")[0], body)
        except ValueError as error:
            reply = Reply(HTTPStatus.BAD_REQUEST, f"{error}\n".encode())
        except Exception as error:  # the request fails, the process does not
            log.warning("http_request_failed", path=self.path, error=type(error).__name__, exc_info=error)
            reply = Reply(HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(error).__name__}: {error}\n".encode())
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        connection = "close" if self.close_connection else "keep-alive"
        head = (
            f"HTTP/1.1 {reply.status.value} {reply.status.phrase}\r\nContent-Type: {reply.kind}\r\n"
            f"Content-Length: {len(reply.body)}\r\nConnection: {connection}\r\n\r\n"
        )
        self.wfile.write(head.encode() + reply.body)  # in one segment: two would wait for an acknowledgement

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""
