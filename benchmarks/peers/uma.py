"""UmaDB: its server, which the package brings, and its client, which blocks.

An append has the condition that no event with the stream's tag came after the stream's last one. A load reads the
events of the tag, decodes their JSON and adds them up; there are no aggregates and no snapshots. It stores bytes, so
the event's class is one of ours.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.peers.servers import server
from sagalog.broker.ports import free_ports

CENTS = 5
_AT_ONCE = 1_000
_SERVER = "import sys, umadb; umadb.run_server_from_args(['umadb', *sys.argv[1:]])"


class Deposited(msgspec.Struct):
    """What happened."""

    cents: int


class UmaStore:
    """A server's events."""

    synced = "each group of appends, twice"

    def __init__(self, url: str) -> None:
        self._umadb: Any = importlib.import_module("umadb")
        self._url, self._client = url, self._umadb.Client(url)
        self._encode, self._decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(Deposited).decode

    def writer(self, stream: str) -> Callable[[], None]:
        """Each call appends one event."""
        client, position = self._client, None

        def write() -> None:
            nonlocal position
            position = client.append([self._event(stream)], self._condition(stream, position))

        return write

    def fill(self, stream: str, events: int, *, since: int = 0) -> None:
        """Unconditionally."""
        for begin in range(0, events, _AT_ONCE):
            self._client.append([self._event(stream)] * min(_AT_ONCE, events - begin))

    def load(self, stream: str) -> int:
        """From the events."""
        decode = self._decode
        return sum(decode(each.event.data).cents for each in self._client.read(self._query(stream)))

    def take_snapshot(self, stream: str) -> bool:
        """It has none."""
        return False

    def reopen(self) -> None:
        """Another client."""
        self._client = self._umadb.Client(self._url)

    def _event(self, stream: str) -> Any:
        return self._umadb.Event("Deposited", self._encode(Deposited(CENTS)), [stream])

    def _query(self, stream: str) -> Any:
        return self._umadb.Query([self._umadb.QueryItem(tags=[stream])])

    def _condition(self, stream: str, after: int | None) -> Any:
        return self._umadb.AppendCondition(self._query(stream), after)


@contextmanager
def on_umadb(folder: Path) -> Generator[UmaStore]:
    """Start a server with a file in the folder, and stop it."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    command = [sys.executable, "-c", _SERVER, "--listen", address, "--db-path", str(folder / "uma.db")]
    with server(command, lambda: _is_ready(f"http://{address}")):
        yield UmaStore(f"http://{address}")


def _is_ready(url: str) -> bool:
    umadb: Any = importlib.import_module("umadb")
    try:
        umadb.Client(url).head()
    except umadb.TransportError:
        return False
    return True
