"""The errors of the read and act side: one root, one tree.

::

    ConsumerError
    ├── Permanent                 raised by a handler: trying again cannot help; the record is dead-lettered at once
    ├── RetryAfter                raised by a handler: try again after a delay; burns no attempt
    ├── WorkerError
    │   ├── AttemptTimedOut       one attempt took longer than its time-out; it is retried
    │   ├── UnknownCommand        a command that this worker does not know: dead-lettered
    │   ├── BadAcknowledgement    the group's position carries metadata that no worker wrote
    │   └── BreakerOpen           a circuit breaker lets nothing through for now; burns no attempt
    └── DeadLetterError
        ├── NoDeadLetters         there is no dead-letter topic for this worker or topic
        └── NotADeadLetter        a record of a dead-letter topic that no worker wrote

Errors in a declaration are `schemas.DefinitionError`s, those of the log `eventstore.errors.LogError`s.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar


class ConsumerError(Exception):
    """The root of all errors of `consumers`."""

    is_retryable: ClassVar[bool] = False
    """Whether the same call may succeed when it is made again."""


class Permanent(ConsumerError):
    """Raise it in a handler when trying again cannot help: the record goes to the dead letters at once."""


class RetryAfter(ConsumerError):
    """Raise it in a handler when the other side said when to come back (429, 503). Burns no attempt."""

    is_retryable = True

    def __init__(self, delay: timedelta, why: str = "") -> None:
        if delay < timedelta():
            raise ValueError(f"RetryAfter waits a time that is not negative, not {delay}")
        super().__init__(f"again after {delay.total_seconds():g} s{': ' if why else ''}{why}")
        self.delay = delay


class WorkerError(ConsumerError):
    """A worker could not handle a record."""


class AttemptTimedOut(WorkerError):
    """One attempt took longer than its time-out, and was cancelled: make the handler faster or raise `timeout=`."""

    is_retryable = True

    def __init__(self, handler: str, seconds: float) -> None:
        super().__init__(f"{handler} did not end within {seconds:g} s and was cancelled: raise timeout= if it may take longer")
        self.handler, self.seconds = handler, seconds


class UnknownCommand(WorkerError):
    """Somebody waits for this command's answer, and no handler names it: add one, or send it elsewhere."""

    def __init__(self, worker: str, type_name: str) -> None:
        super().__init__(
            f"{worker} has no handler for the command {type_name}: add @{worker}.on for it and redrive, or discard it"
        )
        self.worker, self.type_name = worker, type_name


class BadAcknowledgement(WorkerError):
    """The group's position carries metadata that no worker wrote: another program commits under this group's name."""

    def __init__(self, metadata: str, why: str) -> None:
        super().__init__(
            f"the group's position carries {metadata[:60]!r}, which no worker of this version wrote ({why}): check that no other "
            "program commits under this group, then reset the position"
        )
        self.metadata, self.why = metadata, why


class BreakerOpen(WorkerError):
    """The circuit breaker lets nothing through until it was reset. Burns no attempt."""

    is_retryable = True

    def __init__(self, breaker: str, delay: timedelta) -> None:
        super().__init__(f"breaker {breaker} is open for another {delay.total_seconds():.1f} s")
        self.breaker, self.delay = breaker, delay


class DeadLetterError(ConsumerError):
    """The dead letters could not be read or redriven."""


class NoDeadLetters(DeadLetterError):
    """There is no dead-letter topic for this choice: check topic and group, or nothing failed so far."""

    def __init__(self, what: str, known: list[str]) -> None:
        offer = f"those that exist: {', '.join(known)}" if known else "none exists so far"
        super().__init__(f"no dead-letter topic for {what}: {offer}")
        self.what, self.known = what, known


class NotADeadLetter(DeadLetterError):
    """A record of a dead-letter topic lacks the headers of its origin: something else writes to that topic."""

    def __init__(self, topic: str, partition: int, offset: int, why: str) -> None:
        super().__init__(f"{topic}[{partition}]@{offset} is no dead letter ({why}): check what else writes to {topic}")
        self.topic, self.partition, self.offset, self.why = topic, partition, offset, why
