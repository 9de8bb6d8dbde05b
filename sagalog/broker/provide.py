"""Provide a Kafka: the one that is there, one in Docker, or one on a local JVM."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from sagalog.broker.cluster import Cluster, ForeignCluster, LocalCluster
from sagalog.broker.docker import docker_answers, docker_cluster
from sagalog.broker.errors import BrokerNotStarted
from sagalog.broker.ports import is_free
from sagalog.broker.readiness import node_ids
from sagalog.broker.runtime import OPTIMISING, Runtime, Say, find_runtime, make_aot_cache

_TRIES = 3
_FOREIGN_S = 15.0
_LAST_PORT = 65_535

Provider = Literal["any", "docker", "local"]
"""`any` takes KAFKA_BOOTSTRAP, then Docker, then a JVM; `local` is a JVM whatever else is there."""


def _silent(message: str) -> None:
    """Nobody wants to know."""


@contextmanager
def broker(
    nodes: int = 1,
    port: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    *,
    provider: Provider = "any",
    is_optimised: bool = False,
    say: Say = _silent,
) -> Generator[Cluster]:
    """Provide Kafka 4.4.0 for the time of the `with` block, on 1 or 3 nodes.

    Without a folder nothing of it remains. With one, records stay and the same folder can be given again. Its
    processes are stopped at the end of the block, and when this process ends, however it does. `say` is told of work
    that takes seconds and happens once per machine.

    A JVM that is started here compiles its code quickly and not well, because most live for seconds. With
    `is_optimised` it does as a broker in production: the compiler takes a processor in the first minute of work,
    and a transaction takes about two thirds of the time afterwards.

    Raises `BrokerError` with the next action in its message.
    """
    if nodes not in (1, 3):
        raise ValueError(f"a cluster has 1 or 3 nodes, not {nodes}: 2 tolerate no failure that 1 does not")
    with ExitStack() as stack:
        options = (OPTIMISING,) if is_optimised else ()
        yield _provided(stack, nodes, port, Path(folder) if folder else None, provider, options, say)


def _provided(
    stack: ExitStack,
    nodes: int,
    port: int | None,
    folder: Path | None,
    provider: Provider,
    options: tuple[str, ...],
    say: Say,
) -> Cluster:
    if port is not None and not 0 <= port <= _LAST_PORT:
        raise BrokerNotStarted(f"{port} is no port: give 1 to {_LAST_PORT}, or 0 for any free one", None, "")
    bootstrap = os.environ.get("KAFKA_BOOTSTRAP")
    if bootstrap and provider == "any":
        return _foreign(bootstrap)
    if provider == "docker" or (provider == "any" and folder is None and docker_answers()):
        return stack.enter_context(docker_cluster(nodes, port))
    cluster = _started(nodes, port, folder, options, say)
    stack.callback(cluster.close)
    return cluster


def _foreign(bootstrap: str) -> Cluster:
    found = node_ids(bootstrap, timeout_s=_FOREIGN_S)
    if not found:
        raise BrokerNotStarted(
            f"KAFKA_BOOTSTRAP is {bootstrap}, where no Kafka answers: correct it, or unset it to get one started",
            None,
            "",
        )
    return ForeignCluster(bootstrap)


def _started(nodes: int, port: int | None, folder: Path | None, options: tuple[str, ...], say: Say) -> LocalCluster:
    """Start a cluster, with other ports again when another process took one of them in between."""
    if port is not None and not is_free(port):
        raise BrokerNotStarted(f"port {port} is taken: choose another one, or stop what listens there", None, "")
    runtime = find_runtime(say)
    make_aot_cache(runtime, say, lambda option, scratch: _train(runtime, option, scratch))
    for attempt in range(1, _TRIES + 1):
        cluster = LocalCluster(runtime, nodes=nodes, port=port, folder=folder, options=options)
        try:
            cluster.start()
        except BrokerNotStarted as error:
            cluster.close(gently=False)
            if attempt == _TRIES or "Address already in use" not in error.tail:
                raise
        except BaseException:
            cluster.close(gently=False)
            raise
        else:
            return cluster
    raise AssertionError("the loop returns or raises")


def _train(runtime: Runtime, option: str, scratch: Path) -> None:
    cluster = LocalCluster(runtime, nodes=1, port=None, folder=scratch / "cluster", options=(option,))
    try:
        cluster.start()
    finally:
        cluster.close(gently=True)
