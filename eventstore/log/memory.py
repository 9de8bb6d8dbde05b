"""`memory://`: a log in lists and dictionaries, for unit tests and simulation.

`memory://` is a new log each time, `memory://name` the same one for all who open it in this process, until
`discard(name)`. Nothing outlives the process. Options: `partitions` (of topics that do not say), `message_max_bytes`.
"""

from __future__ import annotations

import threading

from eventstore.clock import Clock
from eventstore.log.local.broker import DEFAULT_PARTITIONS, MESSAGE_MAX_BYTES, Broker
from eventstore.log.local.lists import ListStore
from eventstore.log.local.log import LocalLog

_shared: dict[str, Broker] = {}
_guard = threading.Lock()


def open_memory(
    url: str,
    name: str = "",
    *,
    clock: Clock | None = None,
    partitions: int = DEFAULT_PARTITIONS,
    message_max_bytes: int = MESSAGE_MAX_BYTES,
) -> LocalLog:
    """A private log, or the shared one of this name. The first to open a shared one decides on its options."""

    def broker() -> Broker:
        return Broker(ListStore(), clock, default_partitions=partitions, message_max_bytes=message_max_bytes)

    if not name:
        private = broker()
        return LocalLog(url, private, private.close)
    with _guard:
        shared = _shared.get(name)
        if shared is None:
            shared = _shared[name] = broker()
        return LocalLog(url, shared, lambda: None)


def is_shared(name: str) -> bool:
    """Whether somebody in this process opened a shared log of this name."""
    with _guard:
        return name in _shared


def discard(name: str) -> None:
    """Forget a shared log; handles that are still open fail with LogClosed."""
    with _guard:
        broker = _shared.pop(name, None)
    if broker is not None:
        broker.close()
