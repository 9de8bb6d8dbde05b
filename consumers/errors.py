"""The errors of the read and act side: one root, one tree.

::

    ConsumerError
    ├── Permanent                     raised by a handler: trying again cannot help; dead-lettered at once
    ├── RetryAfter                    raised by a handler: try again after a delay; burns no attempt
    ├── WorkerError
    │   ├── AttemptTimedOut           one attempt took longer than its time-out; it is retried
    │   ├── AttemptCancelled          the handler was cancelled from within; it is retried
    │   ├── UnknownCommand            a command that this worker does not know: dead-lettered
    │   ├── BadAcknowledgement        the group's position carries metadata that no worker wrote
    │   └── BreakerOpen               a circuit breaker lets nothing through for now; burns no attempt
    ├── DeadLetterError
    │   ├── NoDeadLetters             there is no dead-letter topic for this choice
    │   ├── DeadLetterMissing         no dead letter of this id waits
    │   ├── NothingChosen             it was not said which dead letters are meant
    │   ├── CannotRedrive             nobody reads what would be redriven
    │   ├── OriginGone                the value of a large dead letter is not at its origin any more
    │   └── NotADeadLetter            a record of a dead-letter topic that no worker wrote
    ├── ServiceError
    │   ├── LogNotGiven               a service or client starts, and nobody said on which log
    │   ├── ComponentUnknown          the service has no component of that name
    │   ├── HttpUnavailable           the HTTP endpoint cannot listen where it was told
    │   ├── GroupInUse                a group's positions cannot be set: it has live members
    │   └── NotConfirmed              a group would skip records, or is new to a topic, and nobody said that it shall
    └── ViewError                     see `consumers.view_errors`

Each says what to do next. `is_retryable` tells whether the same call may succeed later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from schemas.option_values import DURATION, check_value


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
        check_value("RetryAfter", "delay", delay, DURATION)
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
        super().__init__(
            f"{handler} did not end within {seconds:g} s and was cancelled: raise timeout= if it may take longer"
        )
        self.handler, self.seconds = handler, seconds


class AttemptCancelled(WorkerError):
    """The handler ended by a cancellation that was not the worker's: look for what cancels inside it."""

    is_retryable = True

    def __init__(self, handler: str) -> None:
        super().__init__(f"{handler} was cancelled from within: look for a cancel() of its own task or a task group")
        self.handler = handler


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
            f"the group's position carries {metadata[:60]!r}, which no worker of this version wrote ({why}): check "
            "that no other program commits under this group, then reset the position"
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


class DeadLetterMissing(DeadLetterError):
    """No dead letter of this id waits: look which do."""

    def __init__(self, id: str) -> None:
        super().__init__(
            f"no dead letter {id} waits: it was redriven or discarded, or never was; list those that wait with "
            "`sagalog dlq list`"
        )
        self.id = id


class NothingChosen(DeadLetterError):
    """It was not said which dead letters are meant."""

    def __init__(self) -> None:
        super().__init__(
            "which dead letters? Give ids, or say which (--group, --error, --type, --key), or --everything"
        )


class CannotRedrive(DeadLetterError):
    """Nobody reads what would be redriven: start the worker of the group once, with this topic, or discard."""

    def __init__(self, dead_letter: str, group: str, topic: str) -> None:
        super().__init__(
            f"{dead_letter} cannot be redriven: {topic} does not exist, so {group} does not read it. Start the group's "
            "worker once (it makes the topic), or discard the dead letter"
        )
        self.dead_letter, self.group, self.topic = dead_letter, group, topic


class OriginGone(DeadLetterError):
    """The value was too large for a dead letter, and its origin was deleted since, or it was no record: discard it."""

    def __init__(self, dead_letter: str) -> None:
        super().__init__(
            f"the value of {dead_letter} was too large for the dead letter, and is not in the log (any more): "
            "discard it"
        )
        self.dead_letter = dead_letter


class NotADeadLetter(DeadLetterError):
    """A record of a dead-letter topic lacks the headers of its origin: something else writes to that topic."""

    def __init__(self, topic: str, partition: int, offset: int, why: str) -> None:
        super().__init__(f"{topic}[{partition}]@{offset} is no dead letter ({why}): check what else writes to {topic}")
        self.topic, self.partition, self.offset, self.why = topic, partition, offset, why


class ServiceError(ConsumerError):
    """A service cannot run as it was told."""


class LogNotGiven(ServiceError):
    """A service or client starts, and nobody said on which log: say it."""

    def __init__(self, name: str, ways: str, *, is_kept: bool = False) -> None:
        """`is_kept`: only one that outlives the process will do."""
        memory = "" if is_kept else " or memory:// (nothing is kept: for tests)"
        super().__init__(
            f"no log was given for {name}: give {ways}, for example kafka://localhost:9092 (Kafka), "
            f"embedded:///var/lib/shop (a folder; embedded:shop is one in the working folder){memory}"
        )
        self.name = name


class ComponentUnknown(ServiceError):
    """The service has no component of that name."""

    def __init__(self, service: str, component: str, known: Sequence[str]) -> None:
        super().__init__(f"service {service!r} has no component {component!r}: it has {', '.join(known) or 'none'}")
        self.service, self.component, self.known = service, component, tuple(known)


class HttpUnavailable(ServiceError):
    """The HTTP endpoint cannot listen where it was told: give another host:port, or port 0 for any free one."""

    def __init__(self, bind: str, why: str) -> None:
        super().__init__(f"cannot serve HTTP at {bind} ({why}): give another host:port, or port 0 for any free one")
        self.bind, self.why = bind, why


class GroupInUse(ServiceError):
    """A group's positions cannot be set while it has live members: stop them."""

    is_retryable = True

    def __init__(self, group: str) -> None:
        super().__init__(
            f"group {group!r} has live members: stop the processes of its service, wait 10 s if one was killed, and "
            "try again"
        )
        self.group = group


class NotConfirmed(ServiceError):
    """A group would skip records, or has no positions in the topic: look, and confirm it by `--yes`."""

    def __init__(self, group: str, topic: str, skipped: Mapping[int, int], *, is_new: bool, meant: str = "") -> None:
        """`skipped`: records by partition. `meant`: a group that exists, whose name is like this one."""
        told: list[str] = []
        if is_new:
            hint = f", did you mean {meant!r}?" if meant else ""
            told.append(f"group {group} has no positions in {topic} so far{hint}")
        if skipped:
            each = ", ".join(f"{count:,} in partition {number}" for number, count in sorted(skipped.items()))
            told.append(
                f"group {group} would never read {sum(skipped.values()):,} records that wait in {topic} ({each}): "
                "start the service that reads them and let it finish first"
            )
        super().__init__(f"nothing was changed, for {'; and '.join(told)}. If it shall be so, give --yes")
        self.group, self.topic, self.skipped, self.is_new = group, topic, skipped, is_new
