"""A TCP proxy between a Kafka client and its brokers, which fails at the request that a test chooses.

::

    with KafkaProxy("127.0.0.1:9092") as proxy:
        log = open_log(f"kafka://{proxy.bootstrap}")
        cut = proxy.cut(END_TXN, "unanswered")      # the broker did it, the client will never know
        ...
        assert cut.happened.wait(5)

Clients follow the addresses that brokers advertise, so the proxy puts its own into the answers that hold addresses
(Metadata, FindCoordinator, DescribeCluster). It replaces equal bytes by equally many, whatever the version of the
answer: so brokers must advertise themselves as `127.0.0.1`, as those of `sagalog broker` do. TLS cannot be looked into.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self, TypeAlias

PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, HEARTBEAT = 8, 9, 10, 12
INIT_PRODUCER_ID, ADD_PARTITIONS_TO_TXN, END_TXN, TXN_OFFSET_COMMIT, DESCRIBE_CLUSTER = 22, 24, 26, 28, 60
"""Some of the protocol's request kinds (API keys)."""
Moment: TypeAlias = Literal["unsent", "unanswered"]
"""`unsent`: the broker never sees the request. `unanswered`: it answered, and the answer is thrown away."""

_HOST = "127.0.0.1"
_HOLDS_ADDRESSES = frozenset({METADATA, FIND_COORDINATOR, DESCRIBE_CLUSTER})
_FLEXIBLE_METADATA = 9
_REQUEST = struct.Struct(">hhi")


@dataclass(frozen=True, slots=True)
class Cut:
    """A failure that was ordered."""

    api_key: int
    moment: Moment
    stays_down: bool
    happened: threading.Event = field(default_factory=threading.Event)
    """Set once it happened."""


class KafkaProxy:
    """Stands before all brokers of a cluster: one listener for each. Safe to steer from any thread."""

    def __init__(self, bootstrap: str) -> None:
        self._cuts: list[Cut] = []
        self._delays: dict[int, float] = {}
        self._hides_brokers = False
        self._links: set[_Link] = set()
        self._lock = threading.Lock()
        self._emptied = threading.Condition(self._lock)
        self._is_up = True
        self._listeners: list[socket.socket] = []
        self.seen: Counter[int] = Counter()
        """How many requests of each kind came, by API key."""
        self.addresses: dict[bytes, bytes] = {}
        """The proxy's address instead of each broker's, as they stand in answers."""
        self.bootstrap = ",".join(self._listen(address) for address in bootstrap.split(","))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def cut(self, api_key: int, moment: Moment, *, stays_down: bool = False) -> Cut:
        """Break the connection at the next request of this kind; with `stays_down`, refuse all until `heal`."""
        cut = Cut(api_key, moment, stays_down)
        with self._lock:
            self._cuts.append(cut)
        return cut

    def delay(self, api_key: int, seconds: float) -> None:
        """Hold each request of this kind for a while before the broker sees it; 0 ends that."""
        with self._lock:
            self._delays[api_key] = seconds

    def hide_brokers(self) -> None:
        """Let no broker be in answers to Metadata until `heal`, as in those of a broker that has just started."""
        with self._lock:
            self._hides_brokers = True

    def break_all(self) -> None:
        """Break all connections, and refuse new ones until `heal`."""
        with self._lock:
            self._is_up = False
            links = list(self._links)
        for link in links:
            link.close()

    def heal(self) -> None:
        """Let everything pass again, and forget what was ordered."""
        with self._lock:
            self._is_up = True
            self._cuts.clear()
            self._delays.clear()
            self._hides_brokers = False

    def close(self) -> None:
        """Break all connections and listen no more."""
        for listener in self._listeners:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.break_all()
        with self._emptied:
            self._emptied.wait_for(lambda: not self._links, timeout=5)

    def due(self, api_key: int, moment: Moment) -> Cut | None:
        """For connections: take the cut that was ordered for this request."""
        with self._lock:
            cut = next((cut for cut in self._cuts if (cut.api_key, cut.moment) == (api_key, moment)), None)
            if cut is not None:
                self._cuts.remove(cut)
            return cut

    def perform(self, cut: Cut, link: _Link) -> None:
        """For connections: break."""
        if cut.stays_down:
            self.break_all()
        link.close()
        cut.happened.set()

    def delay_of(self, api_key: int) -> float:
        """For connections: note a request; how long to hold it."""
        with self._lock:
            self.seen[api_key] += 1
            return self._delays.get(api_key, 0.0)

    def answer_to(self, api_key: int, version: int, frame: bytes) -> bytes:
        """For connections: an answer that holds addresses, as the client shall see it."""
        if api_key == METADATA and self._hides_brokers:
            return _without_brokers(frame, version)
        for theirs, mine in self.addresses.items():
            frame = frame.replace(theirs, mine)
        return frame

    def forget(self, link: _Link) -> None:
        """For connections: this one is over."""
        with self._emptied:
            self._links.discard(link)
            self._emptied.notify_all()

    def _listen(self, address: str) -> str:
        host, _, port = address.rpartition(":")
        if host != _HOST:
            raise ValueError(f"{address}: the proxy only stands before brokers at {_HOST}")
        listener = socket.create_server((_HOST, 0))
        self._listeners.append(listener)
        mine: int = listener.getsockname()[1]
        self.addresses[_HOST.encode() + struct.pack(">i", int(port))] = _HOST.encode() + struct.pack(">i", mine)
        threading.Thread(target=self._accept, args=(listener, int(port)), name="kafka-proxy", daemon=True).start()
        return f"{_HOST}:{mine}"

    def _accept(self, listener: socket.socket, port: int) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self._connect(client, port)

    def _connect(self, client: socket.socket, port: int) -> None:
        try:
            broker = socket.create_connection((_HOST, port), timeout=5)
        except OSError:
            client.close()
            return
        broker.settimeout(None)
        link = _Link(self, client, broker)
        with self._lock:
            up = self._is_up
            if up:
                self._links.add(link)
        if up:
            link.start()
        else:
            link.release()


class _Link:
    """One connection: two threads, which pass frames (i32 length, then the content) on."""

    def __init__(self, proxy: KafkaProxy, client: socket.socket, broker: socket.socket) -> None:
        self._proxy, self._client, self._broker = proxy, client, broker
        self._kinds: dict[int, tuple[int, int]] = {}
        self._doomed: dict[int, Cut] = {}
        self._over = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="kafka-proxy-link", daemon=True).start()

    def close(self) -> None:
        """Wake both threads, which end then."""
        self._over.set()
        for side in (self._client, self._broker):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Close for good, when no thread uses it."""
        self.close()
        self._client.close()
        self._broker.close()

    def _run(self) -> None:
        answers = threading.Thread(target=self._guarded, args=(self._pass_answers,), name="kafka-proxy", daemon=True)
        answers.start()
        self._guarded(self._pass_requests)
        answers.join()
        self.release()
        self._proxy.forget(self)

    def _guarded(self, target: Callable[[], None]) -> None:
        try:
            with suppress(OSError):
                target()
        finally:
            self.close()

    def _pass_requests(self) -> None:
        while (frame := _receive(self._client)) is not None:
            api_key, version, correlation = _REQUEST.unpack_from(frame, 4)
            if self._over.wait(self._proxy.delay_of(api_key)):
                return
            if (cut := self._proxy.due(api_key, "unsent")) is not None:
                self._proxy.perform(cut, self)
                return
            if (cut := self._proxy.due(api_key, "unanswered")) is not None:
                self._doomed[correlation] = cut
            if api_key in _HOLDS_ADDRESSES:
                self._kinds[correlation] = api_key, version
            self._broker.sendall(frame)

    def _pass_answers(self) -> None:
        while (frame := _receive(self._broker)) is not None:
            (correlation,) = struct.unpack_from(">i", frame, 4)
            if (cut := self._doomed.pop(correlation, None)) is not None:
                self._proxy.perform(cut, self)
                return
            if (kind := self._kinds.pop(correlation, None)) is not None:
                frame = self._proxy.answer_to(*kind, frame)
            self._client.sendall(frame)


def _without_brokers(frame: bytes, version: int) -> bytes:
    """The answer to Metadata with an empty list of brokers: length, correlation, tags, throttle time, brokers, …"""
    if version < _FLEXIBLE_METADATA:
        raise ValueError(f"Metadata of version {version}: the proxy knows those from {_FLEXIBLE_METADATA} on")
    start = 4 + 4 + 1 + 4
    count, at = _varint(frame, start)
    for _ in range(count - 1):
        size, at = _varint(frame, at + 4)  # node id, then its host
        size, at = _varint(frame, at + size - 1 + 4)  # the host's bytes and the port, then its rack
        at += max(0, size - 1) + 1  # the rack's bytes, no tagged fields
    body = frame[4:start] + b"\x01" + frame[at:]
    return len(body).to_bytes(4, "big") + body


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned varint, and where what follows it begins."""
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _receive(side: socket.socket) -> bytes | None:
    """A whole frame, its length in front; None at the end of the connection."""
    head = _exactly(side, 4)
    if head is None:
        return None
    body = _exactly(side, int.from_bytes(head, "big"))
    return None if body is None else head + body


def _exactly(side: socket.socket, count: int) -> bytes | None:
    parts: list[bytes] = []
    while count:
        part = side.recv(min(count, 1 << 18))
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
