"""A participant: a worker that answers commands, those of sagas among them.

    hotels = Participant("hotels")

    @hotels.on
    async def book(command: BookHotel, context: Context) -> HotelBooked | SoldOut: ...

    @hotels.on
    async def cancel(command: Undo[BookHotel]) -> None: ...

Its commands come by `hotels.inbox`. Promised: each is answered before it is acknowledged, with what the handler
returned; a do that comes after its undo is not handled (P2). Not promised: that a handler runs once. It runs again
after a crash, and when its saga sends the command again, under the same `context.metadata.id`.

A saga's command that fails is answered as *unknown* and not dead-lettered: the saga decides what follows (P4), which
is why a participant by itself tries a command once. `Permanent` says that trying again cannot help. A refused step of
a saga is undone all the same, because an earlier run of it may have succeeded before a crash (P1), unless its handler
is declared `@hotels.on(idempotent=True)`: the outside call tells by the command's id that it happened, so that a
refusal means it did not.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Concatenate, overload

from typing_extensions import TypeVar

from consumers.breaker import Breaker
from consumers.limits import Limits
from consumers.rate import Rate
from consumers.retry import Retry
from consumers.source import Source
from consumers.worker import DEFAULT_LIMITS, DEFAULT_TIMEOUT, OPTIONS, Order, Worker
from sagas.answers import Answers
from schemas.option_values import WHOLE, check_value
from schemas.options import knows_its_options, refuse_options

H = TypeVar("H", bound=Callable[Concatenate[Any, ...], Awaitable[object]])

ONCE = Retry(attempts=1)


class Participant(Worker):
    """A worker that answers the commands sent to its name."""

    @knows_its_options
    def __init__(
        self,
        name: str,
        *,
        topics: Sequence[Source] = (),
        concurrency: int = 20,
        order: Order = "key",
        breakers: Sequence[Breaker] = (),
        retry: Retry = ONCE,
        timeout: timedelta | None = DEFAULT_TIMEOUT,
        rate: Rate | None = None,
        limits: Limits = DEFAULT_LIMITS,
        partitions: int | None = None,
    ) -> None:
        """A participant; what is not said here is as for a worker.

        Args:
            name: commands `to=` this name come to it.
            topics: what it reads besides its inbox.
            retry: how a failed command is tried again here, before it is answered as unknown.
            partitions: how many its inbox gets when it is made; None: the log's default.
        """
        check_value(f"participant {name}", "partitions", partitions, WHOLE, or_none=True)
        self._answers = Answers(name, partitions)
        super().__init__(
            name,
            topics=topics,
            concurrency=concurrency,
            order=order,
            breakers=breakers,
            retry=retry,
            timeout=timeout,
            rate=rate,
            limits=limits,
            answering=self._answers,
        )

    @overload
    def on(self, handler: H, /) -> H: ...
    @overload
    def on(
        self, /, *, retry: Retry | None = ..., timeout: timedelta | None = ..., idempotent: bool = ...
    ) -> Callable[[H], H]: ...
    def on(self, handler: Any = None, /, **options: Any) -> Any:
        """Handle the commands that the annotation of the first parameter names, and answer what the handler returns.

        `idempotent` says that the outside call knows the command's id, so that what is refused certainly did not
        happen. Without it a step that is refused is undone like one in doubt: its undo may come for what never was.

        Raises:
            DefinitionError: as for a worker; or it may answer what a command does not declare.
        """
        refuse_options(f"{self.name}.on", options, (*OPTIONS, "idempotent"), depth=2)
        local = sys._getframe(1).f_locals  # pyright: ignore[reportPrivateUsage] - the frame of the definition
        register = partial(self._answering, local, options)
        return register(handler) if handler is not None else register

    def _answering(self, local: dict[str, Any], options: dict[str, Any], function: H) -> H:
        is_idempotent = options.pop("idempotent", False)
        before = set(self.handlers)
        self._register(local, options, function)
        if is_idempotent:
            self._answers.declare_idempotent(set(self.handlers) - before)
        return function
