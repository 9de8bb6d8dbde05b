"""Act on messages: call the outside world, at least once, in order per key, with bounded retries and then a dead
letter.

    mailer = Worker("mailer", topics=[orders], concurrency=20, retry=Retry(attempts=5))

    @mailer.on
    async def confirm(event: OrderPlaced, context: Context) -> None: ...

Promised: no record is acknowledged before its handler was done with it, or the log has its dead letter; records of
one key run one after another in the order of the log; a key that waits for its next attempt holds up no other; a type
that no handler names is skipped undecoded. Not promised: exactly once (a crash between the effect and its
acknowledgement repeats it: use `context.metadata.id` to recognise a repeat), nor an order between keys.

The group is `<service>.<worker>`. Positions are committed plainly (rule W1), with a map of what is incomplete (W4).
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Concatenate, Literal, TypeAlias, overload

from typing_extensions import TypeVar

from consumers.answering import Answering
from consumers.breaker import Breaker
from consumers.handlers import Handler, handler_of
from consumers.limits import Limits
from consumers.rate import Rate
from consumers.retry import Retry
from consumers.source import Source, topics_of
from consumers.worker_loop import WorkerLoop
from eventstore.component import Host, Plan
from schemas import Message
from schemas.definition import DefinitionError, line_of
from schemas.names import check_name
from schemas.option_values import DURATION, WHOLE, check_several, check_value, instance_of
from schemas.options import knows_its_options, refuse_options

H = TypeVar("H", bound=Callable[Concatenate[Any, ...], Awaitable[object]])
Order: TypeAlias = Literal["key", "partition", "none"]

OPTIONS = ("retry", "timeout")
"""What a handler may say for itself."""
RETRY = instance_of(Retry, "attempts=5")
DEFAULT_TIMEOUT = timedelta(minutes=15)
DEFAULT_LIMITS = Limits()


class Worker:
    """A consumer group that runs async handlers."""

    @knows_its_options
    def __init__(
        self,
        name: str,
        *,
        topics: Sequence[Source] = (),
        concurrency: int = 1,
        order: Order = "key",
        breakers: Sequence[Breaker] = (),
        retry: Retry | None = None,
        timeout: timedelta | None = DEFAULT_TIMEOUT,
        rate: Rate | None = None,
        limits: Limits = DEFAULT_LIMITS,
        answering: Answering | None = None,
    ) -> None:
        """A worker.

        Args:
            name: with the service's name, the group.
            topics: what it reads: topic names, stores, aggregate classes.
            concurrency: how many handlers run at the same time in one process.
            order: what runs one after another: records of a key, of a partition, or nothing.
            breakers: while one of them is open, nothing is started.
            retry: how failed records are tried again, unless their handler says otherwise.
            timeout: how long one attempt may take, None: for ever.
            rate: how often handlers are started, per process.
            limits: how much may be in flight, and how long a revoked partition may drain.
            answering: who is told of records and results (see `consumers.answering`); for participants.

        Raises:
            ValueError: the name cannot be one (`schemas.names`), or a value is impossible.
            TypeError: a value is of another type.
        """
        check_name(type(self).__name__, name, "mailer")
        check = partial(check_value, f"worker {name}")
        check_several(f"worker {name}", "topics", topics)
        check_several(f"worker {name}", "breakers", breakers)
        check("concurrency", concurrency, WHOLE)
        check("retry", retry, RETRY, or_none=True)
        check("timeout", timeout, DURATION, or_none=True)
        check("rate", rate, instance_of(Rate, "20, per=timedelta(seconds=1)"), or_none=True)
        check("limits", limits, instance_of(Limits, "records=1000"))
        if concurrency < 1:
            raise ValueError(f"worker {name}: concurrency={concurrency}, give at least 1")
        if order not in ("key", "partition", "none"):
            raise ValueError(f"worker {name}: order={order!r} is none of 'key', 'partition', 'none'")
        self.name = name
        self.concurrency = concurrency
        self.order: Order = order
        self.breakers = tuple(breakers)
        self.retry = retry or Retry()
        self.timeout = timeout
        self.rate = rate
        self.limits = limits
        self.answering = answering
        self._sources = tuple(topics)
        self._handlers: dict[type[Message], Handler] = {}

    @property
    def topics(self) -> list[str]:
        """The names of the topics that it reads, without those of its answering."""
        return topics_of(self._sources)

    @property
    def handlers(self) -> dict[type[Message], Handler]:
        """What it handles, and by what."""
        return dict(self._handlers)

    @overload
    def on(self, handler: H, /) -> H: ...
    @overload
    def on(self, /, *, retry: Retry | None = ..., timeout: timedelta | None = ...) -> Callable[[H], H]: ...
    def on(self, handler: Any = None, /, **options: Any) -> Any:
        """Handle the messages that the annotation of the first parameter names, one type or a union.

        Other parameters are filled by type: `Context`, `Recorded[E]`, `Metadata`, and what the service provides.

        Raises:
            DefinitionError: the function is not async, a type is handled twice, or an annotation cannot be right.
        """
        refuse_options(f"{self.name}.on", options, OPTIONS, depth=2)
        local = sys._getframe(1).f_locals  # pyright: ignore[reportPrivateUsage] - the frame of the definition
        register = partial(self._register, local, options)
        return register(handler) if handler is not None else register

    def _register(self, local: dict[str, Any], options: dict[str, Any], function: H) -> H:
        called, line = f"{self.name}.on", line_of(function)
        check_value(called, "retry", options.get("retry"), RETRY, or_none=True, line=line)
        check_value(called, "timeout", options.get("timeout"), DURATION, or_none=True, line=line)
        handler = handler_of(
            function,
            local,
            retry=options.get("retry") or self.retry,
            timeout=options.get("timeout", self.timeout),
        )
        for message in handler.types:
            if message in self._handlers:
                raise DefinitionError(line_of(function), f"{message.__name__} is handled twice by {self.name}")
            self._handlers[message] = handler
        return function

    def __component__(self) -> Plan:
        if not self._handlers:
            raise ValueError(
                f"{type(self).__name__.lower()} {self.name} handles nothing: decorate an async function with "
                "its .on before a service gets it"
            )
        return Plan(
            name=self.name,
            topics=tuple(self.answering.topics) if self.answering else (),
            messages=(*self._handlers, *(self.answering.messages if self.answering else ())),
            loops=(self._loop,),
        )

    def _loop(self, host: Host) -> WorkerLoop:
        return WorkerLoop(self, host)
