"""Which registry a process uses: the one in its log, or one behind HTTP."""

from __future__ import annotations

import os
from typing import Protocol, Self

from eventstore.log.port import Log
from eventstore.registry import TopicRegistry
from schemas import Registry
from schemas.compatibility import Mode

REGISTRY_VARIABLE = "SAGALOG_REGISTRY"


class OpenRegistry(Registry, Protocol):
    """A registry that can be closed, and whose modes can be set."""

    def set_mode(self, subject: str | None, mode: Mode | None) -> None:
        """Set the mode of a subject, of None: of those without one. The mode None takes it away."""
        ...

    def close(self) -> None:
        """Release what it holds. What is known stays readable."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


REGISTRY_HINT = "name the registry of the service by --registry (registry=) or SAGALOG_REGISTRY"
"""What to do where another registry may be meant than the one that was asked."""


def called(registry: Registry) -> str:
    """What to call a registry in an error."""
    return str(getattr(registry, "url", "")) or "the one in the log"


def open_registry(log: Log | None, url: str | None = None) -> OpenRegistry:
    """The registry behind a URL. None: the variable SAGALOG_REGISTRY. If that is empty too: the one in the log.

    Raises:
        LogError, SchemasUnreadable: the log's registry cannot be read.
        RegistryExtraMissing: the client for HTTP is not installed.
        RegistryUrlInvalid, RegistryTokenInvalid: the URL is none, or the token in the environment.
        ValueError: neither a URL nor a log is given.
    """
    chosen = os.environ.get(REGISTRY_VARIABLE, "") if url is None else url
    if chosen:
        from eventstore.registry_http import HttpRegistry

        return HttpRegistry(chosen)
    if log is None:
        raise ValueError("no log and no registry is given")
    return TopicRegistry(log)
