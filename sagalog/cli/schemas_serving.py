"""`sagalog schemas serve`: the log's registry over HTTP until Ctrl-C."""

from __future__ import annotations

import socket

from eventstore.registry import TopicRegistry
from sagalog.cli.opening import opened
from sagalog.cli.output import show
from sagalog.schema_server import WebExtraMissing, application


class CannotListen(Exception):
    """The address is in use, or not of this machine. The message says what to correct."""


def serve_registry(log: str, host: str, port: int, *, json: bool) -> None:
    """Serve until SIGINT or SIGTERM; says where.

    Raises:
        CannotListen: the address cannot be bound.
        WebExtraMissing: the extra is not installed.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise WebExtraMissing from error
    with opened(log) as looked_at, TopicRegistry(looked_at) as registry, _listening(host, port) as bound:
        server = uvicorn.Server(uvicorn.Config(application(registry), log_level="warning", lifespan="off"))
        url = f"http://{host}:{bound.getsockname()[1]}"
        show({"url": url}, f"schemas of {looked_at.url} at {url}", json=json)
        server.run(sockets=[bound])


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        said = f"cannot listen at {host}:{port}: {error.strerror}: give another --host or --port"
        raise CannotListen(said) from error
