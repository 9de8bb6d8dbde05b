"""Ask the services of a log, and use their stores, from a process that hosts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from consumers.blocking import Blocking, blocking
from consumers.process import LOG_VARIABLE, Process
from eventstore.component import Plan
from eventstore.store import EventStore
from schemas.options import knows_its_options


class Client(Process):
    """A process that hosts nothing and asks: a web front end, a script.

    async with Client(log="kafka://localhost:9092", stores=[orders]) as client:
        await client.ask(ReserveStock(sku="a", quantity=1))
        await orders.append("17", [OrderPlaced()], expected=NO_STREAM)

    Entered, it raises `BrokerUnreachable` if no Kafka answers, and `LogMissing` if an embedded folder holds no log: no
    service ever ran there.
    """

    _log_is_given_by = f"Client(log=…) or the variable {LOG_VARIABLE}"
    _only_asks = True

    @knows_its_options
    def __init__(
        self,
        *,
        log: str | None = None,
        name: str = "client",
        registry: str | None = None,
        stores: Sequence[EventStore[Any]] = (),
    ) -> None:
        """`log`: its URL; None: the variable SAGALOG_LOG. `name`: answers come back on the topic `<name>.replies`.

        `registry`: the URL of a schema registry; None: the variable SAGALOG_REGISTRY, else the one in the log.

        `stores`: stores of services on this log. Inside `async with` all that they do can be called here: what is
        written goes to the owner of the stream's partition, reads ask it, subscriptions read the topic. Nothing is
        owned, no group is joined, and of their topics none is made: what lacks them is `TopicMissing`, until the
        service was started for the first time.

        Raises:
            TypeError: one of `stores` is no EventStore.
            ValueError: two of them have one name, or `name` cannot be one (`schemas.names`).
        """
        super().__init__(name, log, "memory://", None)
        self._registry = registry
        self._used = _plans(name, stores)

    def blocking(self) -> Blocking[Self]:
        """The same for programs without asyncio: `with Client(…).blocking() as client: client.ask(…)`."""
        return blocking(self)


def _plans(client: str, stores: Sequence[object]) -> tuple[Plan, ...]:
    found: dict[str, Plan] = {}
    for store in stores:
        if not isinstance(store, EventStore):
            raise TypeError(f"stores=[{store!r}]: give objects of EventStore; aggregates are asked by commands")
        if store.name in found:
            raise ValueError(f"{client} has two stores named {store.name!r}: give the one that the service has")
        found[store.name] = store.__component__()
    return tuple(found.values())
