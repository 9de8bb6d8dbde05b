"""Resources of handlers: what the functions given to `Service.provide` make when a service starts.

They are opened in the order in which they were given and closed in the opposite one. One that fails to close does not
keep the others open; the first such failure is raised.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, get_args, get_origin, get_type_hints


class Providers:
    """The providers of one service, and what they made."""

    def __init__(self) -> None:
        self.resources: dict[type[Any], Any] = {}
        """By type; filled while the service runs."""
        self._providers: dict[type[Any], Callable[[], Any]] = {}
        self._open: list[Any] = []

    def add(self, provider: Callable[[], Any]) -> None:
        """Remember a provider under the type that it is annotated to return.

        Raises:
            TypeError: it has no return annotation.
        """
        returned = get_type_hints(provider).get("return")
        if returned is None:
            raise TypeError(f"{provider.__qualname__} says not what it provides: annotate what it returns")
        wanted = get_args(returned)[0] if get_origin(returned) in (AsyncIterator, AsyncGenerator) else returned
        self._providers[wanted] = provider

    async def open(self) -> None:
        """Make every resource."""
        for wanted, provider in self._providers.items():
            made = provider()
            if hasattr(made, "__anext__"):
                self._open.append(made)
                made = await anext(made)
            self.resources[wanted] = made

    async def close(self) -> None:
        """Close what was opened, the last one first."""
        failures: list[Exception] = []
        while self._open:
            try:
                async for _ in self._open.pop():
                    raise RuntimeError("a provider yields once: what follows its yield closes the resource")
            except Exception as error:  # noqa: BLE001 - the others are closed first, then it is raised
                failures.append(error)
        self.resources.clear()
        if failures:
            raise failures[0]
