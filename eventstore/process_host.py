"""What a process gives the loops that it runs: its open log, its registry, its state folder, its clock.

By default the state lies beside the log for `embedded:`, in memory for `memory://`, else in the working directory; it
holds nothing that the log does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eventstore.clock import Clock, SystemClock
from eventstore.log.port import Log
from eventstore.registry_choice import OpenRegistry, open_registry
from eventstore.state import open_state
from eventstore.state.port import StateEngine
from schemas import Serde


@dataclass(slots=True, kw_only=True)
class ProcessHost:
    """What loops of this process get (see `Host`)."""

    service: str
    slot: str
    log: Log
    serde: Serde
    state: StateEngine
    clock: Clock
    address: str = ""
    resources: Mapping[type[Any], Any] = field(default_factory=dict[type[Any], Any])
    registry: OpenRegistry | None = None
    """Closed with the host, if it is the host's own."""

    def close(self) -> None:
        """Release what the host opened beside the log."""
        if self.registry is not None:
            self.registry.close()

    def resource(self, wanted: type[Any]) -> Any:
        found = self.resources.get(wanted)
        if found is None:
            raise LookupError(
                f"nothing provides {wanted.__name__}: add a function to the service with @service.provide"
            )
        return found


def make_host(
    service: str,
    log: Log,
    *,
    slot: str = "0",
    state: str | None = None,
    clock: Clock | None = None,
    address: str = "",
    resources: Mapping[type[Any], Any] | None = None,
    registry: str | None = None,
) -> ProcessHost:
    """A host on an open log: its registry read, its state folder chosen.

    `state`: a folder for RocksDB; None: beside the log for `embedded://`, in memory for `memory://`, else
    `.sagalog/state/<service>/<slot>` in the working directory. `registry`: the URL of a registry behind HTTP; None: the
    variable SAGALOG_REGISTRY, else the log's own.
    """
    engine = open_state(state if state is not None else state_url(log.url, service, slot))
    opened = open_registry(log, registry)
    return ProcessHost(
        registry=opened,
        service=service,
        slot=slot,
        log=log,
        serde=Serde(opened),
        state=engine,
        clock=clock or SystemClock(),
        address=address,
        resources=resources or {},
    )


def state_url(log_url: str, service: str, slot: str) -> str:
    """Where a process keeps its state if it is not told."""
    if log_url.startswith("memory:"):
        return "memory://"
    if log_url.startswith("embedded:"):
        folder = log_url.removeprefix("embedded:").removeprefix("//").partition("?")[0]
        return str(Path(folder) / "state" / service / slot)
    return str(Path(".sagalog") / "state" / service / slot)
