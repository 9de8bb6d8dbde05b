"""Ask the services of a log from a process that hosts nothing."""

from __future__ import annotations

from typing import Self

from consumers.blocking import Blocking, blocking
from consumers.process import LOG_VARIABLE, Process
from schemas.options import knows_its_options


class Client(Process):
    """A process that hosts nothing and asks: a web front end, a script.

    async with Client(log="kafka://localhost:9092") as client:
        await client.ask(ReserveStock(sku="a", quantity=1))
    """

    _log_is_given_by = f"Client(log=…) or the variable {LOG_VARIABLE}"

    @knows_its_options
    def __init__(self, *, log: str | None = None, name: str = "client", registry: str | None = None) -> None:
        """`log`: its URL; None: the variable SAGALOG_LOG. `name`: answers come back on the topic `<name>.replies`.

        `registry`: the URL of a schema registry; None: the variable SAGALOG_REGISTRY, else the one in the log.
        """
        super().__init__(name, log, "memory://", None)
        self._registry = registry

    def blocking(self) -> Blocking[Self]:
        """The same for programs without asyncio: `with Client(…).blocking() as client: client.ask(…)`."""
        return blocking(self)
