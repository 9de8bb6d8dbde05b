"""The owner's side: a thread that accepts, a thread per connection.

The socket is `<folder>/socket`, or, where that path is too long for a socket, in a short temporary folder of its own;
`<folder>/owner` says which. What a killed owner left behind is removed by the next one, which has the folder's lock by
then.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from eventstore.log.errors import LogError
from eventstore.log.local.broker import Broker
from eventstore.log.local.consumer import LocalReader
from eventstore.log.local.remote import messages as m
from eventstore.log.local.remote.owner import socket_of, write_note
from eventstore.log.records import Topic, TopicPartition

log = structlog.get_logger(__name__)

LONGEST_PATH: Final = 100
"""Bytes that a socket's path may have on all systems (104 and 108 with its end)."""
_TEMPORARY: Final = "sagalog-"
_BATCH: Final = 500


class Server:
    """Answers other processes until it is closed."""

    def __init__(self, folder: Path, broker: Broker, give_up: Callable[[], bool]) -> None:
        """`give_up` closes all of it, this server too, and says whether it did."""
        self._folder, self._broker, self._give_up = folder, broker, give_up
        self._closed = False
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        _remove_stale(folder)
        self._path = _socket_path(folder)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._path))
        self._path.chmod(0o600)
        self._listener.listen(64)
        write_note(folder, self._path)
        threading.Thread(target=self._accept, name=f"embedded-{folder.name}", daemon=True).start()

    def close(self) -> None:
        """End all connections and remove the socket."""
        with self._guard:
            self._closed = True
            connections = list(self._connections)
        for each in (self._listener, *connections):
            _shut(each)
        self._listener.close()
        _remove_stale(self._folder)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._guard:
                if self._closed:
                    connection.close()
                    return
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), name="embedded-client", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while (request := m.receive_request(connection)) is not None:
                m.send(connection, self._answer(request))
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            if not self._closed:
                log.info("embedded_client_dropped", error=str(error))
        finally:
            with self._guard:
                self._connections.discard(connection)
            connection.close()

    def _answer(self, request: m.Request) -> m.Answer:
        try:
            if isinstance(request, m.Yield):
                return m.Yielded(self._give_up())
            return _answer(self._broker, request)
        except LogError as error:
            return m.failure(error)


def _answer(broker: Broker, request: m.OfBroker) -> m.Answer:
    match request:
        case m.Hello():
            return m.Welcome(os.getpid(), broker.message_max_bytes)
        case m.Produce():
            return _produce(broker, request)
        case m.Read():
            return _read(broker, request)
        case m.Bounds():
            bounds = broker.bounds(_partitions(request.partitions))
            return m.Bounded([bounds[TopicPartition(*each)] for each in request.partitions])
        case m.Committed():
            positions = broker.committed(request.group, _partitions(request.partitions))
            return m.Positions([positions[TopicPartition(*each)] for each in request.partitions])
        case m.Groups():
            return m.Names(broker.group_names(live=request.live))
        case _:
            return _administer(broker, request)


def _administer(broker: Broker, request: m.Create | m.Describe | m.Configuration | m.Configure | m.Delete) -> m.Answer:
    match request:
        case m.Create():
            broker.create(
                Topic(
                    name=w.name,
                    partitions=w.partitions,
                    compacted=w.compacted,
                    retention_ms=w.retention_ms,
                    settings=w.settings,
                    has_unique_keys=w.has_unique_keys,
                )
                for w in request.topics
            )
        case m.Configuration():
            return m.Configured(broker.configuration(request.names))
        case m.Configure():
            broker.configure(request.topic, request.settings)
        case m.Delete():
            broker.delete(request.names)
        case m.Describe():
            found = broker.describe(request.names)
            return m.Described(
                [(t.name, t.id, t.partitions, t.manifest_partitions, dict(t.wanted)) for t in found.values()]
            )
    return m.Done()


def _produce(broker: Broker, request: m.Produce) -> m.Produced:
    results: list[int | m.Failed] = []
    for each in request.records:
        try:
            r = m.unpacked(each)
            partition = broker.target(r.topic, r.partition, r.key, r.value, r.headers)
            results.append(broker.append(partition, r.key, r.value, r.headers, r.timestamp_ms))
        except LogError as error:
            results.append(m.failure(error))
    broker.store.sync()
    return m.Produced(results)


def _read(broker: Broker, request: m.Read) -> m.Found:
    positions = {TopicPartition(topic, partition): position for topic, partition, position in request.positions}
    reader = LocalReader(broker, positions)
    records = reader.read(min(request.max_records, _BATCH), request.timeout)
    return m.Found(
        [
            m.FoundRecord(r.topic, r.partition, r.offset, r.timestamp_ms, r.key, r.value, tuple(r.headers))
            for r in records
        ],
        [(at.topic, at.partition, reader.position(at)) for at in positions],
    )


def _partitions(pairs: list[tuple[str, int]]) -> list[TopicPartition]:
    return [TopicPartition(*pair) for pair in pairs]


def _socket_path(folder: Path) -> Path:
    beside = folder / "socket"
    if len(os.fsencode(beside)) <= LONGEST_PATH:
        return beside
    return Path(tempfile.mkdtemp(prefix=_TEMPORARY)) / "socket"


def _remove_stale(folder: Path) -> None:
    """Remove the socket that an owner made, and the note where it is."""
    (folder / "socket").unlink(missing_ok=True)
    try:
        path = Path(socket_of(folder))
    except (OSError, ValueError):
        return
    if path.parent.name.startswith(_TEMPORARY):
        shutil.rmtree(path.parent, ignore_errors=True)
    (folder / "owner").unlink(missing_ok=True)


def _shut(connection: socket.socket) -> None:
    """Wake the thread that waits on it."""
    with contextlib.suppress(OSError):  # it may be shut already
        connection.shutdown(socket.SHUT_RDWR)
